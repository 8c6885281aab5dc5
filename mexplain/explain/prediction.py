"""What the network's variants predict of one clip: all that explanations start from."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.errors import CheckpointError
from mexplain.explain.decision import Circumstances, Decision, VariantPrediction, circumstances_of
from mexplain.explain.evidence import HEAD
from mexplain.explain.spotting import single_moment
from mexplain.explain.window import SpottingResult, is_long, spot
from mexplain.face.blocks import layout
from mexplain.face.extraction import read_aligned
from mexplain.language.message import text
from mexplain.media.sandbox import client
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import exact_convolutions
from mexplain.model.network import HeadOutput, MicroExpressionNet
from mexplain.records import NONE, AlignedClip, ClipInfo, Evidence, ExplainRequest, Moment

DISPLAY_SIZE = 320  # as wide as a column of the hub

# Called with the name of a stage as it starts, or goes on, and the share of all work (0..1) done by then.
Progress = Callable[[str, float], None]
# Calls a function with the device to run on, and returns its result.
DeviceRunner = Callable[[Callable[[torch.device], Any]], Any]


@dataclass(frozen=True)
class Prediction:
    """What every variant predicts of one clip.

    ``window_s`` is the part of the file that was read, (start, end) in seconds; ``aligned`` holds the frames that the
    network got, ``display`` the same ones, ``DISPLAY_SIZE`` pixels wide. ``outputs`` are the heads' outputs and
    ``variants`` the predictions made of them, by variant. ``moments`` are those of the clip, best first, and
    ``spotting`` is the search in which they were found (None for a short clip or a chosen part). ``circumstances`` are
    those in which ``variants`` were decided. ``elapsed_s`` is seconds by stage.
    """

    checkpoint: Checkpoint
    info: ClipInfo
    window_s: tuple[float, float]
    aligned: AlignedClip
    display: AlignedClip
    outputs: dict[str, HeadOutput]
    variants: dict[str, VariantPrediction]
    moments: tuple[Moment, ...]
    spotting: SpottingResult | None
    circumstances: Circumstances = field(default_factory=Circumstances)
    elapsed_s: dict[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The network's classes."""
        return self.checkpoint.model.config.labels

    @property
    def crop_iod(self) -> float:
        """Width of the frames in inter-ocular distances."""
        return self.checkpoint.model.config.crop_iod

    @property
    def decision(self) -> Decision:
        """What is said of the clip: labels, presence and sentences that agree."""
        return Decision(self.circumstances, self.variants)

    def units_over_time(self, variant: str) -> dict[int, tuple[tuple[float, ...], tuple[float, ...]]]:
        """Activation of each action unit, 0..1, as a variant sees it in each frame on the subject's right and left."""
        activations = self.outputs[variant].units.sigmoid().permute(1, 2, 0).tolist()  # u 2 t
        units = self.checkpoint.model.config.units
        return {unit: (tuple(right), tuple(left)) for unit, (right, left) in zip(units, activations, strict=True)}

    @property
    def evidence(self) -> Evidence | None:
        """The evidence over the whole clip, in which moments were spotted."""
        return None if self.spotting is None else self.spotting.evidence


class StageTimer:
    """Reports each stage of the work to a progress callback, and adds up the seconds spent in it."""

    def __init__(self, progress: Progress | None, elapsed_s: dict[str, float] | None = None) -> None:
        self.report: Progress = progress or (lambda stage, share: None)
        self.elapsed_s = dict(elapsed_s or {})
        self._stage, self._since = "", 0.0

    @contextmanager
    def __call__(self, stage: str, share: float) -> Iterator[None]:
        """Enter a stage for the length of a ``with`` block, at that share of all work (0..1)."""
        self.enter(stage, share)
        yield
        self.leave()

    def enter(self, stage: str, share: float) -> None:
        """Report a stage and start its clock, unless it runs already; the stage before ends."""
        self.report(stage, share)
        if stage != self._stage:
            self.leave()
            self._stage, self._since = stage, time.perf_counter()

    def leave(self) -> None:
        """Add up the seconds of the stage that runs, if one does."""
        if self._stage:
            spent = time.perf_counter() - self._since
            self.elapsed_s[self._stage] = self.elapsed_s.get(self._stage, 0.0) + spent
            self._stage = ""


def predict_clip(
    path: str | Path,
    checkpoint: Checkpoint,
    request: ExplainRequest,
    run: DeviceRunner,
    *,
    spotting: SpottingResult | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Every variant's prediction of a video of a face.

    ``run`` calls a function with the device that the network is to run on. ``spotting`` is an earlier search through
    the same clip, which is not made again; its window is read unless the request chooses a part.

    Raises ``ClipError``, ``FaceError``, ``SettingError`` or ``CheckpointError``.
    """
    timer = StageTimer(progress)
    config, model, path = checkpoint.model.config, checkpoint.model, Path(path)
    start_s, end_s = request.start_s, request.end_s
    part_chosen = start_s is not None or end_s is not None
    if spotting is None and not part_chosen and is_long(path, request.fps):
        with timer("search", 0.0):
            spotting = run(
                lambda device: spot(
                    path,
                    on_device(model, device),
                    checkpoint.moment_floor,
                    lambda share: timer.report("search", 0.1 * share),
                    fps=request.fps,
                )
            )
    if spotting is not None and not part_chosen:
        start_s, end_s = spotting.window_s
    shares = {"decode": 0.0 if spotting is None else 0.1, "landmarks": 0.12, "align": 0.2}
    info, window_s, (aligned, display) = client.call(
        read_aligned,
        path,
        start_s,
        end_s,
        frames=config.frames,
        sizes=(config.image_size, DISPLAY_SIZE),
        crop_iod=config.crop_iod,
        fps=request.fps,
        blendshapes=True,
        name=path.name,
        tell=lambda stage: timer.enter(stage, shares.get(stage, 0.2)),
    )
    if spotting is not None and not part_chosen:
        aligned = replace(aligned, notes=tuple(dict.fromkeys(spotting.notes + aligned.notes)))
    with timer("predict", 0.25):
        outputs = run(lambda device: predict_outputs(on_device(model, device), aligned, device, request.variants))
    circumstances = circumstances_of(window_s, aligned.frames, spotting, checkpoint.moment_floor)
    variants = {variant: calibrate_output(checkpoint, variant, outputs[variant], circumstances) for variant in outputs}
    return Prediction(
        checkpoint=checkpoint,
        info=info,
        window_s=window_s,
        aligned=aligned,
        display=display,
        outputs=outputs,
        variants=variants,
        moments=_moment_of_window(checkpoint, aligned, outputs, variants) if spotting is None else spotting.moments,
        spotting=spotting,
        circumstances=circumstances,
        elapsed_s=timer.elapsed_s,
    )


def predict_aligned(aligned: AlignedClip, checkpoint: Checkpoint, device: torch.device) -> Prediction:
    """Every variant's prediction of a face that is aligned already, in a part of a clip that was chosen."""
    model, times = checkpoint.model, aligned.times_s
    outputs = predict_outputs(on_device(model, device), aligned, device, model.variants)
    lasts_s, side = float(times[-1] - times[0]), aligned.frames.shape[1]
    window_s = (float(times[0]), float(times[-1]))
    circumstances = circumstances_of(window_s, aligned.frames, None, checkpoint.moment_floor)
    variants = {variant: calibrate_output(checkpoint, variant, outputs[variant], circumstances) for variant in outputs}
    return Prediction(
        checkpoint=checkpoint,
        info=ClipInfo("", (len(times) - 1) / lasts_s, len(times), lasts_s, side, side),
        window_s=window_s,
        aligned=aligned,
        display=aligned,
        outputs=outputs,
        variants=variants,
        moments=(),
        spotting=None,
        circumstances=circumstances,
    )


def calibrate_output(
    checkpoint: Checkpoint, variant: str, output: HeadOutput, circumstances: Circumstances
) -> VariantPrediction:
    """A variant's prediction: "none" where its presence, weighed by the circumstances, is too low."""
    return circumstances.answer(
        variant,
        checkpoint.model.config.labels,
        checkpoint.calibration[variant],
        float(output.presence),
        output.logits.numpy(),
    )


def input_tensor(aligned: AlignedClip, device: torch.device) -> Float[Tensor, "t 3 s s"]:
    """Frames as the network takes them: RGB in 0..1, on a device."""
    return torch.from_numpy(aligned.frames).to(device).permute(0, 3, 1, 2).float() / 255


def on_device(model: MicroExpressionNet, device: torch.device) -> MicroExpressionNet:
    """The network on a device: itself if it is there, otherwise a copy, for other threads may be using it."""
    return model if model.mean.device == device else copy.deepcopy(model).to(device)


@exact_convolutions()
@torch.inference_mode()
def predict_outputs(
    model: MicroExpressionNet, aligned: AlignedClip, device: torch.device, variants: Sequence[str]
) -> dict[str, HeadOutput]:
    """Each variant's output, with one pass through the trunk."""
    frames = input_tensor(aligned, device)
    boxes = {v: torch.from_numpy(layout(v).boxes(aligned.landmarks_xy)).to(frames)[None] for v in variants}
    outputs = model(frames[None], boxes)
    if not all(torch.isfinite(output.logits).all() for output in outputs.values()):
        raise CheckpointError(text("The network's answer is not a finite number; its weights are damaged."))
    return {variant: HeadOutput(*(part[0].cpu() for part in output)) for variant, output in outputs.items()}


def _moment_of_window(
    checkpoint: Checkpoint,
    aligned: AlignedClip,
    outputs: dict[str, HeadOutput],
    variants: dict[str, VariantPrediction],
) -> tuple[Moment, ...]:
    """The moment that a window shows, if any, as the variant for spotting sees it, or the first one where it is not."""
    variant = HEAD if HEAD in outputs else next(iter(outputs))
    if variants[variant].label == NONE:
        return ()
    units = outputs[variant].units.sigmoid().numpy()
    return (single_moment(aligned.times_s, units, checkpoint.model.config, variants[variant].presence),)
