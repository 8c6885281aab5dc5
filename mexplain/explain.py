"""From a video file to three explained predictions: the whole story on one page."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution import Attribution, answer, pose
from mexplain.baselines import BASELINES
from mexplain.blocks import LAYOUTS, box_coverage, layout, pool_into_blocks, pooling_layout
from mexplain.checkpoints import Checkpoint
from mexplain.config import ModelConfig
from mexplain.device import resolve_device
from mexplain.errors import CheckpointError, SettingError
from mexplain.face import track_face
from mexplain.faithfulness import agree, assess
from mexplain.methods import METHODS
from mexplain.model import HeadOutput, MicroExpressionNet
from mexplain.preprocess import align
from mexplain.search import Decision, decide, is_long, moment_notes, only_moment, search
from mexplain.types import VARIANTS, Agreement, AlignedClip, BlockReport, Report, Trust, VariantReport
from mexplain.video import read_clip

DISPLAY_SIZE = 384
POOLED_INTO = ("10", "24")

Progress = Callable[[str, float], None]


def explain(
    path: str | Path,
    checkpoint: Checkpoint,
    *,
    variants: Sequence[str] = VARIANTS,
    methods: Sequence[str] = ("integrated_gradients",),
    baseline: str = "onset",
    target: str | None = None,
    thorough: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Return what each variant of the network says of a video of a face, and which blocks of the face it rests on.

    ``methods`` may be empty: then there is attention alone. ``baseline`` is what the clip is compared with, ``target``
    the label to explain, by default the one each variant predicts. Each explanation is put to the tests of
    ``faithfulness``; ``thorough`` adds how much noise changes it, for three times the work.

    ``start_s`` and ``end_s`` choose a part of the video, in seconds. Where neither is given and the video lasts longer
    than ``search.WHOLE_S``, moments are looked for in it, and the best is explained. ``device`` is ``auto``, ``cpu``,
    ``cuda`` or ``cuda:N``. ``progress`` is told the name of each stage as it starts, and the share of the work (0..1)
    done by then.

    Raises ``ClipError``, ``FaceError``, ``SettingError`` or ``CheckpointError``, each with a sentence for the user.
    """
    _check_choices(checkpoint.model, variants, methods, baseline, target)
    where = resolve_device(device)
    stages = _Stages(progress or (lambda stage, share: None))
    config, model, path = checkpoint.model.config, _on_device(checkpoint.model, where), Path(path)
    found_at = None
    if start_s is None and end_s is None and is_long(path):
        with stages("search", 0.0):
            found_at = search(path, model, checkpoint.moment_floor)
        start_s, end_s = found_at.window_s
    with stages("decode", 0.0 if found_at is None else 0.1):
        clip = read_clip(path, start_s, end_s)
    with stages("landmarks", 0.12):
        track = track_face(clip)
    with stages("align", 0.2):
        count, side, iod = config.frames, config.image_size, config.crop_iod
        aligned = align(clip, track, frames=count, image_size=side, crop_iod=iod)
        display = align(clip, track, frames=count, image_size=DISPLAY_SIZE, crop_iod=iod).frames
    with stages("predict", 0.25):
        frames = torch.from_numpy(aligned.frames).to(where).permute(0, 3, 1, 2).float() / 255
        boxes = {variant: layout(variant).boxes(aligned.landmarks_xy) for variant in variants}
        outputs = _predict(model, frames, {variant: torch.from_numpy(box).to(where) for variant, box in boxes.items()})
        number = None if target is None else config.labels.index(target)
        questions = {
            variant: pose(model, variant, frames, aligned.landmarks_xy, baseline=baseline, target=number)
            for variant in (variants if methods else ())
        }
    found: dict[str, dict[str, Attribution]] = {variant: {} for variant in variants}
    trust: dict[str, dict[str, Trust]] = {variant: {} for variant in variants}
    runs = [(method, variant) for method in methods for variant in variants]
    for done, (method, variant) in enumerate(runs):
        with stages(f"attribute_{method}", 0.3 + 0.5 * done / len(runs)):
            found[variant][method] = answer(questions[variant], method, baseline=baseline)
    for done, (method, variant) in enumerate(runs):
        with stages("check", 0.8 + 0.2 * done / len(runs)):
            names = pooling_layout(variant).names
            trust[variant][method] = assess(questions[variant], found[variant][method], names, thorough=thorough)
    stages.report("done", 1.0)
    decisions = {
        variant: decide(checkpoint, variant, outputs[variant], found_at is None or found_at.best is not None)
        for variant in variants
    }
    moments = only_moment(aligned, outputs, decisions, config) if found_at is None else found_at.moments
    reports = tuple(
        _variant_report(
            decisions[variant],
            outputs[variant],
            found[variant],
            trust[variant],
            aligned,
            config,
        )
        for variant in found
    )
    return Report(
        info=clip.info,
        window_s=(float(clip.times_s[0]), float(clip.times_s[-1])),
        times_s=tuple(aligned.times_s.tolist()),
        checkpoint_id=checkpoint.id,
        checkpoint_sha256=checkpoint.sha256,
        checkpoint_revision=checkpoint.revision,
        device=str(where),
        elapsed_s=stages.elapsed_s,
        variants=reports,
        onset_frame=display[0],
        apex_frame=display[_apex(aligned)],
        notes=aligned.notes + moment_notes(moments, decisions.values()) + _gap_notes(found) + _method_notes(methods),
        baseline=baseline,
        agreement={method: _agreement(reports, method) for method in methods},
        moments=moments,
        evidence=None if found_at is None else found_at.evidence,
    )


class _Stages:
    """Tells how far the work has got, and adds up the seconds spent in each stage."""

    def __init__(self, report: Progress) -> None:
        self.report = report
        self.elapsed_s: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str, share: float) -> Iterator[None]:
        self.report(stage, share)
        started = time.perf_counter()
        yield
        self.elapsed_s[stage] = self.elapsed_s.get(stage, 0.0) + time.perf_counter() - started


def _check_choices(
    model: MicroExpressionNet, variants: Sequence[str], methods: Sequence[str], baseline: str, target: str | None
) -> None:
    for what, chosen, known in (
        ("Variant", variants, model.variants),
        ("Method", methods, tuple(METHODS)),
        ("Baseline", (baseline,), tuple(BASELINES)),
        ("Target", () if target is None else (target,), model.config.labels),
    ):
        if unknown := [key for key in chosen if key not in known]:
            raise SettingError(f"{what} must be one of {', '.join(known)}; got {unknown[0]!r}.")
    if not variants:
        raise SettingError(f"Variant: at least one of {', '.join(model.variants)} must be chosen.")


def _on_device(model: MicroExpressionNet, device: torch.device) -> MicroExpressionNet:
    # The caller's network stays where it is: other threads may be using it.
    return model if model.mean.device == device else copy.deepcopy(model).to(device)


@torch.inference_mode()
def _predict(
    model: MicroExpressionNet, frames: Float[Tensor, "t 3 s s"], boxes: dict[str, Tensor]
) -> dict[str, HeadOutput]:
    """Run the trunk once and each variant's head on it."""
    outputs = model(frames[None], {variant: box[None] for variant, box in boxes.items()})
    if not all(torch.isfinite(output.logits).all() for output in outputs.values()):
        raise CheckpointError("The network's answer is not a finite number; its weights are damaged.")
    return {variant: HeadOutput(*(part[0].cpu() for part in output)) for variant, output in outputs.items()}


def _variant_report(
    decision: Decision,
    output: HeadOutput,
    found: dict[str, Attribution],
    trust: dict[str, Trust],
    aligned: AlignedClip,
    config: ModelConfig,
) -> VariantReport:
    variant, labels = decision.variant, config.labels
    got = output.units.sigmoid().amax(0).tolist()
    own, pooled = layout(variant), pooling_layout(variant)
    boxes = pooled.boxes(aligned.landmarks_xy)
    scores = {method: attribution.block_course for method, attribution in found.items()}  # t n
    in_file, in_crop = _bounding_boxes(boxes, aligned.to_clip), boxes / aligned.frames.shape[1]
    blocks = tuple(
        BlockReport(
            name=name,
            xyxy=tuple(in_file[i].tolist()),
            crop_xyxy=tuple(in_crop[i].tolist()),
            attention=tuple(output.attention_weights[:, i].tolist()) if len(own) else None,
            attribution={method: float(attribution.block_scores[i]) for method, attribution in found.items()},
            attribution_over_time={method: tuple(values[:, i].tolist()) for method, values in scores.items()},
        )
        for i, name in enumerate(pooled.names)
    )
    gaps = [attribution.gap for attribution in found.values() if attribution.gap is not None]
    return VariantReport(
        variant=variant,
        label=decision.label,
        probabilities=decision.probabilities,
        logits=dict(zip(labels, output.logits.tolist(), strict=True)),
        blocks=blocks,
        outside_blocks={method: attribution.outside for method, attribution in found.items()},
        maps={method: attribution.map for method, attribution in found.items()},
        convergence_delta=gaps[0] if gaps else None,
        target=labels[next((a.target for a in found.values()), int(output.logits.argmax()))],
        difference={method: attribution.difference for method, attribution in found.items()},
        pooled={key: {m: _pooled(a, key, variant, aligned) for m, a in found.items()} for key in POOLED_INTO},
        trust=trust,
        presence=decision.presence,
        units={unit: (right, left) for unit, (right, left) in zip(config.units, got, strict=True)},
    )


def _pooled(attribution: Attribution, key: str, variant: str, aligned: AlignedClip) -> dict[str, float]:
    """Return the scores of one layout's blocks: the variant's own where it is that, else those of the map."""
    scores = attribution.block_scores
    if key != pooling_layout(variant).variant:
        scores, _ = pool_into_blocks(attribution.map.sum(axis=0), LAYOUTS[key].boxes(aligned.landmarks_xy))
    return dict(zip(LAYOUTS[key].names, scores.tolist(), strict=True))


def _agreement(variants: Sequence[VariantReport], method: str) -> dict[tuple[str, str], Agreement]:
    """Return how alike the variants' scores of the ten blocks are, where they explain the same class."""
    by_ten = {v.variant: np.array(list(v.pooled["10"][method].values()), np.float32) for v in variants}
    target = {v.variant: v.target for v in variants}
    return {pair: found for pair, found in agree(by_ten).items() if target[pair[0]] == target[pair[1]]}


def _bounding_boxes(boxes: Float[np.ndarray, "n 4"], to_clip: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 4"]:
    """Return the upright boxes, in file pixels, around boxes of the crop, which may lie turned there."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # n 4 2
    placed = corners @ to_clip[:, :2].T + to_clip[:, 2]
    return np.concatenate([placed.min(axis=1), placed.max(axis=1)], axis=1)


def _apex(aligned: AlignedClip) -> int:
    """Return the frame that differs most from the onset where the face is, apart from the gain and offset of light."""
    grey = aligned.frames.mean(axis=-1)
    face = box_coverage(LAYOUTS["24"].boxes(aligned.landmarks_xy), *grey.shape[1:]).max(axis=0)
    grey -= (grey * face).sum(axis=(1, 2), keepdims=True) / face.sum()
    gain = (grey * grey[0] * face).sum(axis=(1, 2), keepdims=True) / max((grey[0] ** 2 * face).sum(), 1e-9)
    change = np.abs(grey - gain * grey[0])
    return int((change * face).sum(axis=(1, 2)).argmax())


def _gap_notes(found: dict[str, dict[str, Attribution]]) -> tuple[str, ...]:
    return tuple(
        f"{METHODS[method].name} of variant {variant}: the parts add up to "
        f"{attribution.difference + (attribution.gap or 0):+.3f} logits where {attribution.difference:+.3f} were to be "
        "explained; read them with care."
        for variant, by_method in found.items()
        for method, attribution in by_method.items()
        if not attribution.complete
    )


def _method_notes(methods: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{METHODS[method].name}: its pictures stay much the same when the network's weights are random; they show the "
        "clip rather than the network."
        for method in methods
        if METHODS[method].fails_randomisation
    )
