import numpy as np
import pytest

from mexplain.explain.blendshape_agreement import (
    DETECTION_LIMITS,
    DetectionLimit,
    agreement_note,
    seen_shapes,
    unit_rises,
)
from mexplain.face.blendshapes import BLENDSHAPES
from mexplain.face.extraction import read_aligned
from mexplain.language.current import using_language
from mexplain.language.message import say
from mexplain.media.sandbox import client

LIMITS = {12: DetectionLimit(0.1, 0.05, None), 1: DetectionLimit(0.2, 0.1, 0.2)}


def rising(**shapes: float) -> np.ndarray:
    scores = np.full((2, len(BLENDSHAPES)), 0.1)
    for name, rise in shapes.items():
        scores[1, BLENDSHAPES.index(name)] += rise
    return scores


def test_a_unit_rises_with_its_blendshapes_on_their_side():
    rises = unit_rises(rising(mouthSmileLeft=0.3, browInnerUp=0.2))
    assert rises[12] == pytest.approx((0.0, 0.3))
    assert rises[1] == pytest.approx((0.2, 0.2))
    assert rises[4] == pytest.approx((0.0, 0.0))


def test_the_note_names_what_both_models_see():
    both = rising(mouthSmileLeft=0.3, mouthSmileRight=0.2, browInnerUp=0.5)
    assert agreement_note(both, (12,), LIMITS) == (
        "A second model, MediaPipe's blendshapes, sees the same: lip corner puller (mouthSmileRight, mouthSmileLeft)."
    )
    assert agreement_note(both, (12, 1), LIMITS).endswith("mouthSmileLeft), inner brow raiser (browInnerUp).")
    with using_language("de"):
        assert say(agreement_note(both, (1,), LIMITS)).startswith("Ein zweites Modell, die Blendshapes von MediaPipe,")


@pytest.mark.parametrize(
    ("scores", "claimed"), [(rising(mouthSmileLeft=0.09), (12,)), (rising(mouthSmileLeft=0.3), (4,)), (None, (12,))]
)
def test_below_its_limit_nothing_is_said(scores, claimed):
    assert agreement_note(scores, claimed, LIMITS) == ""


def test_a_real_smile_is_seen_by_the_blendshape_model_inside_the_sandbox(person_path):
    settings = {"frames": 12, "sizes": (64, 320), "crop_iod": 2.8, "name": "person.mp4"}
    _, _, (small, large) = client.call(read_aligned, person_path, None, None, blendshapes=True, **settings)
    assert small.blendshapes is None
    assert large.blendshapes is not None and large.blendshapes.shape == (2, len(BLENDSHAPES))
    assert set(seen_shapes(large.blendshapes, LIMITS)) == {12}
    assert "mouthSmile" in agreement_note(large.blendshapes, (12,), DETECTION_LIMITS)
