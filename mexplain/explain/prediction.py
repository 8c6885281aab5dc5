"""A clip as the network saw it, and what each variant answered: all that explanations start from."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.errors import CheckpointError, SettingError
from mexplain.explain.window import Decision, SpottingResult, decide_label, is_long, only_moment, spot
from mexplain.face.blocks import layout
from mexplain.face.extraction import read_aligned
from mexplain.media.sandbox import client
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import Fallback, exact_convolutions, resolve_device
from mexplain.model.network import HeadOutput, MicroExpressionNet
from mexplain.records import VARIANTS, AlignedClip, ClipInfo, Evidence, Moment

DISPLAY_SIZE = 320  # as wide as a column of the hub

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Prediction:
    """One clip, read once by every variant.

    ``aligned`` is what the network saw, ``display`` the same at a size to look at, ``device`` where it ran;
    ``outputs`` and ``decisions`` are what each variant made of them. ``moments`` are as in ``Report``, ``found_at`` is
    what they were found in (None where nobody looked for any). ``something`` is False where a search through the
    whole clip found no expression, so that every answer is "none". ``notes`` say what came in the way.
    """

    checkpoint: Checkpoint
    device: torch.device
    info: ClipInfo
    window_s: tuple[float, float]
    aligned: AlignedClip
    display: AlignedClip
    outputs: dict[str, HeadOutput]
    decisions: dict[str, Decision]
    moments: tuple[Moment, ...]
    found_at: SpottingResult | None
    something: bool = True
    elapsed_s: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence | None:
        """The curve of a whole clip in which moments were found."""
        return None if self.found_at is None else self.found_at.evidence

    def question(self, variant: str, baseline: str = "onset", target: str | None = None) -> AttributionTarget:
        """Return what there is to explain of one variant; raises ``SettingError`` for an unknown choice."""
        return self.questions([variant], baseline, target)[variant]

    def questions(
        self, variants: Sequence[str], baseline: str = "onset", target: str | None = None
    ) -> dict[str, AttributionTarget]:
        """Return what there is to explain of several variants, for which the trunk runs once."""
        labels, model = self.checkpoint.model.config.labels, _on_device(self.checkpoint.model, self.device)
        if target is not None and target not in labels:
            raise SettingError(f"Target must be one of {', '.join(labels)}; got {target!r}.")
        number = None if target is None else labels.index(target)
        frames, marks = _tensor(self.aligned, self.device), self.aligned.landmarks_xy
        return build_targets(model, frames[None], marks[None], variants, baseline=baseline, class_index=number)[0]


class Stages:
    """Tells how far the work has got, and adds up the seconds spent in each stage."""

    def __init__(self, report: Progress | None, elapsed_s: dict[str, float] | None = None) -> None:
        self.report: Progress = report or (lambda stage, share: None)
        self.elapsed_s = dict(elapsed_s or {})
        self._stage, self._since = "", 0.0

    @contextmanager
    def __call__(self, stage: str, share: float) -> Iterator[None]:
        """Enter a stage, with the share of the work (0..1) done by then."""
        self.enter(stage, share)
        yield
        self.leave()

    def enter(self, stage: str, share: float) -> None:
        """Leave the stage before and enter another; the same again goes on with it."""
        self.report(stage, share)
        if stage != self._stage:
            self.leave()
            self._stage, self._since = stage, time.perf_counter()

    def leave(self) -> None:
        """Add up what the stage took."""
        if self._stage:
            spent = time.perf_counter() - self._since
            self.elapsed_s[self._stage] = self.elapsed_s.get(self._stage, 0.0) + spent
            self._stage = ""


def predict_clip(
    path: str | Path,
    checkpoint: Checkpoint,
    *,
    variants: Sequence[str] = VARIANTS,
    start_s: float | None = None,
    end_s: float | None = None,
    found_at: SpottingResult | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Prediction:
    """Return what the variants make of a video of a face; arguments and errors as for ``explain``.

    ``found_at`` is what an earlier search through the same clip came to, so that it need not be made again; its own
    window is read unless ``start_s`` or ``end_s`` choose another.
    """
    hand = Fallback(resolve_device(device))
    stages = Stages(progress)
    config, model, path = checkpoint.model.config, checkpoint.model, Path(path)
    if found_at is None and start_s is None and end_s is None and is_long(path):
        with stages("search", 0.0):
            found_at = hand.run(
                lambda where: spot(
                    path,
                    _on_device(model, where),
                    checkpoint.moment_floor,
                    lambda share: stages.report("search", 0.1 * share),
                )
            )
    chosen = start_s is not None or end_s is not None
    if found_at is not None and not chosen:
        start_s, end_s = found_at.window_s
    shares = {"decode": 0.0 if found_at is None else 0.1, "landmarks": 0.12, "align": 0.2}
    info, window_s, (aligned, display) = client.call(
        read_aligned,
        path,
        start_s,
        end_s,
        frames=config.frames,
        sizes=(config.image_size, DISPLAY_SIZE),
        crop_iod=config.crop_iod,
        name=path.name,
        tell=lambda stage: stages.enter(stage, shares.get(stage, 0.2)),
    )
    with stages("predict", 0.25):
        outputs = hand.run(lambda where: _predict(_on_device(model, where), aligned, where, variants))
    something = chosen or found_at is None or found_at.best is not None
    decisions = {variant: decide_label(checkpoint, variant, outputs[variant], something) for variant in variants}
    return Prediction(
        checkpoint=checkpoint,
        device=hand.device,
        info=info,
        window_s=window_s,
        aligned=aligned,
        display=display,
        outputs=outputs,
        decisions=decisions,
        moments=only_moment(aligned, outputs, decisions, config) if found_at is None else found_at.moments,
        found_at=found_at,
        something=something,
        elapsed_s=stages.elapsed_s,
        notes=hand.notes,
    )


def _tensor(aligned: AlignedClip, device: torch.device) -> Float[Tensor, "t 3 s s"]:
    return torch.from_numpy(aligned.frames).to(device).permute(0, 3, 1, 2).float() / 255


def _on_device(model: MicroExpressionNet, device: torch.device) -> MicroExpressionNet:
    # The caller's network stays where it is: other threads may be using it.
    return model if model.mean.device == device else copy.deepcopy(model).to(device)


@exact_convolutions()
@torch.inference_mode()
def _predict(
    model: MicroExpressionNet, aligned: AlignedClip, device: torch.device, variants: Sequence[str]
) -> dict[str, HeadOutput]:
    """Run the trunk once and each variant's head on it."""
    frames = _tensor(aligned, device)
    boxes = {v: torch.from_numpy(layout(v).boxes(aligned.landmarks_xy)).to(frames)[None] for v in variants}
    outputs = model(frames[None], boxes)
    if not all(torch.isfinite(output.logits).all() for output in outputs.values()):
        raise CheckpointError("The network's answer is not a finite number; its weights are damaged.")
    return {variant: HeadOutput(*(part[0].cpu() for part in output)) for variant, output in outputs.items()}
