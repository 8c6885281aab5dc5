"""A reading put to questions: by any method, on whatever device still works."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mexplain.attribution.attribute import Attribution, attribute_targets
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.target import AttributionTarget
from mexplain.explain.prediction import Prediction
from mexplain.model.device import Fallback
from mexplain.records import FaithfulnessReport


class Explainer:
    """Questions about one reading against one baseline; where memory or a GPU fails, they are asked again elsewhere."""

    def __init__(self, reading: Prediction, baseline: str = "onset", target: str | None = None) -> None:
        self._reading, self._baseline, self._target = reading, baseline, target
        self._hand = Fallback(reading.device)
        self._posed: dict[torch.device, dict[str, AttributionTarget]] = {}

    @property
    def reading(self) -> Prediction:
        """The reading, with the device that its questions are answered on, and notes of what came in the way."""
        return replace(self._reading, device=self._hand.device, notes=self._reading.notes + self._hand.notes)

    def pose(self) -> dict[str, AttributionTarget]:
        """Return each variant's question."""
        return self._hand.run(self._questions)

    def answer(self, method: str, variants: Sequence[str]) -> list[Attribution]:
        """Return what a method says to the questions of some variants."""
        return self._hand.run(
            lambda where: attribute_targets(
                [self._questions(where)[v] for v in variants], method, baseline=self._baseline
            )
        )

    def test(self, variant: str, said: Attribution, names: Sequence[str], *, thorough: bool) -> FaithfulnessReport:
        """Return what an answer was put to, and what came of it; ``names`` are those of its blocks."""
        return self._hand.run(lambda where: assess(self._questions(where)[variant], said, names, thorough=thorough))

    def _questions(self, where: torch.device) -> dict[str, AttributionTarget]:
        if where not in self._posed:
            self._posed.clear()
            moved = replace(self._reading, device=where)
            self._posed[where] = moved.questions(tuple(self._reading.outputs), self._baseline, self._target)
        return self._posed[where]
