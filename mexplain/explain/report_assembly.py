"""One ``Report`` of a prediction, its attributions and how far they can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mexplain.attribution.attribute import Attribution
from mexplain.attribution.faithfulness import agree
from mexplain.attribution.registry import METHODS
from mexplain.explain.blendshape_agreement import agreement_note
from mexplain.explain.block_reports import block_reports, find_block_game, pooled_scores
from mexplain.explain.explainer import Explainer
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.explain.prediction import Prediction
from mexplain.explain.trust import estimate_trust, evidence_on, score_intervals
from mexplain.face.apex import apex_frame
from mexplain.face.blocks import layout, pooling_layout
from mexplain.model.checkpoint import Checkpoint
from mexplain.records import (
    NONE,
    Agreement,
    ExplainRequest,
    FaithfulnessReport,
    Report,
    VariantReport,
)

# By variant, then by method.
Attributions = dict[str, dict[str, Attribution]]
FaithfulnessReports = dict[str, dict[str, FaithfulnessReport]]


def assemble_report(
    explainer: Explainer,
    request: ExplainRequest,
    attributions: Attributions,
    trust: FaithfulnessReports,
    elapsed_s: dict[str, float],
) -> Report:
    """A report of everything known so far; what is not known yet is left out. ``elapsed_s`` is seconds by stage."""
    prediction = explainer.prediction
    checkpoint, aligned = prediction.checkpoint, prediction.aligned
    variants = tuple(
        _variant_report(prediction, variant, request.target, dict(by_method), dict(trust[variant]))
        for variant, by_method in attributions.items()
    )
    finished = [m for m in request.methods if all(m in by_method for by_method in attributions.values())]
    agreement = {method: _agreement(variants, method) for method in finished}
    decision = prediction.decision
    claimed = dict.fromkeys(movement.unit for movement in explainer.movement_findings.movements)
    seen = agreement_note(prediction.display.blendshapes, claimed)
    return Report(
        info=prediction.info,
        window_s=prediction.window_s,
        times_s=tuple(aligned.times_s.tolist()),
        checkpoint_id=checkpoint.id,
        checkpoint_sha256=checkpoint.sha256,
        checkpoint_revision=checkpoint.revision,
        device=str(explainer.device),
        elapsed_s=dict(elapsed_s),
        variants=tuple(_with_trust(variants, variant, agreement, checkpoint) for variant in variants),
        onset_frame=prediction.display.frames[0],
        apex_frame=prediction.display.frames[apex_frame(aligned.frames, aligned.landmarks_xy)],
        notes=aligned.notes
        + decision.notes
        + gap_notes(attributions)
        + method_notes(request.methods)
        + ((seen,) if seen else ())
        + explainer.notes,
        baseline=request.baseline,
        agreement=agreement,
        moments=prediction.moments,
        evidence=prediction.evidence,
        summary=decision.summary,
        movements=explainer.movement_findings.movements,
        movement_sentence=explainer.movement_findings.sentence,
    )


def _variant_report(
    prediction: Prediction,
    variant: str,
    target: str | None,
    attributions: dict[str, Attribution],
    trust: dict[str, FaithfulnessReport],
) -> VariantReport:
    output, answer, aligned = prediction.outputs[variant], prediction.variants[variant], prediction.aligned
    config = prediction.checkpoint.model.config
    labels = config.labels
    units_over_time = prediction.units_over_time(variant)
    thresholds: Mapping[int, float] = prediction.checkpoint.unit_thresholds.get(variant, {})
    pooled = pooling_layout(variant)
    names, boxes = pooled.names, pooled.boxes(aligned.landmarks_xy)
    explanations = prediction.checkpoint.explanations
    intervals = {m: score_intervals(a.block_scores, m, variant, explanations) for m, a in attributions.items()}
    blocks = block_reports(
        names, boxes, aligned, output.attention_weights if len(layout(variant)) else None, attributions, intervals
    )
    gaps = [attribution.gap for attribution in attributions.values() if attribution.gap is not None]
    predicted = next((a.class_index for a in attributions.values()), int(output.logits.argmax()))
    return VariantReport(
        variant=variant,
        label=answer.label,
        probabilities=answer.probabilities,
        logits=dict(zip(labels, output.logits.tolist(), strict=True)),
        blocks=blocks,
        outside_blocks={method: attribution.outside for method, attribution in attributions.items()},
        maps={method: attribution.map for method, attribution in attributions.items()},
        convergence_delta=gaps[0] if gaps else None,
        target=target or labels[predicted],
        difference={method: attribution.difference for method, attribution in attributions.items()},
        pooled=pooled_scores(attributions, variant, aligned),
        trust=trust,
        presence=answer.presence,
        units={unit: (max(right), max(left)) for unit, (right, left) in units_over_time.items()},
        units_over_time=units_over_time,
        label_set=answer.label_set,
        unit_thresholds={unit: thresholds.get(unit, UNIT_THRESHOLD) for unit in config.units},
        block_game=find_block_game(attributions, int(output.logits.argmax()), labels, names),
    )


def _with_trust(
    variants: Sequence[VariantReport],
    variant: VariantReport,
    agreement: Mapping[str, Mapping[tuple[str, str], Agreement]],
    checkpoint: Checkpoint,
) -> VariantReport:
    """A variant's report with how often explanations like its own are right, where it found an expression."""
    if checkpoint.explanations is None or variant.label == NONE:
        return variant
    trust = {}
    for method, report in variant.trust.items():
        evidence = evidence_on(variants, variant, method, agreement.get(method, {}))
        trust[method] = replace(report, trust=estimate_trust(evidence, method, checkpoint.explanations))
    return replace(variant, trust=trust)


def _agreement(variants: Sequence[VariantReport], method: str) -> dict[tuple[str, str], Agreement]:
    """Rank correlation of two variants' scores of the ten blocks, for each pair that explains the same class."""
    by_ten = {v.variant: np.array(list(v.pooled["10"][method].values()), np.float32) for v in variants}
    target = {v.variant: v.target for v in variants}
    return {pair: alike for pair, alike in agree(by_ten).items() if target[pair[0]] == target[pair[1]]}


def gap_notes(attributions: Attributions) -> tuple[str, ...]:
    """A sentence on each attribution that misses what it should add up to."""
    return tuple(
        f"{METHODS[method].name} of variant {variant}: the parts add up to "
        f"{attribution.difference + (attribution.gap or 0):+.3f} logits where {attribution.difference:+.3f} were to be "
        "explained; read them with care."
        for variant, by_method in attributions.items()
        for method, attribution in by_method.items()
        if not attribution.complete
    )


def method_notes(methods: Sequence[str]) -> tuple[str, ...]:
    """A sentence on each method that fails the test with random weights."""
    return tuple(
        f"{METHODS[method].name}: its pictures stay much the same when the network's weights are random; they show the "
        "clip rather than the network."
        for method in methods
        if METHODS[method].fails_randomisation
    )
