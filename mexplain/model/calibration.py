"""The mapping of a variant's logits to probabilities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError


@dataclass(frozen=True)
class Calibration:
    """A variant's mapping of logits to probabilities, and its threshold of presence.

    Classes are ``softmax(logits / temperature)``, an expression's presence is ``sigmoid(scale * logit + shift)``;
    below ``none_below`` of it the label is "none".
    """

    temperature: float = 1.0
    scale: float = 1.0
    shift: float = 0.0
    none_below: float = 0.0
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and self.scale > 0 and 0 <= self.none_below <= 1):
            raise SettingError(f"a calibration needs temperature and scale above 0 and none_below in 0..1, got {self}")

    def classes(self, logits: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b k"]:
        """Class probabilities."""
        exponentials = np.exp((logits - logits.max(-1, keepdims=True)) / self.temperature)
        return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))

    def presence(self, logits: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b"]:
        """Probability that there is an expression."""
        return np.asarray(1 / (1 + np.exp(-(self.scale * logits + self.shift))))
