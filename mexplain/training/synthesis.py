"""Clips to train on, made on the device in batches: what moved is known, and so is what must not matter."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.blocks import LAYOUTS
from mexplain.landmarks import crop_to_iod, inter_ocular_distance, mirror
from mexplain.model import ModelConfig
from mexplain.simulate.action_units import ACTION_UNITS, full_displacement, gaze_displacement
from mexplain.simulate.warp import dense_field, sample
from mexplain.training.coding import CASME2_CODING
from mexplain.training.faces import CROP_PX, MARGIN, FaceSet
from mexplain.types import VARIANTS

TRAINED_UNITS = tuple(
    sorted({unit for coding in CASME2_CODING.values() for aus in coding.combinations for unit in aus})
)
# Independent motions in a clip: two parts of the expression (they need not start together), blink, gaze, a twitch.
_PARTS = 5


@dataclass(frozen=True)
class Mixture:
    """What goes into a batch.

    ``intensity_iod`` is the range of the peak (drawn evenly on a log scale) and ``wide_iod`` a second one, used for
    the share ``wide``; ``nuisance`` scales everything that must not matter; ``empty`` is the share of clips with
    nothing but that.
    """

    intensity_iod: tuple[float, float] = (0.02, 0.10)
    wide_iod: tuple[float, float] = (0.012, 0.30)
    wide: float = 0.25
    nuisance: float = 1.0
    empty: float = 0.10


PROBE = Mixture(wide=0.0, empty=0.0)
MICRO = Mixture()
MACRO = Mixture(intensity_iod=(0.05, 0.40), wide_iod=(0.02, 0.40), wide=0.3, empty=0.05)


@dataclass(frozen=True)
class Batch:
    """Simulated clips, and what is true of them.

    ``frames`` are aligned RGB in 0..1; ``labels`` index the model's, -1 for a clip with nothing but nuisance;
    ``boxes`` as the network takes them; ``energy`` each block's mean squared motion at the apex (squared IOD);
    ``course`` the expression's activation over time; ``motion`` all motion since the first frame, in IOD;
    ``units`` says which action units act on the subject's right and left.
    """

    frames: Float[Tensor, "b t 3 s s"]
    labels: Int[Tensor, "b"]
    boxes: dict[str, Float[Tensor, "b _ 4"]]
    energy: dict[str, Float[Tensor, "b _"]]
    course: Float[Tensor, "b t"]
    motion: Float[Tensor, "b t 2 s s"]
    units: Float[Tensor, "b u 2"]
    intensity_iod: Float[Tensor, "b"]


@dataclass(frozen=True)
class _Script:
    """One clip's plan, drawn on the CPU: how landmarks move (in IOD of this person), and when."""

    label: int
    person: int
    flipped: bool
    intensity: float
    parts: Float[np.ndarray, "g 478 2"]
    courses: Float[np.ndarray, "g t"]
    units: Float[np.ndarray, "u 2"]


class Synthesizer:
    """Makes batches from still faces; the same seed gives the same batch."""

    def __init__(self, faces: FaceSet, config: ModelConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.pictures = torch.from_numpy(faces.crops).permute(0, 3, 1, 2).contiguous().to(device)
        self.landmarks = faces.landmarks_iod
        self.full = {(unit, side): full_displacement(unit, side) for unit in ACTION_UNITS for side in ("left", "right")}
        self.to_iod = crop_to_iod(config.image_size, config.crop_iod)
        self.to_picture = crop_to_iod(CROP_PX, config.crop_iod * MARGIN)

    def batch(self, size: int, frames: int, mixture: Mixture, seed: int) -> Batch:
        """Return ``size`` clips of ``frames`` frames."""
        rng = np.random.default_rng(seed)
        torch_rng = torch.Generator(self.device).manual_seed(seed)
        scripts = [self._script(rng, frames, mixture) for _ in range(size)]
        people = np.array([script.person for script in scripts])
        flipped = np.array([script.flipped for script in scripts])
        points = self.landmarks[people]
        points[flipped] = points[flipped][:, mirror()] * np.float32((-1, 1))
        pictures = self.pictures[torch.from_numpy(people).to(self.device)].float() / 255
        pictures = torch.where(self._put(flipped)[:, None, None, None], pictures.flip(-1), pictures)

        # Every length from here on is in inter-ocular distances of the mean shape, as seen in the crop.
        view = self._views(rng, size, mixture)  # crop -> face, still over the clip
        sway = self._sways(rng, size, frames, mixture)  # what is left of head motion after alignment
        inverse = _invert(view)
        points = (np.einsum("bij,bnj->bni", inverse[..., :2], points) + inverse[:, None, :, 2]).astype(np.float32)
        iod = inter_ocular_distance(points)
        parts = np.stack([script.parts for script in scripts]) * iod[:, None, None, None]
        courses = self._put(np.stack([script.courses for script in scripts]))
        ticks = self._put(self.to_iod[0, 0] * (np.arange(self.config.image_size, dtype=np.float32) + 0.5))
        x, y = ticks + float(self.to_iod[0, 2]), ticks + float(self.to_iod[1, 2])
        kernel = self._put(rng.uniform(0.06, 0.12, size).astype(np.float32) * iod)
        # The field is smooth: half the resolution does.
        half_x, half_y = F.avg_pool1d(torch.stack([x, y]), 2)
        field = dense_field(self._put(points), self._put(parts), kernel, half_x, half_y)
        field = F.interpolate(field.flatten(1, 2), scale_factor=2, mode="bilinear").view(size, _PARTS, 2, len(y), -1)
        peak = field[:, :2].sum(1).norm(dim=1).amax((1, 2)).clamp_min(1e-6)
        wanted = np.array([script.intensity for script in scripts], np.float32)
        field[:, :2] *= (self._put(wanted * iod) / peak)[:, None, None, None, None]

        moved = torch.einsum("bgt,bgcyx->btcyx", courses, field) + self._parallax(rng, size, frames, mixture, x, y)
        here = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])
        whole = _compose(view[:, None], sway)
        linear, shift = self._put(whole[..., :2]), self._put(whole[..., 2])[..., None, None]
        scale, corner = float(self.to_picture[0, 0]), self._put(self.to_picture[:, 2])[:, None, None]
        places = (torch.einsum("btij,btjyx->btiyx", linear, here - moved) + shift - corner) / scale
        clips = self._degrade(sample(pictures, places), rng, torch_rng, mixture)

        on_crop = (points + rng.normal(0, 0.006, points.shape) - self.to_iod[:, 2]) / self.to_iod[0, 0]
        boxes = {variant: LAYOUTS[variant].boxes(on_crop.astype(np.float32)) for variant in VARIANTS}
        squared = (field[:, :2].sum(1) / self._put(iod)[:, None, None, None]).pow(2).sum(1)
        drift = torch.einsum("btij,jyx->btiyx", linear - linear[:, :1], here) + shift - shift[:, :1]
        return Batch(
            frames=clips,
            labels=self._put(np.array([script.label for script in scripts])),
            boxes={variant: self._put(corners) for variant, corners in boxes.items()},
            energy={variant: _box_means(squared, self._put(corners)) for variant, corners in boxes.items()},
            course=courses[:, 0],
            motion=moved - moved[:, :1] - drift,
            units=self._put(np.stack([script.units for script in scripts])),
            intensity_iod=self._put(wanted),
        )

    def _put(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _script(self, rng: np.random.Generator, frames: int, mixture: Mixture) -> _Script:
        """Draw label, action units, side, strength and timing of one clip after the coding tables."""
        label = int(rng.integers(len(self.config.labels)))
        coding = CASME2_CODING[self.config.labels[label]]
        counts = np.array(list(coding.combinations.values()), float)
        # Rare combinations are drawn more often than they occur, so that each is seen.
        chances = counts**0.7 / (counts**0.7).sum()
        aus = list(coding.combinations)[rng.choice(len(counts), p=chances)]
        sides = [str(rng.choice(["left", "right"]))] if rng.random() < coding.one_sided else ["left", "right"]
        parts = np.zeros((_PARTS, 478, 2), np.float32)
        units = np.zeros((len(TRAINED_UNITS), 2), np.float32)
        late = rng.integers(0, 2, len(aus))
        late[0] = 0
        empty = rng.random() < mixture.empty
        for unit, part in zip(aus, late, strict=True):
            strength = rng.uniform(0.6, 1.0)
            for side in () if empty else sides:
                parts[part] += strength * rng.uniform(0.8, 1.0) * self.full[unit, side]
                units[TRAINED_UNITS.index(unit), ("right", "left").index(side)] = 1
        # No two people's muscles pull alike: bend and stretch the motion a little, smoothly over the face.
        parts[:2] = _individual(rng, parts[:2])
        low, high = mixture.wide_iod if rng.random() < mixture.wide else mixture.intensity_iod
        courses = np.zeros((_PARTS, frames), np.float32)
        courses[0], lag = _event_course(rng, frames)
        courses[1] = np.interp(np.linspace(0, 1, frames) - lag, np.linspace(0, 1, frames), courses[0])
        if rng.random() < 0.35 * mixture.nuisance:
            blink = self.full[45, "left"] + self.full[45, "right"]
            parts[2] = blink * rng.uniform(0.2, 1.0) * mixture.nuisance
            courses[2] = _blip(frames, rng.uniform(0, 1), rng.uniform(0.08, 0.5))
        if rng.random() < 0.35 * mixture.nuisance:
            parts[3] = gaze_displacement(rng.uniform(-0.08, 0.08), rng.uniform(-0.03, 0.03))
            courses[3] = np.clip((np.linspace(0, 1, frames) - rng.uniform(0, 1)) / rng.uniform(0.02, 0.3), 0, 1)
        twitch = sum(rng.normal(0, 1) * self.full[unit, side] for unit, side in self.full if unit not in (26, 45))
        parts[4] = twitch * (rng.uniform(0, 0.006) * mixture.nuisance / np.linalg.norm(twitch, axis=-1).max())
        courses[4] = _wave(rng, 1, frames)[0]
        return _Script(
            label=-1 if empty else label,
            person=int(rng.integers(len(self.landmarks))),
            flipped=bool(rng.random() < 0.5),
            intensity=0.0 if empty else float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            parts=parts,
            courses=courses,
            units=units,
        )

    def _views(self, rng: np.random.Generator, size: int, mixture: Mixture) -> Float[np.ndarray, "b 2 3"]:
        spread = np.array([0.08, 0.05, 0.04, 0.04]) * mixture.nuisance
        return _similarity(rng.uniform(-1, 1, (size, 4)) * spread)

    def _sways(self, rng: np.random.Generator, size: int, t: int, mixture: Mixture) -> Float[np.ndarray, "b t 2 3"]:
        """Return what alignment leaves of the head's motion: a slow drift, and jitter from frame to frame."""
        drift = _wave(rng, size * 4, t).reshape(size, 4, t).transpose(0, 2, 1)
        drift = drift * rng.uniform(0, 1, (size, 1, 1)) ** 2 * np.array([0.012, 0.010, 0.020, 0.020])
        jitter = rng.normal(0, 1, (size, t, 4)) * rng.uniform(0, 1, (size, 1, 1)) ** 2
        return _similarity((drift + jitter * np.array([0.002, 0.002, 0.005, 0.005])) * mixture.nuisance)

    def _parallax(
        self, rng: np.random.Generator, size: int, t: int, mixture: Mixture, x: Tensor, y: Tensor
    ) -> Float[Tensor, "b t 2 s s"]:
        """Return the motion of a slightly turning head, an ellipsoid, beyond what a similarity takes out."""
        depth = (1 - (x[None, :] / 1.05) ** 2 - ((y[:, None] - 0.5) / 1.4) ** 2).clamp_min(0).sqrt()
        turn = _wave(rng, size * 2, t).reshape(size, 2, t).transpose(0, 2, 1)
        turn = turn * (rng.uniform(0, 1, (size, 1, 1)) ** 2 * 0.025 * mixture.nuisance)
        return self._put(turn.astype(np.float32))[..., None, None] * (depth - depth.mean())

    def _degrade(
        self, clips: Float[Tensor, "b t 3 s s"], rng: np.random.Generator, torch_rng: torch.Generator, mixture: Mixture
    ) -> Float[Tensor, "b t 3 s s"]:
        """Return the clips as a camera would give them: lit, blurred, compressed, noisy, in 256 levels."""
        b, t, _, s, _ = clips.shape

        def each(low: float, high: float, *shape: int) -> Tensor:
            return self._put(rng.uniform(low, high, (b, *shape, *(1,) * (5 - 1 - len(shape)))).astype(np.float32))

        grey = clips.mean(2, keepdim=True)
        clips = torch.lerp(clips, grey, (each(0, 1) < 0.2).float() * each(0.5, 1))
        clips = clips.clamp_min(1e-4) ** each(0.7, 1.4) * each(0.55, 1.25) * each(0.92, 1.08, 1, 3)
        flicker = self._put(_wave(rng, b, t)).view(b, t, 1, 1, 1) * each(0, 0.04 * mixture.nuisance)
        side = torch.linspace(-1, 1, s, device=self.device)
        slope = self._put(_wave(rng, b, t)).view(b, t, 1, 1, 1) * each(0, 0.03 * mixture.nuisance) * side
        clips = clips * (1 + flicker + slope)
        soft = rng.random(b) < 0.4 * mixture.nuisance
        if soft.any():
            chosen = self._put(soft)
            clips[chosen] = _blur(clips[chosen], float(rng.uniform(0.05, 0.3)))
        blocky = rng.random(b) < 0.25 * mixture.nuisance
        if blocky.any():
            chosen = self._put(blocky)
            clips[chosen] = _quantise(clips[chosen], float(rng.uniform(0.01, 0.06)))
        noise = torch.randn(b, t, 1, s, s, generator=torch_rng, device=self.device)
        clips = clips + noise * each(0, 1).square() * 0.02 * mixture.nuisance
        return (clips.clamp(0, 1) * 255).round() / 255


def with_nuisance(mixture: Mixture, nuisance: float) -> Mixture:
    """Return the same mixture with everything that must not matter scaled."""
    return replace(mixture, nuisance=nuisance)


def _event_course(rng: np.random.Generator, frames: int) -> tuple[Float[np.ndarray, "t"], float]:
    """Return an onset-apex-offset course over a window cut more or less closely, and a lag for a second muscle."""
    kind = rng.random()
    if kind < 0.5:  # cut at onset and offset
        start, apex, end = rng.uniform(-0.04, 0.08), rng.uniform(0.28, 0.72), rng.uniform(0.88, 1.15)
    elif kind < 0.8:  # cut loosely
        start = rng.uniform(0, 0.45)
        apex = start + rng.uniform(0.10, 0.35)
        end = apex + rng.uniform(0.10, 0.45)
    else:  # ends before it is over
        start, apex, end = rng.uniform(0, 0.4), rng.uniform(0.6, 1.0), 9.0
    hold = rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0
    ticks = np.linspace(0, 1, frames)
    ramp = np.interp(ticks, (start, apex, apex + hold + 1e-6, max(end, apex + hold + 0.1)), (0, 1, 1, 0))
    if end > 2:
        ramp = np.interp(ticks, (start, apex), (0, 1))
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32), float(rng.uniform(0, 0.12))


def _blip(frames: int, middle: float, width: float) -> Float[np.ndarray, "t"]:
    distance = np.abs(np.linspace(0, 1, frames) - middle) / (width / 2)
    return np.clip(1 - distance, 0, 1).astype(np.float32)


def _wave(rng: np.random.Generator, count: int, frames: int) -> Float[np.ndarray, "n t"]:
    """Return smooth random courses of about unit size that start at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (2, count, 2, 1))[0], rng.uniform(0.1, 1.5, (count, 2, 1))
    waves = np.sin(2 * np.pi * rate * np.linspace(0, 1, frames) + phase) - np.sin(phase)
    return waves.mean(axis=1).astype(np.float32)


def _individual(rng: np.random.Generator, parts: Float[np.ndarray, "g 478 2"]) -> Float[np.ndarray, "g 478 2"]:
    turn = rng.normal(0, 0.15, len(parts))
    rotation = np.stack([np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], -2)
    bent = np.einsum("gij,gnj->gni", rotation, parts)
    return (bent * rng.uniform(0.8, 1.2, (len(parts), 1, 2))).astype(np.float32)


def _similarity(values: Float[np.ndarray, "*b 4"]) -> Float[np.ndarray, "*b 2 3"]:
    """Return maps that scale by exp(v0), turn by v1 rad and shift by (v2, v3), about the middle of the face."""
    scale, angle, shift = np.exp(values[..., 0]), values[..., 1], values[..., 2:]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    middle = np.array([0.0, 0.5])
    return np.concatenate([linear, (middle - linear @ middle + shift)[..., None]], -1).astype(np.float32)


def _compose(first: Float[np.ndarray, "*b 2 3"], then: Float[np.ndarray, "*c 2 3"]) -> Float[np.ndarray, "*d 2 3"]:
    linear = then[..., :2] @ first[..., :2]
    shift = (then[..., :2] @ first[..., 2:])[..., 0] + then[..., 2]
    return np.concatenate([linear, shift[..., None]], -1).astype(np.float32)


def _invert(maps: Float[np.ndarray, "*b 2 3"]) -> Float[np.ndarray, "*b 2 3"]:
    linear = np.linalg.inv(maps[..., :2])
    return np.concatenate([linear, -(linear @ maps[..., 2:])], -1).astype(np.float32)


def _box_means(pixel_map: Float[Tensor, "b s s"], boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n"]:
    """Return the mean of each map over each box: ``blocks.mean_in_blocks`` for a batch, on the device."""
    edges = torch.arange(pixel_map.shape[-1], device=pixel_map.device)

    def inside(low: Tensor, high: Tensor) -> Tensor:
        return (torch.minimum(high[..., None], edges + 1) - torch.maximum(low[..., None], edges)).clamp(0, 1)

    columns, rows = inside(boxes[..., 0], boxes[..., 2]), inside(boxes[..., 1], boxes[..., 3])
    total = torch.einsum("bny,byx,bnx->bn", rows, pixel_map, columns)
    return total / (rows.sum(-1) * columns.sum(-1)).clamp_min(1e-9)


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
