"""From a video file to the explained answer of a network of one's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.block_target import NEEDS
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.recogniser_target import RecogniserTarget
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.explain.block_reports import block_reports, find_block_game, pooled_scores
from mexplain.explain.own_explainer import OwnExplainer, OwnPrediction, own_answer
from mexplain.explain.prediction import Progress, StageTimer
from mexplain.explain.report_assembly import gap_notes, method_notes
from mexplain.face.apex import apex_frame
from mexplain.face.blocks import LAYOUTS
from mexplain.language.listing import joined
from mexplain.language.message import text
from mexplain.model.recogniser import CheckedRecogniser, Recogniser
from mexplain.records import AlignedClip, ExplainRequest, FaithfulnessReport, Report, VariantReport

# What explains a network with gradients, and one without, where nothing else is asked for.
USUAL = "integrated_gradients"
USUAL_WITHOUT_GRADIENT = "shapley"


def applicable_methods(recogniser: CheckedRecogniser) -> tuple[str, ...]:
    """Keys of the methods that need no more than a recogniser gives."""
    return tuple(key for key, method in METHODS.items() if recogniser.offers.issuperset(method.needs))


def usual_method(recogniser: CheckedRecogniser) -> str:
    """The method that explains a recogniser where nobody chose one."""
    return USUAL if recogniser.gives_gradient else USUAL_WITHOUT_GRADIENT


def explain_recogniser(
    path: str | Path,
    recogniser: Recogniser | CheckedRecogniser,
    request: ExplainRequest = ExplainRequest(),
    *,
    progress: Progress | None = None,
) -> Report:
    """A report of what a network of one's own answers on a video of a face, and on which parts of it that rests.

    The whole clip is read, or the part that ``request`` chooses; its variants, device and search mean nothing here.
    ``progress`` is as in ``mexplain.explain.explain.explain``. The report has one variant, named after the layout of
    the recogniser's blocks, and says neither presence nor action units.

    Raises ``RecogniserError`` where the recogniser fails; ``SettingError`` for a method that needs what it does not
    give, or an unknown baseline or label; ``ClipError`` or ``FaceError`` for the clip.
    """
    checked = recogniser if isinstance(recogniser, CheckedRecogniser) else CheckedRecogniser(recogniser)
    check_own_request(request, checked)
    explainer = OwnExplainer.from_clip(path, checked, request, progress=progress)
    *_, last = explain_own_prediction(explainer, request, progress=progress)
    return last


def explain_own_prediction(
    explainer: OwnExplainer, request: ExplainRequest, *, progress: Progress | None = None
) -> Iterator[Report]:
    """Ever fuller reports on a clip that was read already: the answer, then each attribution, then each test.

    Errors are those of ``explain_recogniser``; closing the iterator stops the work.
    """
    prediction = explainer.prediction
    recogniser = prediction.recogniser
    check_own_request(request, recogniser)
    timer = StageTimer(progress, dict(prediction.elapsed_s))
    attributions, trust = dict[str, Attribution](), dict[str, FaithfulnessReport]()
    with timer("predict", 0.25):
        target = explainer.target(request)

    def report() -> Report:
        return _report(prediction, target, request, attributions, trust, timer.elapsed_s)

    yield report()
    for done, method in enumerate(request.methods):
        with timer(f"attribute_{method}", 0.3 + 0.5 * done / len(request.methods)):
            attributions[method] = attribute_target(target, method, baseline=request.baseline)
        yield report()
    names = LAYOUTS[recogniser.blocks].names
    for done, (method, found) in enumerate(attributions.items()):
        with timer("check", 0.8 + 0.2 * done / len(attributions)):
            trust[method] = assess(target, found, names, thorough=request.thorough)
        yield report()
    timer.report("done", 1.0)


def _report(
    prediction: OwnPrediction,
    target: RecogniserTarget,
    request: ExplainRequest,
    attributions: dict[str, Attribution],
    trust: dict[str, FaithfulnessReport],
    elapsed_s: Mapping[str, float],
) -> Report:
    """A report of everything known so far."""
    recogniser, aligned, display = prediction.recogniser, prediction.aligned, prediction.display
    variant = _variant_report(recogniser, target, aligned, dict(attributions), dict(trust))
    gaps = gap_notes({recogniser.blocks: attributions})
    return Report(
        info=prediction.info,
        window_s=prediction.window_s,
        times_s=tuple(aligned.times_s.tolist()),
        checkpoint_id=recogniser.name,
        checkpoint_sha256="",
        device="cpu",
        elapsed_s=dict(elapsed_s),
        variants=(variant,),
        onset_frame=display.frames[0],
        apex_frame=display.frames[apex_frame(aligned.frames, aligned.landmarks_xy)],
        notes=aligned.notes + notes_on(recogniser) + gaps + method_notes(request.methods),
        baseline=request.baseline,
        summary=text(
            "{name} answers “{label}” ({share:.2f}).",
            name=recogniser.name,
            label=variant.label,
            share=variant.probabilities[variant.label],
        ),
    )


def check_own_request(request: ExplainRequest, recogniser: CheckedRecogniser) -> None:
    """Raise ``SettingError`` for a method that does not apply to a recogniser, or an unknown baseline or label."""
    for name, chosen, known in (
        ("Method", request.methods, tuple(METHODS)),
        ("Baseline", (request.baseline,), tuple(BASELINES)),
        ("Target", () if request.target is None else (request.target,), recogniser.labels),
    ):
        if unknown := [key for key in chosen if key not in known]:
            raise SettingError(f"{name} must be one of {', '.join(known)}; got {unknown[0]!r}.")
    able = applicable_methods(recogniser)
    if unable := [METHODS[key] for key in request.methods if key not in able]:
        needs = " and ".join(NEEDS[need] for need in unable[0].needs)
        raise SettingError(
            f"{unable[0].name} needs {needs}, which {recogniser.name} does not give; these apply: {', '.join(able)}."
        )


def notes_on(recogniser: CheckedRecogniser) -> tuple[str, ...]:
    """Sentences on whose answer this is, and on what cannot be said of it."""
    able = applicable_methods(recogniser)
    unable = [method.name for key, method in METHODS.items() if key not in able]
    notes = [
        text(
            "This is the answer of {name}, not of the network that comes with mexplain. Its probabilities are the "
            "softmax of its logits; it says nothing of presence or of action units, and no moment was searched for.",
            name=recogniser.name,
        ),
        text("What these need it does not give: {methods}.", methods=joined(unable)),
    ]
    if not recogniser.repeats:
        notes.append(
            text(
                "Asked about the same clip again, {name} gives other logits: what explains one answer of it need not "
                "explain the next.",
                name=recogniser.name,
            )
        )
    return tuple(notes)


def _variant_report(
    recogniser: CheckedRecogniser,
    target: RecogniserTarget,
    aligned: AlignedClip,
    attributions: dict[str, Attribution],
    trust: dict[str, FaithfulnessReport],
) -> VariantReport:
    labels, names, answer = recogniser.labels, LAYOUTS[recogniser.blocks].names, own_answer(recogniser, target.logits)
    gaps = [found.gap for found in attributions.values() if found.gap is not None]
    attention = target.attention_weights if recogniser.gives_attention else None
    return VariantReport(
        variant=recogniser.blocks,
        label=answer.label,
        probabilities=answer.probabilities,
        logits=dict(zip(labels, target.logits.tolist(), strict=True)),
        blocks=block_reports(names, target.scored_boxes, aligned, attention, attributions, {}),
        outside_blocks={method: found.outside for method, found in attributions.items()},
        maps={method: found.map for method, found in attributions.items()},
        convergence_delta=gaps[0] if gaps else None,
        target=labels[target.class_index],
        difference={method: found.difference for method, found in attributions.items()},
        pooled=pooled_scores(attributions, recogniser.blocks, aligned),
        trust=trust,
        block_game=find_block_game(attributions, int(target.logits.argmax()), labels, names),
    )
