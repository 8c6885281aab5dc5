"""A planted shortcut: a network taught to use the background, and the methods that expose it.

A spot beside the face changes its brightness, in a place that names the class; the class is drawn without regard to
the expression. A head trained on such clips must look at the spot, and an honest explanation must point there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips
from mexplain.evaluation.scorecard.metrics import mass
from mexplain.evaluation.scorecard.sanity_checks import CHEAP
from mexplain.face.blocks import layout
from mexplain.media.progress import track
from mexplain.model.network import Head, MicroExpressionNet

VARIANT = "10"
# Centres of the spots in shares of the picture's side (x, y), clear of all blocks: the corners, then the borders.
_PLACES = ((0.05, 0.05), (0.95, 0.05), (0.05, 0.95), (0.95, 0.95), (0.05, 0.64), (0.95, 0.64), (0.5, 0.97))
_SIDE = 0.08
_STRENGTH = 90.0
_FRAMES = 4
# Clips to learn from and to score on; with fewer than the least, the check says nothing.
_LEARN, _TEST, LEAST = 120, 40, 40
_EXPLAINED = 4
_STEPS, _BATCH, _RATE = 50, 24, 3e-3


@dataclass(frozen=True)
class Shortcut:
    """Accuracy of the taught head on unseen people, and the attribution mass of each method.

    ``honest_mass_ratio`` and ``planted_mass_ratio`` are the mass ratios on the moving area before and after teaching;
    ``planted_off_face`` and ``planted_cue`` the shares of the taught network's positive mass beside the face and on the
    spot; ``cue_ratio`` is the latter over the spot's share of the picture. A method is ``exposing`` if most of the
    taught network's mass is off the face and its mass ratio is less than half of the honest one.
    """

    accuracy: float
    clips: int
    methods: dict[str, dict[str, float | bool]]


def planted_clips(
    clips: Sequence[KnownClip], classes: int, seed: int
) -> tuple[list[KnownClip], list[Bool[np.ndarray, "s s"]]]:
    """Return shortened copies with random labels, each shown by a spot beside the face, and the masks of the spots."""
    labels = np.random.default_rng(seed).integers(classes, size=len(clips)).tolist()
    planted, spots = [], []
    for clip, label in zip(clips, labels, strict=True):
        short = shortened(clip)
        spot = cue_pixels(clip.size, label)
        frames = short.frames.astype(np.float32)
        # Towards the middle of the range, so that nothing is clipped.
        sign = 1.0 if frames[0][spot].mean() < 128 else -1.0
        growth = np.linspace(0, 1, len(frames), dtype=np.float32)[:, None, None, None]
        frames = frames + sign * _STRENGTH * growth * spot[:, :, None]
        planted.append(replace(short, frames=frames.clip(0, 255).round().astype(np.uint8), label=label))
        spots.append(spot)
    return planted, spots


def shortened(clip: KnownClip) -> KnownClip:
    """Return a clip with a few of its frames, the apex among them, which costs less."""
    apex = int(clip.course.argmax())
    others = np.linspace(0, len(clip.frames) - 1, _FRAMES).round().astype(int)
    others[1 + int(np.abs(others[1:] - apex).argmin())] = apex
    chosen = np.unique(others)
    chosen = np.pad(chosen, (0, _FRAMES - len(chosen)), mode="edge")
    return replace(clip, frames=clip.frames[chosen], course=clip.course[chosen], recipe=None)


def cue_pixels(size: int, label: int) -> Bool[np.ndarray, "{size} {size}"]:
    """Return a mask of the spot that shows a class."""
    ticks = (np.arange(size) + 0.5) / size
    x, y = _PLACES[label % len(_PLACES)]
    return (np.abs(ticks - y) <= _SIDE / 2)[:, None] & (np.abs(ticks - x) <= _SIDE / 2)[None]


def train_shortcut(model: MicroExpressionNet, clips: Sequence[KnownClip], seed: int = 0) -> MicroExpressionNet:
    """Return a copy whose 10-block head was trained on the labels of planted clips.

    Only global attention, fusion, LSTM and classifier are trained; trunk and block attention stay.
    """
    taught = MicroExpressionNet(model.config, (VARIANT,)).to(next(model.parameters()).device)
    own = taught.state_dict()
    taught.load_state_dict({name: value for name, value in model.state_dict().items() if name in own})
    head = taught.eval().requires_grad_(False).head(VARIANT)
    local, differences, labels = _encode_clips(taught, head, clips)
    learning = [head.global_attention, head.fuse, head.lstm, head.classify]
    weights = [weight.requires_grad_() for part in learning for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    head.global_attention.train()
    for step in range(_STEPS):
        batch = torch.randperm(len(labels), generator=generator)[:_BATCH]
        # Blocks of other clips, so that the face carries no information about the label.
        faces = torch.randperm(len(labels), generator=generator)[: len(batch)]
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 10) * (1 - step / _STEPS)
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(
            head.classify_blocks(local[faces], head.global_embeddings(differences[batch])), labels[batch]
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
    return taught.eval().requires_grad_(False)


@torch.no_grad()
def head_accuracy(model: MicroExpressionNet, clips: Sequence[KnownClip]) -> float:
    """Return the 10-block head's accuracy on the clips' labels."""
    head = model.head(VARIANT)
    local, differences, labels = _encode_clips(model, head, clips)
    return float((head.classify_blocks(local, head.global_embeddings(differences)).argmax(1) == labels).float().mean())


def shortcut_check(
    model: MicroExpressionNet, known: KnownClips, methods: Sequence[str], seed: int = 0, explained: int = _EXPLAINED
) -> Shortcut | None:
    """Teach a copy of a network the shortcut and score its explanations; None without 10-block head or enough clips.

    Training and explained clips show different people.
    """
    if VARIANT not in model.variants or len(known) < LEAST:
        return None
    people = list(dict.fromkeys(clip.person for clip in known))
    kept_out = set(people[::4])
    classes, device = len(model.config.labels), next(model.parameters()).device
    learn = [clip for clip in known if clip.person not in kept_out][:_LEARN]
    test = [clip for clip in known if clip.person in kept_out][:_TEST]
    planted, spots = planted_clips(test, classes, seed + 1)
    taught = train_shortcut(model, planted_clips(learn, classes, seed)[0], seed)
    rows: dict[str, list[dict[str, float | None]]] = {method: [] for method in methods}
    pairs = list(zip(test, planted, spots, strict=True))[:explained]
    for clip, with_spot, spot in track(pairs, "clips with a planted shortcut"):
        honest = _target(model, shortened(clip), device)
        misled = _target(taught, with_spot, device)
        for method in methods:
            rows[method].append(_compare(clip, spot, _positive(honest, method), _positive(misled, method)))
    return Shortcut(
        accuracy=round(head_accuracy(taught, planted), 4),
        clips=min(explained, len(test)),
        methods={method: _summary(each) for method, each in rows.items()},
    )


def _target(model: MicroExpressionNet, clip: KnownClip, device: torch.device) -> AttributionTarget:
    return build_targets(model, clip.input(device)[None], clip.landmarks_xy[None], [VARIANT])[0][VARIANT]


def _positive(target: AttributionTarget, method: str) -> Float[np.ndarray, "s s"]:
    settings = {**CHEAP.get(method, {}), **({"frames": _FRAMES} if method == "occlusion" else {})}
    positive: Float[np.ndarray, "s s"] = (
        attribute_target(target, method, settings=settings).map.clip(min=0).sum(axis=0, dtype=np.float64)
    )
    return positive


def _compare(
    clip: KnownClip, spot: Bool[np.ndarray, "s s"], before: Float[np.ndarray, "s s"], after: Float[np.ndarray, "s s"]
) -> dict[str, float | None]:
    share = float(clip.moving.sum() / clip.face.sum())
    honest_mass, planted_mass, cue_mass = mass(before, clip.moving), mass(after, clip.moving), mass(after, spot)
    return {
        "honest_mass_ratio": None if honest_mass is None else honest_mass / share,
        "planted_mass_ratio": None if planted_mass is None else planted_mass / share,
        "planted_off_face": mass(after, ~clip.face),
        "planted_cue": cue_mass,
        "cue_ratio": None if cue_mass is None else cue_mass / float(spot.mean()),
    }


def _summary(rows: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    means = {}
    for key in rows[0]:
        values = [row[key] for row in rows if row[key] is not None]
        means[key] = round(float(np.mean(np.array(values, np.float64))), 4) if values else 0.0
    exposing = means["planted_off_face"] > 0.5 and means["planted_mass_ratio"] < 0.5 * means["honest_mass_ratio"]
    return {**means, "exposing": bool(exposing)}


@torch.no_grad()
def _encode_clips(
    model: MicroExpressionNet, head: Head, clips: Sequence[KnownClip]
) -> tuple[Float[Tensor, "b t nv"], Float[Tensor, "b t c h w"], Int[Tensor, "b"]]:
    """Return block embeddings, trunk features since the onset, and labels of the clips."""
    device = next(model.parameters()).device
    local, differences = [], []
    for start in range(0, len(clips), 8):
        batch = clips[start : start + 8]
        boxes = np.stack([layout(VARIANT).boxes(clip.landmarks_xy) for clip in batch])
        difference = head.since_onset(model.encode(torch.stack([clip.input(device) for clip in batch])))
        local.append(head.block_attention(difference, torch.from_numpy(boxes).to(device))[0])
        differences.append(difference)
    labels = torch.tensor([clip.label for clip in clips], device=device)
    return torch.cat(local), torch.cat(differences), labels
