"""A 10-block head taught other labels on a few clips, with the trunk and the block attention as they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.face.blocks import layout
from mexplain.model.network import MicroExpressionNet

VARIANT = "10"
_BATCH, _RATE = 24, 3e-3


@dataclass(frozen=True)
class EncodedClips:
    """The gated vectors of the blocks of some clips, and the trunk's features since the onset."""

    local: Float[Tensor, "b t nv"]
    differences: Float[Tensor, "b t c h w"]


@torch.no_grad()
def encode_clips(model: MicroExpressionNet, clips: Sequence[KnownClip]) -> EncodedClips:
    """Inputs of the parts of a 10-block head that are taught, for some clips."""
    head, device = model.head(VARIANT), next(model.parameters()).device
    local, differences = [], []
    for start in range(0, len(clips), 8):
        batch = clips[start : start + 8]
        boxes = np.stack([layout(VARIANT).boxes(clip.landmarks_xy) for clip in batch])
        difference = head.since_onset(model.encode(torch.stack([clip.input(device) for clip in batch])))
        local.append(head.block_attention(difference, torch.from_numpy(boxes).to(device))[0])
        differences.append(difference)
    return EncodedClips(torch.cat(local), torch.cat(differences))


def teach_head(
    model: MicroExpressionNet, clips: EncodedClips, labels: Int[np.ndarray, "b"], *, steps: int = 50, seed: int = 0
) -> MicroExpressionNet:
    """Return a copy of a network whose 10-block head, its only one, was taught labels of encoded clips.

    Global attention, fusion, LSTM and classifier are taught. The copy shares no weights with the network.
    """
    device = next(model.parameters()).device
    taught = MicroExpressionNet(model.config, (VARIANT,)).to(device)
    own = taught.state_dict()
    taught.load_state_dict({name: value for name, value in model.state_dict().items() if name in own})
    head = taught.eval().requires_grad_(False).head(VARIANT)
    learning = [head.global_attention, head.fuse, head.lstm, head.classify]
    weights = [weight.requires_grad_() for part in learning for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    wanted = torch.from_numpy(labels.astype(np.int64)).to(device)
    alike = [np.flatnonzero(labels == label) for label in range(len(model.config.labels))]
    head.global_attention.train()
    for step in range(steps):
        batch = rng.permutation(len(labels))[:_BATCH]
        # Blocks of another clip with the same label, so that no face is learned by heart.
        blocks = np.array([rng.choice(alike[label]) for label in labels[batch].tolist()])
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 10) * (1 - step / steps)
        optimizer.zero_grad(set_to_none=True)
        logits = head.classify_blocks(clips.local[blocks], head.global_embeddings(clips.differences[batch]))
        F.cross_entropy(logits, wanted[batch]).backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
    return taught.eval().requires_grad_(False)


@torch.no_grad()
def predicted_classes(model: MicroExpressionNet, clips: EncodedClips) -> Int[np.ndarray, "b"]:
    """Return the class numbers that the 10-block head gives encoded clips."""
    head = model.head(VARIANT)
    logits = [
        head.classify_blocks(local, head.global_embeddings(differences))
        for local, differences in zip(clips.local.split(32), clips.differences.split(32), strict=True)
    ]
    classes: Int[np.ndarray, "b"] = torch.cat(logits).argmax(1).cpu().numpy()
    return classes
