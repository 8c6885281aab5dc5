"""Camera effects: light, blur, low resolution, compression, noise."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mexplain.simulation.events import random_waves


def degrade(
    clips: Float[Tensor, "b t 3 s s"],
    rng: np.random.Generator,
    torch_rng: torch.Generator,
    nuisance: float,
    *,
    shifted: bool = False,
) -> Float[Tensor, "b t 3 s s"]:
    """Return clips (RGB in 0..1) with random camera effects, each drawn per clip, rounded to 256 levels.

    ``nuisance`` scales how strong and how frequent the effects are. ``shifted`` draws from a camera that training never
    shows: lower resolution, shrunk by area averaging, and compressed in tiles of another size.
    """
    b, t, _, s, _ = clips.shape
    device = clips.device

    def to_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return to_device(rng.uniform(low, high, (b, *shape, *(1,) * (5 - 1 - len(shape)))).astype(np.float32))

    def choose_clips(share: float) -> Tensor:
        return to_device(rng.random(b) < share * nuisance)

    grey = clips.mean(2, keepdim=True)
    clips = torch.lerp(clips, grey, (uniform(0.0, 1.0) < 0.2).float() * uniform(0.5, 1.0))
    dark = choose_clips(0.15)[:, None, None, None, None]
    light = torch.where(dark, uniform(0.2, 0.6), uniform(0.55, 1.25))
    clips = clips.clamp_min(1e-4) ** uniform(0.7, 1.4) * light * uniform(0.92, 1.08, 1, 3)
    clips = clips * (1 + _flicker(rng, b, t, s, nuisance, device))
    if (chosen := choose_clips(0.4)).any():
        clips[chosen] = _blur(clips[chosen], float(rng.uniform(0.05, 0.3)))
    if (chosen := choose_clips(0.25 if not shifted else 0.5)).any():
        clips[chosen] = _coarsen(clips[chosen], float(rng.uniform(0.35, 0.9)), "area" if shifted else "bilinear")
    noise = torch.randn(b, t, 1, s, s, generator=torch_rng, device=device)
    # What is dark was amplified, and its noise with it.
    clips = clips + noise * uniform(0.0, 1.0).square() * torch.where(dark, 0.03, 0.02) * nuisance
    if (chosen := choose_clips(0.25)).any():
        clips[chosen] = _quantize(clips[chosen], float(rng.uniform(0.01, 0.06)))
    if (chosen := choose_clips(0.2)).any():
        tile = 7 if shifted else 8
        clips[chosen] = _skip_tiles(clips[chosen], float(rng.uniform(0.004, 0.015)), tile)
    return (clips.clamp(0, 1) * 255).round() / 255


def _flicker(
    rng: np.random.Generator, b: int, t: int, s: int, nuisance: float, device: torch.device
) -> Float[Tensor, "b t 1 s s"]:
    """Draw the relative brightness error of each pixel: slow waves, lamps, bands of a rolling shutter."""

    def amplitude(high: float, share: float = 1.0) -> np.ndarray:
        return (rng.uniform(0, high * nuisance, b) * (rng.random(b) < share))[:, None, None]

    def to_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(device)

    ticks = np.linspace(-1, 1, s)
    slow, slope = (random_waves(rng, b, t)[:, :, None] for _ in range(2))
    lamp = rng.normal(0, 1, (b, t, 1))
    phase = rng.uniform(0, 2 * np.pi, (b, 1, 1)) + rng.uniform(-2, 2, (b, 1, 1)) * np.arange(t)[:, None]
    bands = np.sin(rng.uniform(1, 6, (b, 1, 1)) * ticks + phase)  # b t s
    columns = slow * amplitude(0.05) + lamp * amplitude(0.02, 0.3) + slope * amplitude(0.04) * ticks
    rows = (bands - bands[:, :1]) * amplitude(0.03, 0.2)
    return to_device(columns)[:, :, None, None, :] + to_device(rows)[:, :, None, :, None]


def _blur(clips: Float[Tensor, "b t 3 s s"], weight: float) -> Float[Tensor, "b t 3 s s"]:
    """Return clips convolved along both axes with the kernel (``weight``, 1 - 2 ``weight``, ``weight``)."""
    for axis in (-1, -2):
        size = clips.shape[axis]
        before = torch.cat([clips.narrow(axis, 0, 1), clips.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([clips.narrow(axis, 1, size - 1), clips.narrow(axis, size - 1, 1)], axis)
        clips = clips * (1 - 2 * weight) + (before + after) * weight
    return clips


def _coarsen(clips: Float[Tensor, "b t 3 s s"], scale: float, mode: str) -> Float[Tensor, "b t 3 s s"]:
    """Return clips shrunk to the share ``scale`` of their side and enlarged again; ``mode`` picks the enlargement."""
    b, t, _, s, _ = clips.shape
    small = F.interpolate(clips.flatten(0, 1), size=max(8, round(s * scale)), mode="area")
    back = F.interpolate(small, size=s, mode="bicubic" if mode == "area" else "bilinear", align_corners=False)
    coarse: Float[Tensor, "b t 3 s s"] = back.unflatten(0, (b, t))
    return coarse


def _quantize(clips: Float[Tensor, "b t 3 s s"], step: float) -> Float[Tensor, "b t 3 s s"]:
    """Return clips with their 8 x 8 cosine coefficients rounded, high frequencies more coarsely, as codecs do."""
    order = torch.arange(8, device=clips.device, dtype=clips.dtype)
    cosine = torch.cos((order[None, :] + 0.5) * order[:, None] * torch.pi / 8) * 0.5
    cosine[0] *= 0.5**0.5
    steps = step * (1 + 0.6 * (order[:, None] + order[None, :]))
    tiles = clips.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8))  # b t 3 i 8 j 8
    spectrum = torch.einsum("ua,...iajb,vb->...iujv", cosine, tiles, cosine)
    spectrum = (spectrum / steps[:, None, :]).round() * steps[:, None, :]
    return torch.einsum("ua,...iujv,vb->...iajb", cosine, spectrum, cosine).reshape(clips.shape)


def _skip_tiles(clips: Float[Tensor, "b t 3 s s"], least: float, tile: int) -> Float[Tensor, "b t 3 s s"]:
    """Return clips in which a tile is updated only after a mean change of ``least``, as codecs do."""
    shown = [clips[:, 0]]
    for frame in clips[:, 1:].unbind(1):
        change = F.avg_pool2d((frame - shown[-1]).abs().mean(1, keepdim=True), tile)
        moves = F.interpolate((change > least).float(), size=frame.shape[-2:], mode="nearest")
        shown.append(torch.lerp(shown[-1], frame, moves))
    return torch.stack(shown, 1)
