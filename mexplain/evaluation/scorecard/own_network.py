"""A scorecard of a network of one's own: how well its explanations tell what it uses, and what it seems to read."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8

from mexplain.attribution.recogniser_target import RecogniserTarget, build_recogniser_target
from mexplain.attribution.registry import METHODS
from mexplain.evaluation.scorecard.clip_games import ClipGame
from mexplain.evaluation.scorecard.estimates import collect_hold, collect_scores, collect_slices
from mexplain.evaluation.scorecard.findings import findings_on
from mexplain.evaluation.scorecard.game_metrics import GAME_MEASURES, TIME_MEASURES
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips, load_known_clips
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.evaluation.scorecard.own_sanity import (
    explain_unlearned,
    method_of_random_weights,
    own_summary,
    sanity_of_own_clip,
)
from mexplain.evaluation.scorecard.reference_maps import GUESSES, RANDOM_WEIGHTS, reference_maps
from mexplain.evaluation.scorecard.rendered_game import RenderedGame, Stretch
from mexplain.evaluation.scorecard.runner import (
    CLIPS,
    SANITY,
    ClipTruth,
    bench_identity,
    claim_bench_folder,
    resumed_rows,
    rounded_scores,
    slices_of,
)
from mexplain.evaluation.scorecard.sanity_checks import SANITY_CLIPS
from mexplain.evaluation.scorecard.scorecard_files import write_scorecard
from mexplain.evaluation.scorecard.shortcuts import SHORTCUTS
from mexplain.explain.own_network import applicable_methods
from mexplain.model.config import CASME2_LABELS, PRESETS
from mexplain.model.random_weights import why_not_randomised
from mexplain.model.recogniser import CheckedRecogniser, InputSpec
from mexplain.model.scorecard import Scorecard

# Clips that a network of one's own is asked about at once.
_AT_ONCE = 8
# Places beside the face in which a spot is planted.
_SPOTS = 7
# The least share of the logit's change that a part is owed which counts.
_LEAST_OWED = 0.05
_OF_DEBTS = tuple(key for key in GAME_MEASURES if key != "still_blocks")


@dataclass(frozen=True)
class OwnRun:
    """A network of one's own, known clips as it takes them, and the methods to measure on them."""

    recogniser: CheckedRecogniser
    known: KnownClips
    out: Path
    methods: tuple[str, ...]

    def measure(self) -> list[dict[str, Any]]:
        """Return a row for each clip, resuming a stopped run.

        Raises ``SettingError`` if ``out`` holds another run, ``RecogniserError`` where the recogniser fails.
        """
        # Named among the methods, so that runs of before it was measured do not mix with these.
        measured = (*self.methods, RANDOM_WEIGHTS)
        identity = bench_identity(self.recogniser.sha256, measured, (self.recogniser.name,))
        claim_bench_folder(self.out, self.known, identity)
        return resumed_rows(self.out / CLIPS, tuple(self.known), self._score, "clips")

    def check(self) -> list[dict[str, Any]]:
        """Return a row of sanity checks for each of a few clips, resuming a stopped run; ``measure`` comes first."""
        few = tuple(self.known)[:SANITY_CLIPS]
        return resumed_rows(self.out / SANITY, few, self._check, "sanity checks")

    def _score(self, number: int, clip: KnownClip) -> dict[str, Any]:
        return score_own(self.recogniser, clip, number, self.methods)

    def _check(self, number: int, clip: KnownClip) -> dict[str, Any]:
        return sanity_of_own_clip(self.recogniser, clip, number, self.methods)


def clips_for(spec: InputSpec, count: int) -> KnownClips:
    """Return the first ``count`` shipped known clips as a recogniser takes them; raises ``SettingError`` for fewer."""
    preset = PRESETS["lite"]
    config = replace(preset, image_size=spec.working_size, frames=spec.frames, crop_iod=spec.crop_iod)
    return load_known_clips(count, config)


def run_own_scorecard(
    recogniser: CheckedRecogniser, *, clips: int, out: Path, methods: tuple[str, ...] = ()
) -> Scorecard:
    """Score the explanations of a network of one's own on known clips, by the methods that apply or some of them.

    Writes ``scorecard.json``, ``.md`` and ``.html`` into ``out``, and a line for each clip as it is done; a stopped run
    is resumed from the same ``out``. Raises ``SettingError`` or ``RecogniserError``.
    """
    run = OwnRun(recogniser, clips_for(recogniser.spec, clips), out, methods or applicable_methods(recogniser))
    return write_own_scorecard(run, run.measure(), run.check())


def write_own_scorecard(run: OwnRun, rows: list[dict[str, Any]], checks: list[dict[str, Any]]) -> Scorecard:
    """Write ``scorecard.json``, ``.md`` and ``.html`` of a run's rows into its folder, and return the scorecard."""
    scores, accuracy = collect_scores(rows)
    sanity = own_summary(checks, run.recogniser.name, run.methods)
    scorecard = Scorecard(
        checkpoint_sha256=run.recogniser.sha256,
        clips=len(run.known),
        people=run.known.people,
        source=run.known.source,
        seed=run.known.seed,
        scores=scores,
        sanity={run.recogniser.name: sanity},
        fails=tuple(method for method, found in sanity.items() if found["fails_randomisation"]),
        shortcut=None,
        accuracy=accuracy,
        slices=collect_slices(rows),
        hold=collect_hold(rows),
        findings=findings_on(run.recogniser, rows),
        does_not_apply=not_measured_of(run.recogniser),
    )
    write_scorecard(scorecard, run.out)
    return scorecard


def not_measured_of(recogniser: CheckedRecogniser) -> dict[str, str]:
    """Say of each reference that a recogniser cannot be measured against why not."""
    why_not = why_not_randomised(recogniser)
    return ({RANDOM_WEIGHTS: f"{GUESSES[RANDOM_WEIGHTS].name}: does not apply, for {why_not}."} if why_not else {}) | {
        "planted_shortcuts": "Planted shortcuts: does not apply, for this network is not trained here."
    }


def score_own(recogniser: CheckedRecogniser, clip: KnownClip, number: int, methods: Sequence[str]) -> dict[str, Any]:
    """Return one clip's row: the recogniser's answer, what moves it, and every measure of every method.

    The class that it predicts is explained, right or wrong.
    """
    target = build_recogniser_target(recogniser, clip.input(torch.device("cpu")), clip.landmarks_xy)
    game = _play(recogniser, clip, target)
    truth = ClipTruth(clip, clip.energy(recogniser.blocks), game)
    scores = {method: truth.measure_method(target, method) for method in methods}
    for key, (guessed, blocks) in reference_maps(clip, recogniser.blocks, number).items():
        scores[key] = truth.measure_map(guessed, blocks)
    unlearned = explain_unlearned(recogniser, clip, 2000 + number, target.class_index)
    if not why_not_randomised(recogniser):
        by = METHODS[method_of_random_weights(recogniser)]
        scores[RANDOM_WEIGHTS] = truth.measure(unlearned, by) if unlearned else dict.fromkeys(MEASURES)
    owes = _owes_movement(game, target)
    if not owes:
        # Where no part is owed anything, any order of them would count as right.
        scores = {method: found | dict.fromkeys((*_OF_DEBTS, *TIME_MEASURES)) for method, found in scores.items()}
    has_all_labels = set(CASME2_LABELS) <= set(recogniser.labels)
    right = recogniser.labels[target.class_index] == CASME2_LABELS[clip.label]
    row = {
        "predicted": target.class_index,
        "right": right if has_all_labels else None,
        "game": asdict(game),
        "owes_movement": float(owes),
        "beside_face": _beside_face(target),
        "follows_spot": _follows_spot(recogniser, clip, target.class_index),
        "methods": rounded_scores(scores),
    }
    slices = slices_of(clip, CASME2_LABELS)
    return {"clip": number, "person": clip.person, "label": clip.label, "slices": slices, "variants": {
        recogniser.name: row}}  # fmt: skip


def _play(recogniser: CheckedRecogniser, clip: KnownClip, target: RecogniserTarget) -> ClipGame:
    """Ask a recogniser about the clip rendered without its parts, and with the same blocks held in its pixels."""
    assert clip.recipe is not None
    game, in_time, index = clip.recipe.game(recogniser.blocks), clip.recipe.time_game(), target.class_index
    players = cast("tuple[int, ...]", game.players)
    moving = game.moving_parts(len(target.scored_boxes))
    held = target.logits_with_pixels_held(target.held_pixels(moving)[:, None])[:, index]

    def told(rendered: RenderedGame) -> tuple[float, ...]:
        return tuple(logits_of(recogniser, rendered.frames)[:, index].round(6).tolist())

    stretches = cast("tuple[Stretch, ...]", in_time.players)
    rounded = tuple(np.round(held.double().numpy(), 6).tolist())
    return ClipGame(index, players, told(game), rounded, stretches, told(in_time))


@torch.no_grad()
def logits_of(recogniser: CheckedRecogniser, clips: UInt8[np.ndarray, "b t s s 3"]) -> Float[np.ndarray, "b k"]:
    """Compute the logits of clips of eight bits a channel."""
    batches = [
        recogniser.logits(torch.from_numpy(some).permute(0, 1, 4, 2, 3).float() / 255)
        for some in np.array_split(clips, -(-len(clips) // _AT_ONCE))
    ]
    return torch.cat(batches).double().numpy()


def _owes_movement(game: ClipGame, target: RecogniserTarget) -> bool:
    """Tell whether the answer owes some rendered part more than a twentieth of the logit's change."""
    owed = np.abs(game.values.shapley)
    return bool(len(owed)) and float(owed.max()) > _LEAST_OWED * max(abs(target.difference), 1e-9)


def _beside_face(target: RecogniserTarget) -> float | None:
    """Return the share (0..1) of the logit's change from the still face that is left with every block held still.

    None where there is no change.
    """
    still = torch.zeros(1, len(target.scored_boxes) + 1)
    still[:, -1] = 1
    held = target.logits_with_blocks_moving(still)[0, target.class_index]
    left, on_face = (
        abs(float(held - target.baseline_logits[target.class_index])),
        abs(float(target.logits[target.class_index] - held)),
    )
    return left / (left + on_face) if left + on_face > 1e-9 else None


def _follows_spot(recogniser: CheckedRecogniser, clip: KnownClip, answer: int) -> float:
    """Return 1 if a spot planted beside the face, in some place, changes the answer, else 0."""
    planted = np.stack([SHORTCUTS["spot"].plant(clip, place) for place in range(_SPOTS)])
    return float((logits_of(recogniser, planted).argmax(1) != answer).any())
