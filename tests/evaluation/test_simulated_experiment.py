"""Move a muscle: what moves is what was asked for, and findings are judged by it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mexplain.errors import FaceError, SettingError
from mexplain.evaluation import simulated_experiment
from mexplain.media.video import probe
from mexplain.records import NONE
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.subject import built_in, from_photo, names

pytestmark = pytest.mark.slow

METHOD = "input_x_gradient"


@pytest.fixture(scope="module")
def face():
    return built_in(names()[0])


@pytest.fixture(scope="module")
def smile(face, checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "smile.mp4"
    return simulated_experiment.run_experiment(
        face, (6, 12), path, checkpoint, strength_iod=0.08, methods=(METHOD,), device="cpu"
    )


def test_muscles_have_plain_names():
    choices = simulated_experiment.muscle_choices()
    assert ("AU12, lip corner puller", 12) in choices
    assert [number for _, number in choices] == list(ACTION_UNITS)


@pytest.mark.parametrize(
    ("aus", "side", "block"),
    [
        ((12,), "left", "mouth corner left"),
        ((12,), "right", "mouth corner right"),
        ((2,), "left", "outer brow left"),
        ((17,), "both", "chin"),
    ],
)
def test_the_place_that_moves_is_the_muscles_own(face, aus, side, block):
    moved = simulated_experiment.simulate_movement(face, aus, side=side, strength_iod=0.05)
    assert moved.ranking["10"][0] == (block, pytest.approx(1.0))
    assert moved.moving["10"][0] == block and block in moved.alt
    strengths = [strength for _, strength in moved.ranking["24"]]
    assert strengths == sorted(strengths, reverse=True) and len(strengths) == 24
    assert moved.moving["24"] == tuple(name for name, strength in moved.ranking["24"] if strength >= 0.5)
    assert moved.moving["uncropped"] == moved.moving["10"]
    assert moved.chance("10") == len(moved.moving["10"]) / 10
    # Colour on the subject's left is on the right of the picture.
    colour = np.ptp(moved.motion_map[:384].astype(int), axis=-1)
    halves = colour[:, :192].sum(), colour[:, 192:].sum()
    if side != "both":
        assert halves[side == "left"] > 3 * halves[side != "left"]


def test_speed_and_strength_are_those_asked_for(face):
    slow, quick = (
        simulated_experiment.simulate_movement(face, (1,), lasts_s=seconds, strength_iod=0.04) for seconds in (1.0, 0.2)
    )
    assert len(slow.clip.frames) - len(quick.clip.frames) == pytest.approx(0.8 * simulated_experiment.FPS, abs=1)
    assert slow.clip.expression.intensity_iod == 0.04
    assert slow.alt.endswith("up to 0.04 eye distances.")


def test_a_broad_movement_is_noticed_and_found(smile):
    assert probe(smile.path).frames == len(smile.moved.clip.frames)
    by_asked = {(finding.variant, finding.asked): finding for finding in smile.findings}
    assert set(by_asked) == {
        *(
            (variant, asked)
            for variant in ("24", "10")
            for asked in (simulated_experiment.LABEL, simulated_experiment.ATTENTION, METHOD)
        ),
        ("uncropped", simulated_experiment.LABEL),
        ("uncropped", METHOD),
    }
    assert all(finding.found for finding in smile.findings if finding.asked == simulated_experiment.LABEL)
    assert by_asked["10", simulated_experiment.ATTENTION].found
    for finding in smile.findings:
        if finding.asked != simulated_experiment.LABEL:
            assert finding.found == (finding.top in smile.moved.moving[finding.variant])
        assert not finding.says[0].islower() and finding.says.endswith(".")
    assert smile.sentence.startswith("3 of 3 variants noticed it.")


def test_nothing_found_where_something_moves_is_a_miss_and_the_other_way_round(smile, face):
    still = simulated_experiment.simulate_movement(face, (12,), strength_iod=0.0)
    assert still.moving == {"24": (), "10": (), "uncropped": ()} and "nowhere" in still.alt
    findings = simulated_experiment.judge_detections(still, smile.report)
    assert not any(finding.found for finding in findings)
    assert "where nothing moved" in findings[0].says
    assert (
        simulated_experiment.detection_sentence(still, findings)
        == "Nothing moved, and 0 of 3 variants rightly found no expression."
    )


def test_a_still_face_is_given_no_label(face, checkpoint, tmp_path):
    made = simulated_experiment.run_experiment(
        face, (12,), tmp_path / "still.mp4", checkpoint, strength_iod=0.0, methods=(), device="cpu", seed=1
    )
    labels = [finding for finding in made.findings if finding.asked == simulated_experiment.LABEL]
    assert sum(finding.top == NONE and finding.found for finding in labels) >= 2


def test_ones_own_photo_is_cut_to_the_face(face, tmp_path):
    wide = np.full((600, 1400, 3), 90, np.uint8)
    height, width = face.photo.shape[:2]
    wide[150 : 150 + height, 800 : 800 + width] = face.photo
    cv2.imwrite(str(tmp_path / "wide.png"), wide[:, :, ::-1])
    own = from_photo(tmp_path / "wide.png")
    assert all(side % 2 == 0 and side <= 480 for side in own.photo.shape[:2])
    assert own.photo.shape[1] < 500
    spread = np.ptp(own.landmarks_xy, axis=0)
    assert (spread > 0.25 * own.photo.shape[1]).all()
    assert simulated_experiment.simulate_movement(own, (12,), side="left").moving["10"] == ("mouth corner left",)
    (tmp_path / "not.png").write_text("not a picture")
    with pytest.raises(FaceError):
        from_photo(tmp_path / "not.png")


@pytest.mark.parametrize(
    "settings", [{"strength_iod": 0.3}, {"strength_iod": -0.1}, {"lasts_s": 0.05}, {"lasts_s": 2.0}, {"side": "top"}]
)
def test_what_cannot_be_is_said(face, settings):
    with pytest.raises(SettingError):
        simulated_experiment.simulate_movement(face, (12,), **settings)


def test_only_built_in_faces_have_names():
    assert len(names()) >= 4
    with pytest.raises(SettingError, match="Person 1"):
        built_in(str(Path("/etc/passwd")))
