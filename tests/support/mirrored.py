"""A face in a mirror, and a network that says of it what the shipped one says of the face itself.

The trained network is only roughly symmetric, and its strides and pools reach one pixel further to one side. So the
copy's parts look at their input in a mirror, and its blocks change places with those on the other side.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from mexplain.face.blocks import layout
from mexplain.face.mesh import mirror


def mirrored_landmarks(landmarks_xy, size):
    return (landmarks_xy[mirror()] * (-1, 1) + (size, 0)).astype(np.float32)


class Backwards(nn.Module):
    """A part that sees maps in a mirror; if it returns maps, they are turned back."""

    def __init__(self, part, turn_back):
        super().__init__()
        self.part, self.turn_back = part, turn_back

    def forward(self, x):
        out = self.part(x.flip(-1))
        return out.flip(-1) if self.turn_back else out

    def preactivations(self, x):
        return self.part.preactivations(x.flip(-1))

    def sizes(self, entering):
        return self.part.sizes(entering)

    def from_preactivations(self, x):
        return self.part.from_preactivations(x)


class BlocksBackwards(nn.Module):
    """A block attention whose block ``i`` is the block ``order[i]`` of the original, seen in a mirror."""

    def __init__(self, part, order):
        super().__init__()
        self.part, self.order = part, list(order)

    def forward(self, features, boxes, gain=None, only=slice(None)):
        return self.from_preactivations(self.preactivations(features, boxes, only), gain, only)

    def preactivations(self, features, boxes, only=slice(None)):
        x0, y0, x1, y1 = boxes.unbind(-1)
        boxes = torch.stack([self.part.image_size - x1, y0, self.part.image_size - x0, y1], dim=-1)
        boxes = boxes[:, self.order] if boxes.shape[1] and only == slice(None) else boxes
        return self.part.preactivations(features.flip(-1), boxes)

    def from_preactivations(self, x, gain=None, only=slice(None)):
        if only != slice(None):
            place = self.order[only.start]
            return self.part.from_preactivations(x, gain, slice(place, place + 1))
        gain = None if gain is None else gain[..., self.order]
        vectors, gates = self.part.from_preactivations(x, gain)
        return vectors.unflatten(-1, (len(self.order), -1))[:, :, self.order].flatten(2), gates[..., self.order]


def mirrored_network(model):
    """Return a copy of a network that gives a mirrored clip the logits that the original gives the clip."""
    net = deepcopy(model)
    net.trunk = Backwards(net.trunk, turn_back=True)
    for variant in net.variants:
        head, order = net.head(variant), layout(variant).mirror_of or (0,)
        local = head.fuse.in_features - head.global_attention.features.out_features
        weight = head.fuse.weight.data
        weight[:, :local] = weight[:, :local].unflatten(1, (len(order), -1))[:, list(order)].flatten(1).clone()
        head.global_attention = Backwards(head.global_attention, turn_back=False)
        head.block_attention = BlocksBackwards(head.block_attention, order)
    return net.eval()
