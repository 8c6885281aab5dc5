"""Simulated clips with a known explanation, rendered from shipped faces or from others."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8

from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.rendered_game import (
    RenderedGame,
    render_game,
    render_time_game,
    render_unit_game,
    rendered_frames,
)
from mexplain.face.blocks import box_coverage, layout, mean_in_blocks, pooling_layout
from mexplain.media.progress import track
from mexplain.model.config import NUISANCE_UNITS, PRESETS, UNITS, ModelConfig
from mexplain.simulation.faces import MARGIN, FaceSet, read_faces, recrop
from mexplain.simulation.sampling import TEST_MIXTURES, ClipPlan, Mixture
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, draw_batch_plan

# Faces of people who do not exist and whom no training saw (``save_faces``), cut out for the preset ``lite``.
SHIPPED = Path(str(files("mexplain.evaluation.scorecard") / "data" / "known_people"))
SHIPPED_CLIPS = 200
SEED = 20_230_078


@dataclass(frozen=True)
class ClipRecipe:
    """What a known clip is rendered from: one person's face, and a plan of one clip."""

    person: FaceSet
    config: ModelConfig
    plan: BatchPlan

    @property
    def clip_plan(self) -> ClipPlan:
        """The plan of the clip."""
        return self.plan.clip_plans[0]

    @cached_property
    def source(self) -> Synthesizer:
        """What renders the clip."""
        return Synthesizer(self.person, self.config, torch.device("cpu"))

    def game(self, variant: str) -> RenderedGame:
        """Render the clip with each set of the blocks that move most held still (``variant`` names their layout)."""
        return render_game(self.source, self.plan, variant)

    def unit_game(self) -> RenderedGame:
        """Render the clip without each set of the action units, on either side, that move most."""
        return render_unit_game(self.source, self.plan)

    def time_game(self) -> RenderedGame:
        """Render the clip with the expression held at the onset in each set of a few stretches of time."""
        return render_time_game(self.source, self.plan)


@dataclass(frozen=True)
class KnownClip:
    """One clip and its ground truth.

    ``frames`` are aligned RGB, ``landmarks_xy`` the mesh at the onset in their pixels; ``label`` is a class number.
    ``expression`` is how far the expression moves each pixel at its apex, ``nuisance`` how far all else moves it at
    most, both in inter-ocular distances; ``course`` the expression's activation (0..1) in each frame; ``aus`` the
    action units that act, ``person`` whose face it is. ``recipe`` renders it again with parts held still (None: it was
    changed after it was rendered).
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    landmarks_xy: Float32[np.ndarray, "478 2"]
    label: int
    person: str
    expression: Float32[np.ndarray, "s s"]
    nuisance: Float32[np.ndarray, "s s"]
    course: Float32[np.ndarray, "t"]
    aus: tuple[int, ...]
    recipe: ClipRecipe | None = None

    @property
    def size(self) -> int:
        """The side of a frame, in pixels."""
        return int(self.frames.shape[1])

    @property
    def frame_ms(self) -> float | None:
        """The time from one frame to the next; None for a clip without a recipe."""
        if self.recipe is None:
            return None
        return 1000 * self.recipe.clip_plan.seconds / (len(self.frames) - 1)

    @property
    def moving(self) -> np.ndarray:
        """Mask of pixels that the expression moves at least half as far as its largest motion."""
        moving: np.ndarray = self.expression >= 0.5 * self.expression.max()
        return moving

    @property
    def face(self) -> np.ndarray:
        """Mask of pixels inside the 24 blocks."""
        boxes = layout("24").boxes(self.landmarks_xy)
        face: np.ndarray = box_coverage(boxes, self.size, self.size).max(axis=0) > 0.5
        return face

    @property
    def disturbed(self) -> np.ndarray:
        """Mask of pixels with at least half of the largest nuisance motion, where the expression moves nothing."""
        largest = max(0.5 * float(self.nuisance.max()), 0.005)
        disturbed: np.ndarray = (self.nuisance >= largest) & (self.expression < 0.1 * self.expression.max())
        return disturbed

    def boxes(self, variant: str) -> Float[np.ndarray, "m 4"]:
        """Return the blocks that a variant's attributions are pooled into, in pixels."""
        return pooling_layout(variant).boxes(self.landmarks_xy)

    def energy(self, variant: str) -> Float[np.ndarray, "m"]:
        """Return the mean squared motion of a variant's blocks."""
        return mean_in_blocks(self.expression.astype(np.float32) ** 2, self.boxes(variant))

    def input(self, device: torch.device) -> Float[torch.Tensor, "t 3 s s"]:
        """Return the frames as RGB in 0..1, as the network takes them."""
        return torch.from_numpy(self.frames).to(device).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class KnownClips:
    """Known clips, ordered so that no person repeats before all others have appeared.

    ``source`` describes their origin, ``sha256`` identifies the set.
    """

    clips: tuple[KnownClip, ...]
    source: str
    seed: int
    sha256: str

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[KnownClip]:
        return iter(self.clips)

    @property
    def people(self) -> int:
        """Number of people in the clips."""
        return len({clip.person for clip in self.clips})


def simulate_known_clips(
    faces: FaceSet, config: ModelConfig, count: int, seed: int = SEED, mixture: Mixture | None = None
) -> KnownClips:
    """Return ``count`` new clips of some people, by default with a steady camera.

    The first clips do not depend on how many follow.
    """
    mixture = mixture or TEST_MIXTURES["calm"]
    rng = np.random.default_rng(seed)
    rounds = -(-count // len(faces))
    order = np.concatenate([rng.permutation(len(faces)) for _ in range(rounds)])[:count]
    # One person at a time: a synthesizer picks people itself, and would pick some twice before others once.
    clips = tuple(
        _simulate_clip(
            FaceSet(faces.crops[[i]], faces.landmarks_iod[[i]], (faces.names[i],)), config, seed + k, mixture
        )
        for k, i in enumerate(track(order.tolist(), "clips simulated"))
    )
    folders = ", ".join(dict.fromkeys(name.rpartition("/")[0] for name in faces.names))
    recipe = json.dumps([seed, asdict(mixture), config.image_size, config.frames, config.crop_iod, config.labels])
    digest = hashlib.sha256(recipe.encode() + "\n".join(faces.names).encode() + faces.crops.tobytes())
    return KnownClips(clips, folders, seed, digest.hexdigest())


def load_known_clips(count: int | None = None, config: ModelConfig = PRESETS["lite"]) -> KnownClips:
    """Return the first ``count`` clips (default: all) of the shipped people, as a network of a config takes them.

    Where it sees more than the shipped pictures show, their borders are repeated, and ``source`` says so. Raises
    ``SettingError`` if there are fewer.
    """
    wanted = SHIPPED_CLIPS if count is None else count
    if not 1 <= wanted <= SHIPPED_CLIPS:
        raise SettingError(
            f"There are {SHIPPED_CLIPS} known clips, so 1 to {SHIPPED_CLIPS} can be used without --faces; got {wanted}."
        )
    shown_iod = PRESETS["lite"].crop_iod
    known = simulate_known_clips(recrop(read_faces(SHIPPED), shown_iod, config.crop_iod), config, wanted)
    beyond = f", borders repeated from {shown_iod * MARGIN:.1f} inter-ocular distances on"
    source = "shipped" + (beyond if config.crop_iod > shown_iod * MARGIN else "")
    return replace(known, source=source)


def _simulate_clip(person: FaceSet, config: ModelConfig, seed: int, mixture: Mixture) -> KnownClip:
    recipe = ClipRecipe(person, config, draw_batch_plan(config.labels, 1, 1, config.frames, mixture, seed))
    batch = recipe.source.make(recipe.plan)
    acting: Int[np.ndarray, "a"] = np.flatnonzero(batch.units[0].amax((1, 2)).numpy() > 0.3)
    return KnownClip(
        frames=rendered_frames(batch),
        landmarks_xy=batch.landmarks_xy[0].astype(np.float32),
        label=int(batch.labels[0]),
        person=person.names[0],
        expression=batch.expression[0].numpy().astype(np.float32),
        nuisance=batch.nuisance[0].numpy().astype(np.float32),
        course=batch.course[0].numpy().astype(np.float32),
        aus=tuple(UNITS[i] for i in acting.tolist() if UNITS[i] not in NUISANCE_UNITS),
        recipe=recipe,
    )
