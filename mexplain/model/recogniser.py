"""A network of one's own: what it must have to be explained, and what is checked before it is believed."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mexplain.errors import RecogniserError
from mexplain.face.blocks import LAYOUTS
from mexplain.model.call_limiter import CallLimiter
from mexplain.model.config import PRESETS

Result = TypeVar("Result")
# Known clips are rendered at multiples of this many pixels.
SIZE_STEP = 8
COLOURS = ("RGB", "BGR", "grey")
# Grey of a colour by its red, green and blue (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)
# Logits of one clip that differ by more than this, relative to the largest, differ.
_SAME = 1e-4
_FEATURE_AXES = 5


@dataclass(frozen=True)
class InputSpec:
    """The clips that a network takes: ``frames`` square pictures of ``size`` px, evenly spaced, the onset first.

    ``colour`` is one of ``COLOURS`` ("grey" has one channel), ``value_range`` what black and white are. ``crop_iod`` is
    the width of a picture in inter-ocular distances. With ``difference`` each picture is less the first one.

    Clips are made, and parts of them held still, at ``working_size`` px: ``size``, or the next multiple of 8.

    Raises ``RecogniserError`` for values that no clip can have.
    """

    size: int = 112
    frames: int = 12
    colour: str = "RGB"
    value_range: tuple[float, float] = (0.0, 1.0)
    crop_iod: float = PRESETS["lite"].crop_iod
    difference: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("size", self.size, 16, 512),
            ("frames", self.frames, 2, 64),
            ("crop_iod", self.crop_iod, 1.5, 6.0),
        ):
            if not low <= value <= high:
                raise RecogniserError(f"{name} of an input must be from {low:g} to {high:g}; got {value!r}.")
        if self.colour not in COLOURS:
            raise RecogniserError(f"colour of an input must be one of {', '.join(COLOURS)}; got {self.colour!r}.")
        if not self.value_range[0] < self.value_range[1]:
            raise RecogniserError(f"value_range of an input must be black, then white; got {self.value_range!r}.")

    @property
    def working_size(self) -> int:
        """The side of the clips that are made for the network, before they are scaled to ``size``."""
        return -(-self.size // SIZE_STEP) * SIZE_STEP

    def to_input(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b t c w w"]:
        """Turn clips, RGB in 0..1, into what the network takes; the result shares no memory with them."""
        low, high = self.value_range
        seen = self._scaled(clips) * (high - low) + low
        if self.colour == "BGR":
            seen = seen.flip(2)
        elif self.colour == "grey":
            seen = (seen * seen.new_tensor(_GREY).view(3, 1, 1)).sum(2, keepdim=True)
        return seen - seen[:, :1] if self.difference else seen

    def _scaled(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b t 3 w w"]:
        if clips.shape[-1] == self.size:
            return clips
        pictures: Tensor = F.interpolate(clips.flatten(0, 1), (self.size,) * 2, mode="bilinear", antialias=True)
        scaled: Tensor = pictures.unflatten(0, clips.shape[:2])
        return scaled


@runtime_checkable
class Recogniser(Protocol):
    """A network that names what a face does: its classes, the clips that it takes, and their logits.

    ``forward`` gets clips of shape (b, t, c, s, s) as ``input_spec`` describes them and returns logits (b, k), one for
    each of ``labels``. It may be any code, on any device that it chooses itself. Where it is made of torch operations,
    slopes are had too. Optional members: ``blocks`` ("10" or "24"), the layout of blocks that its explanations are in
    (default "10"), and ``attention_weights(frames)``, the weight that it gave each of these blocks in each frame
    (b, t, n), 0 to 1; ``features(frames)``, feature maps (b, t, c, h, w) of any time and size, and
    ``logits_of_features(features)``, what ``forward`` makes of them (b, k).
    """

    labels: Sequence[str]
    input_spec: InputSpec

    def forward(self, frames: Tensor) -> Tensor:
        """Compute the logits (b, k) of clips (b, t, c, s, s)."""


class CheckedRecogniser:
    """A recogniser that was asked about noise and answered as it should; each further answer is checked too.

    ``name`` is what it is called in sentences, ``made`` the network itself. ``gives_gradient`` tells whether slopes can
    be had, ``repeats`` whether it answers the same clip alike when asked again; ``sha256`` is that of its name, its
    input and its answer to noise, so that results of other weights are told apart. Its code runs in a thread of its
    own, no call for longer than ``MEXPLAIN_MAX_RECOGNISER_S``.

    Raises ``RecogniserError`` for one that lacks a member, is in training mode, raises, hangs, or answers in another
    shape or in numbers that are not finite.
    """

    def __init__(self, recogniser: object, name: str = "", limiter: CallLimiter | None = None) -> None:
        self.name = name or type(recogniser).__name__
        if not isinstance(recogniser, Recogniser):
            missing = [member for member in ("labels", "input_spec", "forward") if not hasattr(recogniser, member)]
            raise RecogniserError(f"{self.name} is no recogniser: it has no {' and no '.join(missing)}.")
        self.made: Any = recogniser
        self._calls = limiter or CallLimiter(self.name)
        self.labels, self.spec = _labels(self.name, recogniser.labels), recogniser.input_spec
        if not isinstance(self.spec, InputSpec):
            raise RecogniserError(f"input_spec of {self.name} must be an InputSpec; got {type(self.spec).__name__}.")
        self.blocks = str(getattr(recogniser, "blocks", "10"))
        if self.blocks not in ("10", "24"):
            raise RecogniserError(f"blocks of {self.name} must be 10 or 24; got {self.blocks!r}.")
        if isinstance(recogniser, nn.Module) and recogniser.training:
            raise RecogniserError(
                f"{self.name} is in training mode; its factory must call eval() before it returns it."
            )
        self.gives_attention = callable(getattr(recogniser, "attention_weights", None))
        members = ("features", "logits_of_features")
        self.gives_features = all(callable(getattr(recogniser, member, None)) for member in members)
        self.gives_gradient, self.repeats, self.sha256 = self._probe()
        self.gives_features = self.gives_features and self.repeats

    @property
    def offers(self) -> frozenset[str]:
        """What it gives beside logits: "gradient", "attention" and "features", as methods name what they need."""
        given = {
            "gradient": self.gives_gradient,
            "attention": self.gives_attention,
            "features": self.gives_features,
        }
        return frozenset(need for need, has in given.items() if has)

    @property
    def hangs(self) -> bool:
        """Whether a call took too long, so that none is made any more."""
        return self._calls.hangs

    def call(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` on its code returns, limited as its own calls are."""
        return self._calls.call(work)

    def with_weights_of(self, other: nn.Module) -> "CheckedRecogniser":
        """Return the same recogniser with a copy of its network, of other weights, in its place; nothing is asked."""
        changed = copy.copy(self)
        changed.made = other
        return changed

    def logits(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b k"]:
        """Compute the logits of clips, RGB in 0..1, on the clips' device."""
        shape = (len(clips), len(self.labels))
        return self._asked("forward", lambda seen: self.made.forward(self.spec.to_input(seen)), clips, shape)

    def attention(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b t n"]:
        """Compute the weight that it gave each block in each frame; raises ``RecogniserError`` where it gives none."""
        shape = (len(clips), self.spec.frames, len(LAYOUTS[self.blocks]))
        ask = self.made.attention_weights
        return self._asked("attention_weights", lambda seen: ask(self.spec.to_input(seen)), clips, shape)

    def features(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b u c h w"]:
        """Compute its feature maps of clips."""
        return self._asked("features", lambda seen: self.made.features(self.spec.to_input(seen)), clips, (len(clips),))

    def logits_of_features(self, features: Float[Tensor, "b u c h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits that it makes of feature maps."""
        shape = (len(features), len(self.labels))
        return self._asked("logits_of_features", self.made.logits_of_features, features, shape)

    def _asked(
        self, member: str, ask: Callable[[Tensor], object], given: Float[Tensor, "b ..."], shape: tuple[int, ...]
    ) -> Tensor:
        """Ask about a batch of clips or of features; ``shape`` is that of the answer, or its start, of features."""
        answer = self._calls.call_differentiable(ask, given)
        said = f"{member} of {self.name}"
        if not isinstance(answer, Tensor):
            raise RecogniserError(f"{said} must return a torch.Tensor; got {type(answer).__name__}.")
        wrong = answer.ndim != _FEATURE_AXES or answer.shape[:1] != shape if len(shape) == 1 else answer.shape != shape
        if wrong:
            wanted = f"({shape[0]}, times, channels, height, width)" if len(shape) == 1 else str(shape)
            got = f"{tuple(answer.shape)} for clips of shape {tuple(given.shape)}"
            raise RecogniserError(f"{said} must return shape {wanted}; got {got}.")
        if not answer.is_floating_point():
            raise RecogniserError(f"{said} must return floating-point numbers; got {answer.dtype}.")
        if not bool(torch.isfinite(answer).all()):
            raise RecogniserError(f"{said} returned numbers that are not finite.")
        return answer.to(given)

    def _probe(self) -> tuple[bool, bool, str]:
        """Ask about two clips of noise: whether slopes can be had, whether the answer is the same twice, its hash."""
        generator = torch.Generator().manual_seed(0)
        spec = self.spec
        noise = 0.5 + 0.1 * torch.randn(2, spec.frames, 3, spec.working_size, spec.working_size, generator=generator)
        with torch.inference_mode(False), torch.enable_grad():
            clips = noise.requires_grad_()
            logits = self.logits(clips)
            slope = _slope(logits, clips) if logits.requires_grad else None
            again = self.logits(clips.detach())
        if self.gives_attention:
            self.attention(clips.detach())
        answer = logits.detach()
        same = _alike(again, answer)
        if self.gives_features and same:
            self._check_features(clips.detach(), answer)
        said = [self.name, *self.labels, str(spec), *(f"{value:.3g}" for value in answer.flatten().tolist() if same)]
        sha256 = hashlib.sha256("\n".join(said).encode()).hexdigest()
        return slope is not None and bool(torch.isfinite(slope).all()), same, sha256

    def _check_features(self, clips: Float[Tensor, "b t 3 s s"], logits: Float[Tensor, "b k"]) -> None:
        """Raise ``RecogniserError`` unless the logits of its features are its logits, and have slopes."""
        with torch.inference_mode(False), torch.enable_grad():
            made = self.logits_of_features(self.features(clips).detach().requires_grad_())
        if not _alike(made.detach(), logits):
            raise RecogniserError(f"logits_of_features of {self.name} must make of features what forward returns.")
        if not made.requires_grad:
            raise RecogniserError(
                f"logits_of_features of {self.name} must be made of torch operations, to have slopes."
            )


def _alike(logits: Tensor, others: Tensor) -> bool:
    return bool((logits - others).abs().max() <= _SAME * max(1.0, float(others.abs().max())))


def _slope(logits: Tensor, clips: Tensor) -> Tensor | None:
    (slope,) = torch.autograd.grad(logits.sum(), clips, allow_unused=True)
    return slope


def _labels(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    found = tuple(labels) if not isinstance(labels, str) else ()
    if len(found) < 2 or len(set(found)) < len(found) or not all(isinstance(label, str) and label for label in found):
        raise RecogniserError(f"labels of {name} must be two or more different names; got {labels!r}.")
    return found
