"""A shallow three-stream net on onset-apex optical flow, after STSTNet (Liong et al. 2019); see conv3d_recogniser."""

import cv2
import numpy as np
import torch

from mexplain import InputSpec


class FlowNet(torch.nn.Module):
    labels, input_spec = ("negative", "positive", "surprise"), InputSpec(84, 8, "grey", (0.0, 255.0))

    def __init__(self):
        super().__init__()
        self.streams = torch.nn.ModuleList(torch.nn.Conv2d(3, channels, 3, padding=1) for channels in (3, 5, 8))
        self.classify = torch.nn.Linear(16 * 49, 3)

    def forward(self, frames):
        flow = torch.from_numpy(np.stack([onset_to_apex(clip) for clip in np.uint8(frames.detach()[:, :, 0])]))
        seen = torch.cat([torch.relu(stream(flow)) for stream in self.streams], dim=1)
        return self.classify(torch.nn.functional.adaptive_avg_pool2d(seen, 7).flatten(1))


def onset_to_apex(clip):
    apex = clip[np.abs(clip - 1.0 * clip[0]).mean((1, 2)).argmax()]
    u, v = cv2.calcOpticalFlowFarneback(clip[0], apex, None, 0.5, 3, 9, 3, 5, 1.1, 0).transpose(2, 0, 1)
    return np.stack([u, v, np.hypot(np.gradient(u, axis=1), np.gradient(v, axis=0))])  # and the strain


build = FlowNet().eval  # load your weights here
