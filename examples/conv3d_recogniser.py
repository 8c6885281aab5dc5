"""A plain 3-D CNN: python -m mexplain explain CLIP --recogniser examples.conv3d_recogniser:build --out reports."""

from pathlib import Path

import torch
from torch import nn

from mexplain import InputSpec

WEIGHTS = Path("conv3d.pt")  # what was trained, in the folder that the command is given in


class Conv3dNet(nn.Module):
    labels = ("happiness", "disgust", "surprise", "repression", "others")
    input_spec = InputSpec(size=56, frames=8, difference=True)

    def __init__(self):
        super().__init__()
        convs = [nn.Conv3d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv3d(12, 24, 3, 2, 1), nn.ReLU()]
        self.layers = nn.Sequential(*convs, nn.AdaptiveAvgPool3d((1, 7, 7)), nn.Flatten(), nn.Linear(24 * 49, 5))

    def forward(self, frames):
        return self.layers(10 * frames.transpose(1, 2))  # Conv3d wants colours before time


def build():
    net = Conv3dNet()
    if WEIGHTS.is_file():
        net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return net.eval()
