"""Scores of people for validation while the heads are trained."""

from typing import Any

from mexplain.evaluation.calibration import predict_simulated
from mexplain.evaluation.recognition import score_recognition
from mexplain.model.network import Head, MicroExpressionNet
from mexplain.simulation.sampling import NUISANCE_ONLY, SHIFTED
from mexplain.simulation.synthesizer import Synthesizer


def validation_scores(
    model: MicroExpressionNet, ablation: Head | None, source: Synthesizer, *, seed: int, clips: int
) -> dict[str, Any]:
    """Compute for each head, on shifted clips, its accuracy and attention hits, and how often it sees too much.

    ``validation`` maps each head to the first two, ``false`` each variant to the share of clips without an expression
    in which it sees one, before calibration.
    """
    scores = score_recognition(model, ablation, source, SHIFTED, clips=clips, seed=seed)
    empty = predict_simulated(model, source, NUISANCE_ONLY, clips=clips, seed=seed)
    return {
        "validation": {name: [score.accuracy, score.attention_hits] for name, score in scores.items()},
        "false": {name: float((presence > 0).mean()) for name, presence in empty.presence.items()},
    }
