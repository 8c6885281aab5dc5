"""Clips to train on, made on the device in batches: what moved is known, and so is what must not matter."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.face.affine import compose, invert
from mexplain.face.blocks import LAYOUTS
from mexplain.face.mesh import crop_to_iod, inter_ocular_distance, mean_shape, mirror
from mexplain.model.config import ModelConfig
from mexplain.records import VARIANTS
from mexplain.simulation.camera import adjust, draw_shots, reduce_noise, refresh_tiles, shutter_wobble
from mexplain.simulation.covering import Places, Still, cover_clips
from mexplain.simulation.degradation import degrade
from mexplain.simulation.events import random_waves
from mexplain.simulation.faces import CROP_PX, MARGIN, FaceSet
from mexplain.simulation.head_motion import draw_head_poses, head_parallax, similarity_about_face
from mexplain.simulation.mouth_cavity import INNER_LIPS, lip_motion, open_mouths
from mexplain.simulation.sampling import EYES, JAW, LIVELY, PARTS, ClipPlan, Mixture, draw_clip_plan
from mexplain.simulation.warp import dense_field, sample_bilinear

_NOSE_TIP = 4
_COVERED = 0.4  # share of clips with turning heads or moving cameras whose face is covered or lit from a side


@dataclass(frozen=True)
class TrainingBatch:
    """Simulated clips and their ground truth.

    ``frames`` are aligned RGB in 0..1; ``labels`` index the model's labels, -1 for a clip without an expression;
    ``landmarks_xy`` are the mesh at the onset in pixels, with the noise of a landmark detector, and ``boxes`` the
    identification blocks around them; ``energy`` is each block's mean squared motion at the apex (in squared IOD);
    ``course`` the expression's activation over time; ``motion`` all motion since the first frame, in IOD;
    ``expression`` each pixel's displacement by the expression alone at its apex, ``nuisance`` the largest displacement
    by everything else since the first frame, both in IOD of the person; ``units`` the activation of each action unit
    relative to the first frame, on the subject's right and left.
    """

    frames: Float[Tensor, "b t 3 s s"]
    labels: Int[Tensor, "b"]
    boxes: dict[str, Float[Tensor, "b _ 4"]]
    energy: dict[str, Float[Tensor, "b _"]]
    course: Float[Tensor, "b t"]
    motion: Float[Tensor, "b t 2 s s"]
    expression: Float[Tensor, "b s s"]
    nuisance: Float[Tensor, "b s s"]
    landmarks_xy: Float[np.ndarray, "b 478 2"]
    units: Float[Tensor, "b u 2 t"]
    intensity_iod: Float[Tensor, "b"]


@dataclass(frozen=True)
class BatchPlan:
    """Random content of a batch, small enough to be drawn in another process and sent.

    Another ``film_seed`` films the same movement of the same faces again: with another crop, drift, camera and grain
    (None: those that ``seed`` gives).
    """

    seed: int
    frames: int
    mixture: Mixture
    clip_plans: tuple[ClipPlan, ...]
    film_seed: int | None = None


def draw_batch_plan(
    labels: tuple[str, ...], people: int, size: int, frames: int, mixture: Mixture, seed: int
) -> BatchPlan:
    """Draw the content of ``size`` clips of ``frames`` frames."""
    rng = np.random.default_rng(seed)
    clip_plans = tuple(
        draw_clip_plan(rng, labels, people, frames, mixture, np.random.default_rng((seed, 2, number)))
        for number in range(size)
    )
    return BatchPlan(seed, frames, mixture, clip_plans)


class Synthesizer:
    """Makes batches from still faces; the same seed gives the same batch."""

    def __init__(self, faces: FaceSet, config: ModelConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.pictures = torch.from_numpy(faces.crops).permute(0, 3, 1, 2).contiguous().to(device)
        self.landmarks = faces.landmarks_iod
        self.to_iod = crop_to_iod(config.image_size, config.crop_iod)
        self.to_picture = crop_to_iod(CROP_PX, config.crop_iod * MARGIN)

    def __getstate__(self) -> dict[str, Any]:
        # Not every system lets another process see a GPU's memory.
        return self.__dict__ | {"pictures": self.pictures.cpu().numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.pictures = self._put(state["pictures"])

    def batch(self, size: int, frames: int, mixture: Mixture, seed: int) -> TrainingBatch:
        """Return ``size`` clips of ``frames`` frames."""
        return self.make(draw_batch_plan(self.config.labels, len(self.landmarks), size, frames, mixture, seed))

    def make(
        self,
        plan: BatchPlan,
        moving: Float[Tensor, "b s s"] | None = None,
        left_out: Float[np.ndarray, "b 2 478 2"] | None = None,
    ) -> TrainingBatch:
        """Return the clips of a plan.

        ``moving`` is the share (0..1) of the expression's motion that each pixel keeps, by default all; ``left_out``
        the landmarks' displacement, in each part of the expression and the unit of ``ClipPlan.parts``, that it goes
        without. Everything else in the clip stays as it is, and so does the scale of what is left.
        """
        clip_plans, mixture, frames, size = plan.clip_plans, plan.mixture, plan.frames, len(plan.clip_plans)
        rng = np.random.default_rng((plan.seed, 1))
        # Heads that turn and moving cameras draw from their own, so that a mixture without them keeps its clips.
        view_rng = np.random.default_rng((plan.seed, 3))
        turning, filmed = (view_rng.random(size) < share for share in (mixture.head_turns, mixture.camera))
        film_seed = plan.seed if plan.film_seed is None else plan.film_seed
        film_rng = rng if plan.film_seed is None else np.random.default_rng((film_seed, 1))
        torch_rng = torch.Generator(self.device).manual_seed(film_seed)
        people = np.array([clip_plan.person for clip_plan in clip_plans])
        flipped = np.array([clip_plan.flipped for clip_plan in clip_plans])
        points = self._faces(people, flipped)
        pictures = self.pictures[torch.from_numpy(people).to(self.device)].float() / 255
        pictures = torch.where(self._put(flipped)[:, None, None, None], pictures.flip(-1), pictures)

        # Every length from here on is in inter-ocular distances of the mean shape, as seen in the crop.
        view = self._views(rng, size, mixture)  # crop -> face, constant over the clip
        sway = self._sways(rng, size, frames, mixture)  # residual head motion after alignment
        if film_rng is not rng:
            view, sway = self._views(film_rng, size, mixture), self._sways(film_rng, size, frames, mixture)
        inverse = invert(view)
        points = points @ inverse[..., :2].transpose(0, 2, 1) + inverse[:, None, :, 2]
        iod = inter_ocular_distance(points)
        parts = np.stack([clip_plan.parts for clip_plan in clip_plans]) * iod[:, None, None, None]
        moves = parts if left_out is None else np.concatenate([parts, left_out * iod[:, None, None, None]], 1)
        courses = self._put(np.stack([clip_plan.courses for clip_plan in clip_plans]))
        ticks = self._put(self.to_iod[0, 0] * (np.arange(self.config.image_size, dtype=np.float32) + 0.5))
        x, y = ticks + float(self.to_iod[0, 2]), ticks + float(self.to_iod[1, 2])
        # The field is smooth: half the resolution does.
        half_x, half_y = F.avg_pool1d(torch.stack([x, y]), 2)
        field = _double(self._field(rng, self._put(points), moves, iod, half_x, half_y, shifted=mixture.shifted))
        field, back = field[:, :PARTS], field[:, PARTS:]
        intensity = np.array([clip_plan.intensity for clip_plan in clip_plans], np.float32)
        peak = _length(field[:, :2].sum(1), 1).amax((1, 2)).clamp_min(1e-6)
        if left_out is not None:
            field[:, :2] -= back
        field[:, :2] *= (self._put(intensity * iod) / peak)[:, None, None, None, None]
        if moving is not None:
            field[:, :2] *= moving[:, None, None]

        turns = np.array([clip_plan.turn for clip_plan in clip_plans]) * mixture.nuisance
        nuisance = torch.einsum("bgt,bgcyx->btcyx", courses[:, 2:], field[:, 2:])
        nuisance = nuisance + self._parallax(rng, turns * ~turning, frames, x, y)
        yaw = np.zeros((size, frames))
        if turning.any():
            poses = draw_head_poses(view_rng, int(turning.sum()), frames)
            relief, yaw[turning] = view_rng.uniform(0.85, 1.15, len(poses)), poses[..., 0]
            nuisance[self._put(turning)] += _double(head_parallax(points[turning], poses, relief, half_x, half_y))
        if filmed.any():
            nuisance[self._put(filmed)] += _double(shutter_wobble(view_rng, points[filmed], frames, half_x, half_y))
        moved = torch.einsum("bgt,bgcyx->btcyx", courses[:, :2], field[:, :2]) + nuisance
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])
        whole = compose(sway, view[:, None])
        linear, shift = self._put(whole[..., :2]), self._put(whole[..., 2])[..., None, None]
        scale, corner = float(self.to_picture[0, 0]), self._put(self.to_picture[:, 2])[:, None, None]
        places = (torch.einsum("btij,btjyx->btiyx", linear, grid - moved) + shift - corner) / scale
        clips = sample_bilinear(pictures, places)
        lively = np.array([clip_plan.parts[LIVELY].any() for clip_plan in clip_plans])
        if lively.any():
            chosen, unit = self._put(lively), float(self.to_iod[0, 0])
            spoken = np.stack([clip_plan.courses[LIVELY] for clip_plan in clip_plans])[lively]
            parted = np.einsum("bgt,bgnc->btnc", spoken, lip_motion(parts[lively, LIVELY]))
            rest = moved[chosen] - torch.einsum("bgt,bgcyx->btcyx", self._put(spoken), field[chosen, LIVELY])
            back = compose(invert(whole), view[:, None])[lively]
            lips = points[lively][:, None, INNER_LIPS.ravel()] @ back[..., :2].swapaxes(-1, -2)
            lips = (lips + back[:, :, None, :, 2] - self.to_iod[:, 2]) / unit
            mouth_rng = np.random.default_rng((plan.seed, 4))
            clips[chosen] = open_mouths(clips[chosen], lips, parted / unit, rest / unit, iod[lively] / unit, mouth_rng)
        cover_rng = np.random.default_rng((plan.seed, 5))
        if (covered := np.flatnonzero((turning | filmed) & (cover_rng.random(size) < _COVERED))).size:
            # Glasses do not follow the muscles.
            muscles = torch.einsum("bgt,bgcyx->btcyx", courses[covered], field[covered])
            held = places[covered] + torch.einsum("btij,btjyx->btiyx", linear[covered], muscles) / scale
            in_picture = (self._faces(people, flipped)[covered] - self.to_picture[:, 2]) / self.to_picture[0, 0]
            unlabelled = np.array([clip_plan.label < 0 for clip_plan in clip_plans])[covered]
            clips[covered] = cover_clips(
                cover_rng,
                clips[covered],
                Still(pictures[covered], in_picture.astype(np.float32), self.config.crop_iod),
                Places(places[covered], held, yaw[covered]),
                hands=unlabelled,
            )
        if filmed.any():
            clips[self._put(filmed)] = adjust(clips[self._put(filmed)], view_rng)
        clips = degrade(clips, film_rng, torch_rng, mixture.nuisance, shifted=mixture.shifted)
        if (smeared := filmed & (view_rng.random(size) < 0.3)).any():
            clips[self._put(smeared)] = reduce_noise(clips[self._put(smeared)], view_rng)
        still = np.array([clip_plan.still for clip_plan in clip_plans])
        clips[self._put(still)] = clips[self._put(still), :1]
        if (coded := still & (view_rng.random(size) < 0.5)).any():
            clips[self._put(coded)] = refresh_tiles(clips[self._put(coded)], view_rng)

        # Who speaks is not at rest in the first frame, where the landmarks are found.
        points = points + np.einsum(
            "bg,bgnc->bnc", np.stack([clip_plan.courses[LIVELY, 0] for clip_plan in clip_plans]), parts[:, LIVELY]
        )
        on_crop = (points + film_rng.normal(0, 0.006, points.shape) - self.to_iod[:, 2]) / self.to_iod[0, 0]
        on_crop = on_crop.astype(np.float32)
        boxes = {variant: LAYOUTS[variant].boxes(on_crop) for variant in VARIANTS}
        squared = (field[:, :2].sum(1) / self._put(iod)[:, None, None, None]).pow(2).sum(1)
        drift = torch.einsum("btij,jyx->btiyx", linear - linear[:, :1], grid) + shift - shift[:, :1]
        # No frame of a still clip differs from its first.
        for truth in (nuisance, moved, drift):
            truth[self._put(still)] = truth[self._put(still), :1]
        units = self._put(np.stack([clip_plan.units for clip_plan in clip_plans]))
        for index in np.flatnonzero(filmed & ~still & (view_rng.random(size) < 0.3)).tolist():
            shots = self._put(draw_shots(view_rng, frames))
            for values in (clips, courses.transpose(1, 2), units.permute(0, 3, 1, 2), nuisance, moved, drift):
                values[index] = values[index, shots]
        return TrainingBatch(
            frames=clips,
            labels=self._put(np.array([clip_plan.label for clip_plan in clip_plans])),
            boxes={variant: self._put(corners) for variant, corners in boxes.items()},
            energy={variant: box_means(squared, self._put(corners)) for variant, corners in boxes.items()},
            course=courses[:, 0],
            motion=moved - moved[:, :1] - drift,
            expression=squared.sqrt(),
            nuisance=_length(nuisance - nuisance[:, :1] - drift, 2).amax(1) / self._put(iod)[:, None, None],
            landmarks_xy=on_crop,
            units=units,
            intensity_iod=self._put(intensity),
        )

    def _field(
        self,
        rng: np.random.Generator,
        points: Float[Tensor, "b n 2"],
        parts: Float[np.ndarray, "b g n 2"],
        iod: Float[np.ndarray, "b"],
        x: Tensor,
        y: Tensor,
        *,
        shifted: bool,
    ) -> Float[Tensor, "b g 2 h w"]:
        """Return the displacement field of each part at full activation.

        Lids and eyes have kernels of their own: they move beneath skin that stays. Lids, jaw and lively motion keep the
        peak that ``parts`` gives them, which the kernel's mean would flatten; expressions are scaled by the caller.
        """

        def kernel(narrow: float, broad: float) -> Tensor:
            return self._put(rng.uniform(narrow, broad, len(iod)).astype(np.float32) * iod)

        power = float(rng.choice((1.0, 4.0))) if shifted else 2.0
        skin = kernel(0.045, 0.20) if shifted else kernel(0.055, 0.14)
        moves = self._put(parts)
        field = dense_field(points, moves, skin, x, y, power)
        field[:, EYES] = dense_field(points, moves[:, EYES], kernel(0.03, 0.12), x, y)
        for part in (EYES.start, JAW):
            target, peak = _length(moves[:, part], -1).amax(1), _length(field[:, part], 1).amax((1, 2))
            field[:, part] *= (target / peak.clamp_min(1e-6))[:, None, None, None]
        # The parts of one lively motion add up: they share the scale of the first, which moves most.
        first = LIVELY.start
        target, peak = _length(moves[:, first], -1).amax(1), _length(field[:, first], 1).amax((1, 2))
        field[:, LIVELY] *= (target / peak.clamp_min(1e-6))[:, None, None, None, None]
        return field

    def _faces(self, people: Int[np.ndarray, "b"], flipped: Bool[np.ndarray, "b"]) -> Float[np.ndarray, "b 478 2"]:
        points: Float[np.ndarray, "b 478 2"] = self.landmarks[people]
        points[flipped] = points[flipped][:, mirror()] * np.array((-1, 1), np.float32)
        return points

    def _put(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _views(self, rng: np.random.Generator, size: int, mixture: Mixture) -> Float[np.ndarray, "b 2 3"]:
        spread = np.array([0.08, 0.05, 0.04, 0.04]) * mixture.nuisance
        return similarity_about_face(rng.uniform(-1, 1, (size, 4)) * spread)

    def _sways(self, rng: np.random.Generator, size: int, t: int, mixture: Mixture) -> Float[np.ndarray, "b t 2 3"]:
        """Draw the head motion that alignment leaves: a slow drift, and jitter from frame to frame."""
        drift = random_waves(rng, size * 4, t).reshape(size, 4, t).transpose(0, 2, 1)
        drift = drift * rng.uniform(0, 1, (size, 1, 1)) ** 3 * np.array([0.006, 0.005, 0.010, 0.010])
        jitter = rng.normal(0, 1, (size, t, 4)) * rng.uniform(0, 1, (size, 1, 1)) ** 3
        return similarity_about_face((drift + jitter * np.array([0.001, 0.001, 0.0025, 0.0025])) * mixture.nuisance)

    def _parallax(
        self, rng: np.random.Generator, turns: Float[np.ndarray, "b"], t: int, x: Tensor, y: Tensor
    ) -> Float[Tensor, "b t 2 s s"]:
        """Draw the motion of a turning head, an ellipsoid with a nose, that a similarity transform cannot align."""
        depth = (1 - (x[None, :] / 1.05) ** 2 - ((y[:, None] - 0.5) / 1.4) ** 2).clamp_min(0).sqrt()
        tip_x, tip_y = mean_shape()[_NOSE_TIP].tolist()
        away = ((x[None, :] - tip_x) / 0.18) ** 2 + ((y[:, None] - tip_y) / 0.25) ** 2
        depth = depth + 0.3 * torch.exp(-0.5 * away)
        size = len(turns)
        turn = random_waves(rng, size * 2, t).reshape(size, 2, t).transpose(0, 2, 1)
        turn = turn * (rng.uniform(0, 1, (size, 1, 1)) ** 2 * 0.025 * turns[:, None, None])
        return self._put(turn.astype(np.float32))[..., None, None] * (depth - depth.mean())


def _double(fields: Float[Tensor, "b g 2 h w"]) -> Float[Tensor, "b g 2 h2 w2"]:
    doubled: Tensor = F.interpolate(fields.flatten(1, 2), scale_factor=2, mode="bilinear")
    return doubled.view(*fields.shape[:3], *doubled.shape[-2:])


def _length(vectors: Float[Tensor, "*b"], axis: int) -> Float[Tensor, "*c"]:
    # Over an axis that is not the last, torch's own norm takes twenty times as long on a CPU.
    return vectors.square().sum(axis).sqrt()


def box_means(pixel_map: Float[Tensor, "b s s"], boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n"]:
    """Return the mean of each map over each box: a differentiable, batched mean on the maps' device."""
    edges = torch.arange(pixel_map.shape[-1], device=pixel_map.device)

    def inside(low: Tensor, high: Tensor) -> Tensor:
        return (torch.minimum(high[..., None], edges + 1) - torch.maximum(low[..., None], edges)).clamp(0, 1)

    columns, rows = inside(boxes[..., 0], boxes[..., 2]), inside(boxes[..., 1], boxes[..., 3])
    total = torch.einsum("bny,byx,bnx->bn", rows, pixel_map, columns)
    return total / (rows.sum(-1) * columns.sum(-1)).clamp_min(1e-9)
