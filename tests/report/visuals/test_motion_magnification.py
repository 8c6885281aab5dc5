"""Magnified motion: it shows more of what is there, and nothing of what is not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.hand_made import FRAMES, make_face

from mexplain.errors import SettingError
from mexplain.report.visuals.motion_magnification import MAX_FACTOR, magnified_animation, motion

SIZE = 240
PX = SIZE / 2.8  # of one inter-ocular distance


def faces(film):
    """The pictures without the strips over and under them."""
    return film.pictures[:, -30 - SIZE : -30]


def shifted(face, iod):
    """The face with its middle moved down, further and further, up to ``iod``."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    bump = np.exp(-((columns - SIZE / 2) ** 2 + (rows - SIZE * 0.6) ** 2) / (2 * (0.3 * PX) ** 2))
    frames = [
        cv2.remap(face.frames[0], columns, (rows - iod * PX * share * bump).astype(np.float32), cv2.INTER_CUBIC)
        for share in np.linspace(0, 1, FRAMES)
    ]
    return replace(face, frames=np.stack(frames))


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_still_face_stays_still(noise):
    film = magnified_animation(make_face(SIZE, noise), 2.8, beside=False)
    pictures = faces(film)[:, 26:].astype(int)
    assert (pictures == pictures[0]).all()
    assert "no motion found" in film.alt


def test_motion_is_found_and_exaggerated_by_the_factor_that_is_said():
    face = shifted(make_face(SIZE), 0.04)
    found = motion(face, 2.8) / PX
    assert found[0].max() == 0
    assert 0.02 < np.abs(found[-1]).max() < 0.05
    assert np.abs(found[-1, : SIZE // 4]).max() < 0.005, "nothing moves in the upper quarter"
    film = magnified_animation(face, 2.8, factor=3.0, beside=False)
    assert "motion 3 times as large" in film.alt
    large = replace(face, frames=np.ascontiguousarray(faces(film)[::3]))
    grown = np.abs(motion(large, 2.8)[-1, 30:]).max() / np.abs(motion(face, 2.8)[-1, 30:]).max()
    assert 2.2 < grown < 3.8


def test_the_factor_fits_what_there_is_and_stands_beside_the_clip():
    faint, strong = (magnified_animation(shifted(make_face(SIZE), iod), 2.8) for iod in (0.02, 0.08))
    assert faint.pictures.shape[2] == 2 * SIZE
    factors = [float(film.alt.split("(motion ")[1].split(" times")[0]) for film in (faint, strong)]
    assert 1 < factors[1] < factors[0] <= MAX_FACTOR


@pytest.mark.parametrize("factor", [0.5, 11.0])
def test_impossible_factors_are_refused(factor):
    with pytest.raises(SettingError, match="magnified"):
        magnified_animation(make_face(), 2.8, factor=factor)
