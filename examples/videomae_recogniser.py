"""A Hugging Face video classifier: VideoMAE from a folder of trained weights, or a tiny one that knows nothing yet."""

from pathlib import Path

from torch import nn
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

from mexplain import InputSpec

FOLDER = Path("videomae")  # of save_pretrained, in the folder that the command is given in
TINY = VideoMAEConfig(image_size=56, patch_size=14, num_frames=8, hidden_size=32, intermediate_size=64, num_labels=5,
                      num_hidden_layers=2, num_attention_heads=2)  # fmt: skip


class VideoMae(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, config = net, net.config
        self.labels = tuple(config.id2label[number] for number in range(config.num_labels))
        self.input_spec = InputSpec(size=config.image_size, frames=config.num_frames, value_range=(-1.0, 1.0))

    def forward(self, frames):
        return self.net(pixel_values=frames).logits


def build():
    trained = VideoMAEForVideoClassification
    return VideoMae(trained.from_pretrained(FOLDER) if FOLDER.is_dir() else trained(TINY)).eval()
