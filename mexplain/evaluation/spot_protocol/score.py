"""Scores of expressions spotted in long videos, as the grand challenges of micro-expressions (MEGC) define them.

Spotted and coded expressions match where their times overlap by half (IoU). STRS, the spot-then-recognise score (Liong
et al. 2023; MEGC 2025), is the F1 of spotted micro-expressions times the UF1 of the classes of those that match.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.coder_agreement.matching import match_spans
from mexplain.evaluation.datasets.long_videos import MACRO, MICRO, LongVideo
from mexplain.evaluation.intervals import draw_anew, middle_95
from mexplain.evaluation.spot_protocol.search import OTHERS, SearchedVideo

MATCH_SHARE = 0.5
CLASSES = ("negative", "positive", "surprise")
_DRAWS = 1000
# What is counted for each subject: of micro- and of macro-expressions the coded, spotted and matched ones; then coded
# class by answer of the matched ones, and how many of each class were coded.
_MICRO, _MACRO = slice(0, 3), slice(3, 6)
_ANSWERS = (*CLASSES, OTHERS)
_CONFUSION = slice(6, 6 + len(CLASSES) * len(_ANSWERS))
_CODED = slice(_CONFUSION.stop, _CONFUSION.stop + len(CLASSES))

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class SpottedKind:
    """How many expressions of one kind were coded, spotted and matched, and F1 with its 95 % interval over subjects."""

    coded: int
    spotted: int
    matched: int
    precision: float
    recall: float
    f1: float
    f1_interval: Interval


@dataclass(frozen=True)
class SpotScore:
    """Scores of the long videos of one data set, or of all.

    ``uf1`` is the mean F1 of the classes that were coded, over micro-expressions that match and have a class; None
    where none has. ``strs`` is ``micro.f1`` times that. Intervals resample subjects; None for fewer than two.
    """

    videos: int
    subjects: int
    minutes: float
    micro: SpottedKind
    macro: SpottedKind
    both: SpottedKind
    recognised: int
    uf1: float | None
    strs: float | None
    strs_interval: Interval


def score_videos(videos: Sequence[LongVideo], searched: Sequence[SearchedVideo]) -> SpotScore:
    """Score what was spotted in some videos."""
    by_subject: dict[tuple[str, str], Float[np.ndarray, "n"]] = defaultdict(lambda: np.zeros(_CODED.stop))
    for video, found in zip(videos, searched, strict=True):
        by_subject[video.dataset, video.subject] += _count(video, found)
    counts = np.array(list(by_subject.values()))
    drawn = None
    if len(counts) > 1:
        drawn = draw_anew(len(counts), _DRAWS) @ counts
    total = counts.sum(0)
    confusion = total[_CONFUSION]
    uf1 = float(_uf1(total)) if confusion.sum() else None
    return SpotScore(
        videos=len(videos),
        subjects=len(counts),
        minutes=sum(len(video.frames) / video.fps for video in videos) / 60,
        micro=_kind(total, drawn, _MICRO),
        macro=_kind(total, drawn, _MACRO),
        both=_kind(_together(total), None if drawn is None else _together(drawn), slice(0, 3)),
        recognised=int(confusion.sum()),
        uf1=uf1,
        strs=None if uf1 is None else float(_f1(total[_MICRO]) * uf1),
        strs_interval=None if drawn is None or uf1 is None else middle_95(_f1(drawn[:, _MICRO]) * _uf1(drawn)),
    )


def _count(video: LongVideo, searched: SearchedVideo) -> Float[np.ndarray, "n"]:
    counts = np.zeros(_CODED.stop)
    for kind, columns in ((MICRO, _MICRO), (MACRO, _MACRO)):
        coded = [event for event in video.events if event.kind == kind]
        spotted = [event for event in searched.found if event.kind == kind]
        pairs = match_spans(
            # A frame lasts until the next one.
            [(video.seconds(event.onset), video.seconds(event.offset + 1)) for event in coded],
            [(event.onset_s, event.offset_s) for event in spotted],
            MATCH_SHARE,
        )
        counts[columns] += len(coded), len(spotted), len(pairs)
        if kind == MICRO:
            for event in coded:
                counts[_CODED] += [event.emotion == name for name in CLASSES]
            for i, j in pairs:
                if coded[i].emotion in CLASSES:
                    cell = CLASSES.index(coded[i].emotion) * len(_ANSWERS) + _ANSWERS.index(
                        spotted[j].emotion or OTHERS
                    )
                    counts[_CONFUSION.start + cell] += 1
    return counts


def _kind(total: np.ndarray, drawn: np.ndarray | None, columns: slice) -> SpottedKind:
    coded, spotted, matched = total[columns].astype(int).tolist()
    return SpottedKind(
        coded,
        spotted,
        matched,
        matched / max(spotted, 1),
        matched / max(coded, 1),
        float(_f1(total[columns])),
        None if drawn is None else middle_95(_f1(drawn[:, columns])),
    )


def _f1(counts: np.ndarray) -> np.ndarray:
    """F1 of (coded, spotted, matched) along the last axis; 0 where there is nothing at all."""
    coded, spotted, matched = np.moveaxis(np.asarray(counts), -1, 0)
    return np.asarray(2 * matched / np.maximum(coded + spotted, 1))


def _uf1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes that were coded at all; one that no match has counts as 0."""
    table = counts[..., _CONFUSION].reshape(*counts.shape[:-1], len(CLASSES), len(_ANSWERS))
    right = np.diagonal(table[..., : len(CLASSES)], axis1=-2, axis2=-1)
    f1 = 2 * right / np.maximum(table.sum(-1) + table[..., : len(CLASSES)].sum(-2), 1)
    coded = counts[..., _CODED] > 0
    return np.asarray((f1 * coded).sum(-1) / np.maximum(coded.sum(-1), 1))


def _together(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts[..., _MICRO] + counts[..., _MACRO])
