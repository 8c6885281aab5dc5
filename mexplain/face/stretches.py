"""Stretches of a clip: the parts between cuts in which a face is seen, each with its own track."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from mexplain.errors import FaceError
from mexplain.face.landmarker import FaceLandmarker, count_note
from mexplain.face.shots import find_shots
from mexplain.face.tracking import LOOKS, NO_FACE, follow_face, look_around, lost_note
from mexplain.records import Clip
from mexplain.records.face import FaceTrack, SteadyClip

_LEAST_S = 0.3  # a face that is seen for less shows no movement
_GAP_S = 0.3  # frames left out between two of a stretch: a flash, but no more
_LOOKS_RATE = 0.5


@dataclass(frozen=True)
class FaceStretch:
    """One face followed through the frames of a clip in which it is seen, lit as usual, without a cut."""

    clip: Clip
    track: FaceTrack

    @property
    def start_s(self) -> float:
        """The time of the first frame."""
        return float(self.clip.times_s[0])

    @property
    def end_s(self) -> float:
        """The time of the last frame."""
        return float(self.clip.times_s[-1])

    @property
    def lasts_s(self) -> float:
        """Seconds from the first frame to the last."""
        return self.end_s - self.start_s


def face_stretches(
    clip: Clip, landmarker: FaceLandmarker, *, finest_s: float = 0.0, small_too: bool = True
) -> list[FaceStretch]:
    """The stretches of a clip in which a face is seen, in order; in each the largest face of its shot is followed.

    ``finest_s`` and ``small_too`` are as in ``follow_face`` and ``look_around``. Raises ``FaceError`` if there is no
    face, or none for long enough.
    """
    stretches, faces = [], False
    shots = [shot for shot in find_shots(clip) if len(shot) > 1]
    for shot in shots:
        lasts_s = float(clip.times_s[shot[-1]] - clip.times_s[shot[0]])
        part = _frames_of(clip, shot)
        count = max(LOOKS, round(_LOOKS_RATE * lasts_s))
        looks = look_around(landmarker, part, count, small_too=small_too)
        if not looks:
            continue
        faces = True
        face = follow_face(part, landmarker, looks, finest_s=finest_s)
        for run in _runs(part, face.seen):
            notes = count_note(face.faces) + lost_note(int(face.lost[run].sum()), len(run))
            stretches.append(FaceStretch(_frames_of(part, run), FaceTrack(face.landmarks_xy[run], notes)))
    if not faces:
        raise FaceError(NO_FACE)
    span = float(clip.times_s[-1] - clip.times_s[0])
    long_enough = [part for part in stretches if part.lasts_s >= min(_LEAST_S, span / 2)]
    if not long_enough:
        most = max((len(part.clip.frames) for part in stretches), default=1)
        raise FaceError(
            f"The face could be followed in only {most} of {len(clip.frames)} frames; at least half are needed, "
            f"or {_LEAST_S:g} s without a cut."
        )
    return long_enough


def stretches_note(stretches: Sequence[FaceStretch], clip: Clip, used: FaceStretch | None = None) -> tuple[str, ...]:
    """Notes for the user where stretches are not the whole clip, or only one of them is ``used``."""
    shown = stretches if used is None else [used]
    frame_s = float(np.median(np.diff(clip.times_s)))
    notes: tuple[str, ...] = ()
    early, late = shown[0].start_s - clip.times_s[0], clip.times_s[-1] - shown[-1].end_s
    kept = sum(len(part.clip.frames) for part in shown)
    if kept < len(clip.frames):
        times = [f"{part.start_s:.2f} s to {part.end_s:.2f} s" for part in shown]
        listed = " and from ".join([", from ".join(times[:-1]), times[-1]] if len(times) > 1 else times)
        apart = len(shown) > 1 or early > frame_s / 2 or late > frame_s / 2
        if apart:
            notes += (
                f"A face, lit as usual and without a cut, is seen from {listed}; the rest of the clip was left out.",
            )
        else:
            notes += (
                f"{len(clip.frames) - kept} of {len(clip.frames)} frames, lit unlike those around them, were left out.",
            )
        if early > frame_s / 2 and len(shown) == 1:
            notes += (f"Movements are compared with the first frame used, at {shown[0].start_s:.2f} s.",)
    cuts = [after.start_s for before, after in pairwise(shown) if after.start_s - before.end_s < 2.5 * frame_s]
    if cuts:
        at = ", ".join(f"{cut:.2f} s" for cut in cuts)
        notes += (f"There is a cut at {at}; no movement is read across it.",)
    return notes


def join_steady(parts: Sequence[SteadyClip], notes: tuple[str, ...]) -> SteadyClip:
    """Stretches that follow each other as one clip; their notes come after ``notes``, each once."""
    ends = np.cumsum([len(part.times_s) for part in parts]).tolist()
    return SteadyClip(
        frames=np.concatenate([part.frames for part in parts]),
        times_s=np.concatenate([part.times_s for part in parts]),
        landmarks_xy=np.concatenate([part.landmarks_xy for part in parts]),
        head_xy=np.concatenate([part.head_xy for part in parts]),
        head_turn=np.concatenate([part.head_turn for part in parts]),
        notes=tuple(dict.fromkeys(notes + tuple(note for part in parts for note in part.notes))),
        stretches=tuple(zip([0, *ends[:-1]], ends, strict=True)),
    )


def _frames_of(clip: Clip, frames: Int[np.ndarray, "n"]) -> Clip:
    if len(frames) == len(clip.frames):
        return clip
    if len(frames) == frames[-1] - frames[0] + 1:  # a view, not a copy: a minute of frames is large
        return replace(clip, frames=clip.frames[frames[0] : frames[-1] + 1], times_s=clip.times_s[frames])
    return replace(clip, frames=clip.frames[frames], times_s=clip.times_s[frames])


def _runs(clip: Clip, seen: np.ndarray) -> list[Int[np.ndarray, "n"]]:
    """Runs of frames in which the face is seen, at least two frames each, without longer gaps in time."""
    frames = np.flatnonzero(seen)
    usual = float(np.median(np.diff(clip.times_s)))
    gaps = (np.diff(frames) > 1) | (np.diff(clip.times_s[frames]) > max(_GAP_S, 2.5 * usual))
    return [run for run in np.split(frames, np.flatnonzero(gaps) + 1) if len(run) > 1]
