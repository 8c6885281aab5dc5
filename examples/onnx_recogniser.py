"""A network in an ONNX file, run by onnxruntime: no gradients, so blocks and occlusion explain it."""

from pathlib import Path

import onnxruntime
import torch

from mexplain import InputSpec

FILE = Path("network.onnx")  # in the folder that the command is given in; takes (b, t, c, s, s), gives (b, k)


class OnnxNet:
    labels = ("happiness", "disgust", "surprise", "repression", "others")
    input_spec = InputSpec(size=56, frames=8, difference=True)

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(FILE), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def forward(self, frames):
        return torch.from_numpy(self.session.run(None, {self.name: frames.detach().numpy()})[0])


def build():
    return OnnxNet()
