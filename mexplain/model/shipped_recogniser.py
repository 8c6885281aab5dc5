"""The network that comes with mexplain, behind the interface of a network of one's own: to compare others with it.

It is the head that sees the whole face: blocks lie differently on each face, and a recogniser gets the frames alone.
"""

from jaxtyping import Float
from torch import Tensor

from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.recogniser import CheckedRecogniser, InputSpec

SHIPPED_RECOGNISER = "mexplain (uncropped)"
_VARIANT = "uncropped"


class ShippedRecogniser:
    """The uncropped head of the shipped weights."""

    def __init__(self) -> None:
        self._model = load_checkpoint().model
        config = self._model.config
        self.labels = config.labels
        self.input_spec = InputSpec(size=config.image_size, frames=config.frames, crop_iod=config.crop_iod)

    def forward(self, frames: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b k"]:
        """Compute the logits of clips."""
        logits: Float[Tensor, "b k"] = self._model(frames, {_VARIANT: frames.new_zeros(len(frames), 0, 4)})[
            _VARIANT
        ].logits
        return logits


def shipped_recogniser() -> CheckedRecogniser:
    """Make the recogniser; raises ``CheckpointError`` where the shipped weights are missing."""
    return CheckedRecogniser(ShippedRecogniser(), SHIPPED_RECOGNISER)
