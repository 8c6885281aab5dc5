"""The published coding of CASME II: action units, side and duration of each label.

Aggregates of the published coding sheet. Left out are rows whose label the action units do not settle: where two labels
share a combination, it belongs to the one that the coders gave it more often. AU4 alone was coded "others" 60 times
and "disgust" 12 times: here it is "others". AU4+7 was "disgust" 20 times and "others" 3 times, AU14 "others" 15 times,
"happiness" 3 and "repression" 2, AU17 "repression" 13 times and "others" 4: the first named holds here. Real labels
are less settled than these.

``elsewhere`` holds combinations that DFME and SAMM coders gave the same label, and two of our own that a broad smile
shows (AU6+7+12, AU6+12+25): trained on, but not part of the mix that is scored.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelCoding:
    """Action units, side and timing of one label.

    ``combinations`` maps sets of action units to how many clips had them; ``one_sided`` is the share of clips in
    which one side alone moved; the last three are 10th, 50th and 90th percentiles, in seconds and as a share of the
    event. ``elsewhere`` are combinations from other sheets.
    """

    combinations: dict[tuple[int, ...], int]
    one_sided: float
    duration_s: tuple[float, float, float]
    apex_share: tuple[float, float, float]
    elsewhere: tuple[tuple[int, ...], ...] = ()


CASME2_CODING: dict[str, LabelCoding] = {
    "happiness": LabelCoding(
        {(12,): 15, (6, 12): 6},
        0.41,
        (0.205, 0.402, 0.484),
        (0.30, 0.55, 0.72),
        elsewhere=((6, 12), (7, 12), (10, 12), (6, 10, 12), (12, 24), (6, 7, 12), (6, 12, 25)),
    ),
    "disgust": LabelCoding(
        {(4, 7): 20, (4, 10): 9, (4, 9): 4, (4, 7, 9): 3, (4, 6, 7): 2, (10,): 2, (4, 7, 10): 2, (4, 9, 10): 2},
        0.22,
        (0.208, 0.305, 0.455),
        (0.33, 0.51, 0.70),
        elsewhere=((9,), (7, 10), (4, 6, 10)),
    ),
    "surprise": LabelCoding(
        {(1, 2): 13, (1,): 4, (2,): 3},
        0.56,
        (0.230, 0.280, 0.455),
        (0.33, 0.51, 0.66),
        elsewhere=((1, 2, 5), (5,)),
    ),
    "repression": LabelCoding({(17,): 13, (15,): 4, (15, 17): 4}, 0.0, (0.264, 0.385, 0.575), (0.31, 0.50, 0.73)),
    "others": LabelCoding({(4,): 60, (14,): 15, (24,): 2}, 0.06, (0.201, 0.305, 0.457), (0.29, 0.51, 0.66)),
}
