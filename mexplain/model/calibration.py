"""The mapping of a variant's logits to probabilities, and to the labels that cannot be ruled out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import SettingError


@dataclass(frozen=True)
class Calibration:
    """A variant's mapping of logits to probabilities, and its thresholds.

    Classes are ``softmax(logits / temperature)``, an expression's presence is ``sigmoid(scale * logit + shift)``;
    below ``none_below`` of it the label is "none". Classes at least as probable as ``set_threshold`` (0..1) cannot be
    ruled out; None until that has been fitted.
    """

    temperature: float = 1.0
    scale: float = 1.0
    shift: float = 0.0
    none_below: float = 0.0
    set_threshold: float | None = None
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and self.scale > 0 and 0 <= self.none_below <= 1):
            raise SettingError(f"a calibration needs temperature and scale above 0 and none_below in 0..1, got {self}")
        if self.set_threshold is not None and not 0 <= self.set_threshold <= 1:
            raise SettingError(f"a calibration needs a set_threshold in 0..1 or none, got {self}")

    def classes(self, logits: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b k"]:
        """Class probabilities."""
        exponentials = np.exp((logits - logits.max(-1, keepdims=True)) / self.temperature)
        return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))

    def presence(self, logits: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b"]:
        """Probability that there is an expression."""
        return np.asarray(1 / (1 + np.exp(-(self.scale * logits + self.shift))))

    def label_set(self, probabilities: Float[np.ndarray, "*b k"]) -> Bool[np.ndarray, "*b k"]:
        """Mask of the classes that cannot be ruled out: the most probable one, and all that reach ``set_threshold``.

        Empty where no threshold was fitted.
        """
        if self.set_threshold is None:
            return np.zeros(probabilities.shape, bool)
        return np.asarray(probabilities >= np.minimum(probabilities.max(-1, keepdims=True), self.set_threshold))
