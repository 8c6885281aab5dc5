import numpy as np
import pytest

from mexplain.evaluation.scorecard.known_clips import KnownClips, load_known_clips
from mexplain.evaluation.scorecard.planted_shortcut import (
    cue_pixels,
    head_accuracy,
    planted_clips,
    shortcut_check,
    shortened,
    train_shortcut,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known() -> KnownClips:
    return load_known_clips(count=150)


def test_the_spot_lies_beside_the_face_and_names_the_class(known):
    for label in range(5):
        spot = cue_pixels(112, label)
        assert 0.004 < spot.mean() < 0.01
        assert np.mean([(spot & clip.face).sum() / spot.sum() for clip in known]) < 0.02
        assert not any((spot & cue_pixels(112, other)).any() for other in range(label))


def test_planting_changes_only_the_spot_and_never_the_onset(known):
    clips = known.clips[:6]
    planted, spots = planted_clips(clips, 5, 0)
    for clip, changed, spot in zip(clips, planted, spots, strict=True):
        short = shortened(clip)
        assert (changed.frames[0] == short.frames[0]).all()
        assert (changed.frames[:, ~spot] == short.frames[:, ~spot]).all()
        difference = np.abs(changed.frames[-1].astype(int) - short.frames[-1])[spot]
        assert difference.mean() > 40
        assert short.course.max() == clip.course.max()


def test_a_network_that_looks_beside_the_face_is_given_away(checkpoint, known):
    methods = ("integrated_gradients", "occlusion", "attention")
    found = shortcut_check(checkpoint.model, known, methods, explained=2)
    assert found is not None
    assert found.accuracy > 0.9
    for method in ("integrated_gradients", "occlusion"):
        values = found.methods[method]
        assert values["exposing"], method
        assert values["planted_mass_ratio"] < 0.5 * values["honest_mass_ratio"]
        assert values["planted_off_face"] > 0.5
    # Attention tells of blocks alone, and none of them is where the reason lies.
    attention = found.methods["attention"]
    assert not attention["exposing"]
    assert attention["planted_off_face"] < 0.2


def test_without_enough_clips_nothing_is_said(checkpoint, known):
    few = KnownClips(known.clips[:10], known.source, known.seed, known.sha256)
    assert shortcut_check(checkpoint.model, few, ("saliency",)) is None


def test_the_honest_network_stays_as_it_is(checkpoint, known):
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    learn, _ = planted_clips(known.clips[:16], 5, 0)
    taught = train_shortcut(checkpoint.model, learn)
    assert all((value == before[name]).all() for name, value in checkpoint.model.state_dict().items())
    assert not taught.training
    assert head_accuracy(taught, learn) >= 0.2
