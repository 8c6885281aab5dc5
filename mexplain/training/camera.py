"""What a camera adds to a clip and must not matter: light, blur, compression, noise."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.training.script import wave


def degrade(
    clips: Float[Tensor, "b t 3 s s"], rng: np.random.Generator, torch_rng: torch.Generator, nuisance: float
) -> Float[Tensor, "b t 3 s s"]:
    """Return the clips as a camera would give them: lit, blurred, compressed, noisy, in 256 levels."""
    b, t, _, s, _ = clips.shape
    device = clips.device

    def put(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    def each(low: float, high: float, *shape: int) -> Tensor:
        return put(rng.uniform(low, high, (b, *shape, *(1,) * (5 - 1 - len(shape)))).astype(np.float32))

    grey = clips.mean(2, keepdim=True)
    clips = torch.lerp(clips, grey, (each(0.0, 1.0) < 0.2).float() * each(0.5, 1.0))
    clips = clips.clamp_min(1e-4) ** each(0.7, 1.4) * each(0.55, 1.25) * each(0.92, 1.08, 1, 3)
    flicker = put(wave(rng, b, t)).view(b, t, 1, 1, 1) * each(0.0, 0.04 * nuisance)
    side = torch.linspace(-1, 1, s, device=device)
    slope = put(wave(rng, b, t)).view(b, t, 1, 1, 1) * each(0.0, 0.03 * nuisance) * side
    clips = clips * (1 + flicker + slope)
    soft = rng.random(b) < 0.4 * nuisance
    if soft.any():
        chosen = put(soft)
        clips[chosen] = _blur(clips[chosen], float(rng.uniform(0.05, 0.3)))
    blocky = rng.random(b) < 0.25 * nuisance
    if blocky.any():
        chosen = put(blocky)
        clips[chosen] = _quantise(clips[chosen], float(rng.uniform(0.01, 0.06)))
    noise = torch.randn(b, t, 1, s, s, generator=torch_rng, device=device)
    clips = clips + noise * each(0.0, 1.0).square() * 0.02 * nuisance
    return (clips.clamp(0, 1) * 255).round() / 255


def _blur(clips: Float[Tensor, "b t 3 s s"], weight: float) -> Float[Tensor, "b t 3 s s"]:
    """Return the clips with each pixel mixed with its neighbours, which weigh ``weight`` each way."""
    for axis in (-1, -2):
        size = clips.shape[axis]
        before = torch.cat([clips.narrow(axis, 0, 1), clips.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([clips.narrow(axis, 1, size - 1), clips.narrow(axis, size - 1, 1)], axis)
        clips = clips * (1 - 2 * weight) + (before + after) * weight
    return clips


def _quantise(clips: Float[Tensor, "b t 3 s s"], step: float) -> Float[Tensor, "b t 3 s s"]:
    """Return the clips with their 8 x 8 cosine coefficients rounded, finer ones more coarsely, as codecs do."""
    order = torch.arange(8, device=clips.device, dtype=clips.dtype)
    cosine = torch.cos((order[None, :] + 0.5) * order[:, None] * torch.pi / 8) * 0.5
    cosine[0] *= 0.5**0.5
    steps = step * (1 + 0.6 * (order[:, None] + order[None, :]))
    tiles = clips.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8))  # b t 3 i 8 j 8
    spectrum = torch.einsum("ua,...iajb,vb->...iujv", cosine, tiles, cosine)
    spectrum = (spectrum / steps[:, None, :]).round() * steps[:, None, :]
    return torch.einsum("ua,...iujv,vb->...iajb", cosine, spectrum, cosine).reshape(clips.shape)
