"""One fold: a network fine-tuned on all subjects but one, and its predictions for that one."""

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mexplain.evaluation.loso.crop_cache import FaceCrops
from mexplain.evaluation.loso.request import FineTuning
from mexplain.face.blocks import layout
from mexplain.face.mesh import mirror
from mexplain.media.progress import track
from mexplain.model.network import Head, MicroExpressionNet

_ENCODED_AT_ONCE = 8


@dataclass(frozen=True)
class ClipBank:
    """All clips followed by their mirror images, as the network takes them.

    ``stack`` holds trunk features if ``encoded``, else RGB frames; ``boxes`` the blocks of each variant.
    """

    stack: Tensor
    boxes: Mapping[str, Float[Tensor, "m _ 4"]]
    encoded: bool
    clips: int

    def features(self, model: MicroExpressionNet, rows: Tensor) -> Float[Tensor, "b t c h w"]:
        """Return the trunk's features of some rows, on the network's device."""
        picked = self.stack[rows].to(model.mean.device)
        return picked.float() if self.encoded else model.encode(_as_input(picked))


def make_bank(model: MicroExpressionNet, crops: Sequence[FaceCrops], *, encoded: bool) -> ClipBank:
    """Return the clips as trunk features (``encoded``) or as frames."""
    size = model.config.image_size
    landmarks = np.stack([crop.landmarks_xy for crop in crops])
    mirrored = landmarks[:, mirror()] * np.array([-1, 1], np.float32) + np.array([size, 0], np.float32)
    both = np.concatenate([landmarks, mirrored])
    boxes = {variant: torch.from_numpy(layout(variant).boxes(both)).to(model.mean.device) for variant in model.variants}
    plain = torch.from_numpy(np.stack([crop.frames for crop in crops]))
    frames = torch.cat([plain, plain.flip(3)])
    return ClipBank(_encode_all(model, frames) if encoded else frames, boxes, encoded, len(crops))


@torch.no_grad()
def _encode_all(model: MicroExpressionNet, frames: Tensor) -> Tensor:
    parts = []
    for batch in track(frames.split(_ENCODED_AT_ONCE), "batches of clips through the trunk"):
        features = model.encode(_as_input(batch.to(model.mean.device)))
        # Heads subtract the onset's features anyhow; done first, half precision keeps more of the small difference.
        if model.config.onset_difference:
            features = features - features[:, :1]
        parts.append(features.half().cpu())
    return torch.cat(parts)


def _as_input(frames: Tensor) -> Float[Tensor, "b t 3 s s"]:
    return frames.permute(0, 1, 4, 2, 3).float() / 255


def train_fold(
    model: MicroExpressionNet,
    bank: ClipBank,
    truth: Sequence[int],
    train: Sequence[int],
    classes: Sequence[str],
    plan: FineTuning,
    *,
    seed: int,
    fold: str,
) -> MicroExpressionNet:
    """Return a copy of the network fine-tuned on the clips ``train``.

    The losses of all variants are added, each class weighted by the inverse of its frequency; clips are mirrored at
    random. Random numbers depend on ``seed`` and the name of the ``fold`` alone, so folds may run in any order.
    """
    generator = torch.Generator().manual_seed(_seed_of(f"{seed}/{fold}"))
    model = with_classes(model, classes, seed).requires_grad_(plan.part == "all")
    model.heads.requires_grad_(True)
    # Batch statistics of a few faces are worse than those of the checkpoint, also where the trunk is trained.
    model.eval().heads.train()
    labels, rows = torch.tensor(truth), torch.tensor(train)
    weights = _class_weights(labels[rows], len(classes)).to(model.mean.device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=plan.weight_decay)
    steps = plan.epochs * math.ceil(len(train) / plan.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for _ in range(plan.epochs):
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(plan.batch):
            drawn = batch + bank.clips * torch.randint(2, batch.shape, generator=generator)
            features = bank.features(model, drawn)
            target = labels[batch].to(features.device)
            loss = torch.zeros((), device=features.device)
            for variant in model.variants:
                logits = model.head(variant)(features, bank.boxes[variant][drawn.to(features.device)]).logits
                loss = loss + F.cross_entropy(logits, target, weights, label_smoothing=plan.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def with_classes(model: MicroExpressionNet, classes: Sequence[str], seed: int) -> MicroExpressionNet:
    """Return a copy of the network for other classes: a new last layer, or a reordered one for the same classes."""
    model = copy.deepcopy(model)
    known = model.config.labels
    if tuple(classes) == known:
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for head in model.heads.values():
            old = cast(Head, head).classify
            new = nn.Linear(old.in_features, len(classes))
            if set(classes) == set(known):
                order = [known.index(name) for name in classes]
                new.load_state_dict({name: value[order] for name, value in old.state_dict().items()})
            cast(Head, head).classify = new.to(old.weight.device)
    return model


@torch.inference_mode()
def classify_clips(
    model: MicroExpressionNet, bank: ClipBank, rows: Sequence[int]
) -> dict[str, Float[np.ndarray, "n k"]]:
    """Return each variant's class probabilities for the clips ``rows``, not mirrored."""
    probabilities: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    for batch in torch.tensor(rows).split(_ENCODED_AT_ONCE):
        features = bank.features(model, batch)
        for variant, parts in probabilities.items():
            logits = model.head(variant)(features, bank.boxes[variant][batch.to(features.device)]).logits
            parts.append(logits.float().softmax(1).cpu())
    return {variant: torch.cat(parts).numpy() for variant, parts in probabilities.items()}


def _class_weights(labels: Tensor, classes: int) -> Float[Tensor, "k"]:
    """Return loss weights that give every class that occurs the same total."""
    counts = torch.bincount(labels, minlength=classes).float()
    present = int((counts > 0).sum())
    return torch.where(counts > 0, len(labels) / (present * counts.clamp_min(1)), torch.zeros_like(counts))


def _seed_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
