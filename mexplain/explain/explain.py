"""From a video file to three explained predictions: the whole story on one page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mexplain.attribution.attribute import Attribution
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.faithfulness import agree
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import Prediction, Progress, Stages, predict_clip
from mexplain.explain.window import Decision, moment_notes
from mexplain.face.blocks import LAYOUTS, box_coverage, layout, pool_into_blocks, pooling_layout
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.config import ModelConfig
from mexplain.model.device import give_memory_back
from mexplain.model.network import HeadOutput, MicroExpressionNet
from mexplain.records import VARIANTS, Agreement, AlignedClip, BlockReport, FaithfulnessReport, Report, VariantReport

POOLED_INTO = ("10", "24")


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
    *_, last = explain_steps(
        path,
        checkpoint,
        variants=variants,
        methods=methods,
        baseline=baseline,
        target=target,
        thorough=thorough,
        start_s=start_s,
        end_s=end_s,
        device=device,
        progress=progress,
    )
    return last


def explain_steps(
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
) -> Iterator[Report]:
    """Yield ever fuller reports, the last of which ``explain`` returns; arguments and errors are its own.

    The first has predictions and attention alone. Then each variant's attribution by each method comes, and after
    those what each was put to. Closing the iterator stops the work; a ``progress`` that raises stops it even sooner.
    """
    check_choices(checkpoint.model, variants, methods, baseline, target)
    reading = predict_clip(
        path, checkpoint, variants=variants, start_s=start_s, end_s=end_s, device=device, progress=progress
    )
    yield from explain_prediction(
        reading, methods=methods, baseline=baseline, target=target, thorough=thorough, progress=progress
    )


def explain_prediction(
    reading: Prediction,
    *,
    methods: Sequence[str] = ("integrated_gradients",),
    baseline: str = "onset",
    target: str | None = None,
    thorough: bool = False,
    progress: Progress | None = None,
) -> Iterator[Report]:
    """Yield ever fuller reports on a clip that was read before; as ``explain_steps``."""
    variants = tuple(reading.outputs)
    check_choices(reading.checkpoint.model, variants, methods, baseline, target)
    stages = Stages(progress, reading.elapsed_s)
    found: dict[str, dict[str, Attribution]] = {variant: {} for variant in variants}
    trust: dict[str, dict[str, FaithfulnessReport]] = {variant: {} for variant in variants}
    asking = Explainer(reading, baseline, target)

    def so_far() -> Report:
        return _report(asking.reading, found, trust, methods, baseline, target, stages.elapsed_s)

    yield so_far()
    runs = [(method, variant) for method in methods for variant in variants]
    if runs:
        with stages("predict", 0.28):
            asking.pose()
    for done, (method, variant) in enumerate(runs):
        with stages(f"attribute_{method}", 0.3 + 0.5 * done / len(runs)):
            if method not in found[variant]:
                # Some methods answer all variants sooner together.
                some = variants if METHODS[method].run_together else (variant,)
                for one, said in zip(some, asking.answer(method, some), strict=True):
                    found[one][method] = said
        yield so_far()
    give_memory_back()
    for done, (method, variant) in enumerate(runs):
        with stages("check", 0.8 + 0.2 * done / len(runs)):
            names = pooling_layout(variant).names
            trust[variant][method] = asking.test(variant, found[variant][method], names, thorough=thorough)
        if done + 1 < len(runs):
            yield so_far()
    give_memory_back()
    stages.report("done", 1.0)
    if runs:
        yield so_far()


def _report(
    reading: Prediction,
    found: dict[str, dict[str, Attribution]],
    trust: dict[str, dict[str, FaithfulnessReport]],
    methods: Sequence[str],
    baseline: str,
    target: str | None,
    elapsed_s: dict[str, float],
) -> Report:
    aligned = reading.aligned
    reports = tuple(
        _variant_report(
            reading.decisions[variant],
            reading.outputs[variant],
            target,
            dict(found[variant]),
            dict(trust[variant]),
            aligned,
            reading.checkpoint.model.config,
        )
        for variant in found
    )
    arrived = [method for method in methods if all(method in by_method for by_method in found.values())]
    told = moment_notes(reading.moments, reading.decisions.values())
    return Report(
        info=reading.info,
        window_s=reading.window_s,
        times_s=tuple(aligned.times_s.tolist()),
        checkpoint_id=reading.checkpoint.id,
        checkpoint_sha256=reading.checkpoint.sha256,
        checkpoint_revision=reading.checkpoint.revision,
        device=str(reading.device),
        elapsed_s=dict(elapsed_s),
        variants=reports,
        onset_frame=reading.display.frames[0],
        apex_frame=reading.display.frames[_apex(aligned)],
        notes=aligned.notes + told + _gap_notes(found) + _method_notes(methods) + reading.notes,
        baseline=baseline,
        agreement={method: _agreement(reports, method) for method in arrived},
        moments=reading.moments,
        evidence=reading.evidence,
    )


def check_choices(
    model: MicroExpressionNet, variants: Sequence[str], methods: Sequence[str], baseline: str, target: str | None
) -> None:
    """Raise ``SettingError`` for what ``explain`` cannot be asked with this network."""
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


def _variant_report(
    decision: Decision,
    output: HeadOutput,
    asked: str | None,
    found: dict[str, Attribution],
    trust: dict[str, FaithfulnessReport],
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
        target=asked or labels[next((a.class_index for a in found.values()), int(output.logits.argmax()))],
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
