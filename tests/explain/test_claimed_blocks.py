import numpy as np
import pytest

from mexplain.explain.claimed_blocks import claimed_cosines, claimed_motion, cosine
from mexplain.face.blocks import layout
from tests.support.hand_made import make_report


def test_a_smile_on_the_left_moves_the_left_corner_of_the_mouth_most():
    names = layout("10").names
    motion = claimed_motion("10", {12: (0.1, 0.8), 1: (0.9, 0.9)}, (12,))
    assert names[int(motion.argmax())] == "mouth corner left"
    assert motion[names.index("mouth corner right")] < 0.5 * motion.max()
    both = claimed_motion("10", {12: (0.8, 0.8)}, (12,))
    assert both[list(layout("10").mirror_of)] == pytest.approx(both, abs=0.03 * both.max())
    jaw, half = (claimed_motion("10", {26: (0.8, left)}, (26,)) for left in (0.8, 0.0))
    assert jaw == pytest.approx(2 * half)


def test_the_cosine_tells_scores_on_the_claimed_blocks_from_others():
    motion = claimed_motion("24", {1: (0.9, 0.9), 2: (0.9, 0.9)}, (1, 2))
    names = layout("24").names
    brows = np.array(["brow" in name for name in names], np.float64)
    mouth = np.array(["lip" in name or "mouth" in name for name in names], np.float64)
    assert cosine(motion, motion) == pytest.approx(1)
    brow, other = cosine(brows - mouth, motion), cosine(mouth, motion)
    assert brow is not None and other is not None and brow > 0.8 > 0.2 > other
    assert cosine(-brows, motion) is None
    assert cosine(brows, claimed_motion("24", {1: (0.1, 0.1)}, ())) is None


def test_a_report_without_scores_or_claims_has_no_cosine():
    (variant,) = make_report(scores=[0.0] * 9 + [1.0]).variants
    assert claimed_cosines(variant, (12,)) == {}
