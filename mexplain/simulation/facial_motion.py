"""Motion of a face as weights of rig shapes over time, and its reduction to a few fields of landmark motion."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.face.mesh import motion_basis

SHAPES = tuple(motion_basis())
_NUMBER = {name: number for number, name in enumerate(SHAPES)}


def shape_numbers(name: str) -> tuple[int, ...]:
    """Return the places in ``SHAPES`` of a shape, or of both sides of a shape that is named without one.

    Raises ``SettingError`` for a name that the rig does not have.
    """
    found = tuple(_NUMBER[each] for each in (name, f"{name}_R", f"{name}_L") if each in _NUMBER)
    if not found:
        raise SettingError(f"A shape must be one of {', '.join(SHAPES)}; got {name!r}.")
    return found


@dataclass(frozen=True)
class FacialMotion:
    """Weight of each shape of ``SHAPES`` at each time, mostly 0..1: 1 is the shape's full displacement.

    ``speech_s`` are the stretches (first and last second) in which the person speaks. Raises ``SettingError`` where
    weights and times differ in number.
    """

    times_s: Float[np.ndarray, "t"]
    weights: Float[np.ndarray, "k t"]
    speech_s: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.weights.shape != (len(SHAPES), len(self.times_s)):
            expected = (len(SHAPES), len(self.times_s))
            raise SettingError(f"Weights must have the shape {expected}; got {self.weights.shape}.")

    @classmethod
    def of_courses(cls, times_s: Float[np.ndarray, "t"], courses: dict[str, Float[np.ndarray, "t"]]) -> "FacialMotion":
        """Return the motion with a course for each named shape; a name without its side stands for both sides."""
        weights = np.zeros((len(SHAPES), len(times_s)), np.float32)
        for name, course in courses.items():
            weights[list(shape_numbers(name))] += course
        return cls(times_s, weights)

    def course(self, name: str) -> Float[np.ndarray, "t"]:
        """Return the weight of a shape over time, the mean of both sides for a name without its side."""
        return np.asarray(self.weights[list(shape_numbers(name))].mean(0))

    def faded(self, gain: Float[np.ndarray, "t"]) -> "FacialMotion":
        """Return the motion with every weight multiplied by ``gain`` at its time."""
        return FacialMotion(self.times_s, (self.weights * gain).astype(np.float32), self.speech_s)


def add_motions(one: FacialMotion, other: FacialMotion) -> FacialMotion:
    """Return both motions at once; lips never close further than the jaw is open."""
    return FacialMotion(one.times_s, settle(one.weights + other.weights), one.speech_s + other.speech_s)


def settle(weights: Float[np.ndarray, "k t"]) -> Float[np.ndarray, "k t"]:
    """Return weights within 0..1.2 whose ``mouthClose`` never exceeds ``jawOpen``, as in all captures of speech."""
    bounded: Float[np.ndarray, "k t"] = np.clip(weights, 0, 1.2).astype(np.float32)
    close, jaw = _NUMBER["mouthClose"], _NUMBER["jawOpen"]
    bounded[close] = np.minimum(bounded[close], bounded[jaw])
    return bounded


def reduce_motion(
    weights: Float[np.ndarray, "k t"], shapes: Float[np.ndarray, "k 478 2"], rank: int
) -> tuple[Float[np.ndarray, "r 478 2"], Float[np.ndarray, "r t"]]:
    """Return the parts and courses of the ``rank`` largest components of a motion (singular value decomposition).

    Their sum ``parts.T @ courses`` is the motion of all landmarks as closely as that rank can, in squared distance.
    Parts come largest first, each scaled so that its course reaches 1; parts that there are not are 0.
    """
    acting = np.flatnonzero(np.abs(weights).max(1) > 1e-4)
    parts, courses = np.zeros((rank, 478, 2), np.float32), np.zeros((rank, weights.shape[1]), np.float32)
    if not len(acting):
        return parts, courses
    flat, over_time = shapes[acting].reshape(len(acting), -1).astype(np.float64), weights[acting].astype(np.float64)
    # The landmarks' motion is time x shapes x landmarks; its SVD is that of the small middle product.
    values, vectors = np.linalg.eigh(flat @ flat.T)
    root = vectors * np.sqrt(values.clip(0))
    energy, axes = np.linalg.eigh(root.T @ over_time @ over_time.T @ root)
    for number in range(min(rank, int((energy > 1e-9 * energy[-1]).sum()))):
        course = axes[:, -1 - number] @ root.T @ over_time
        part = (course @ over_time.T) @ flat / max(float(course @ course), 1e-12)
        peak = float(course[np.abs(course).argmax()])
        parts[number], courses[number] = (part * peak).reshape(478, 2), course / peak
    return parts, courses
