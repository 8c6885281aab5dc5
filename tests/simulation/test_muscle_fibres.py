"""Muscles as fibres: they move what anatomy says, on one side, and otherwise than the rig."""

import importlib
from dataclasses import replace
from pkgutil import iter_modules
from types import ModuleType

import numpy as np
import pytest

from mexplain import training
from mexplain.errors import SettingError
from mexplain.evaluation import calibration
from mexplain.face.mesh import RIGHT_PUPIL, mean_shape, mirror
from mexplain.model.config import CASME2_LABELS, UNITS
from mexplain.simulation.action_units import ACTION_UNITS, full_displacement
from mexplain.simulation.muscle_fibres import FIBRES, fibre_displacement
from mexplain.simulation.sampling import OUT_OF_FAMILY, PROBE, Mixture, draw_clip_plan

# Landmarks on the subject's left: where a unit is seen best, and which way that point goes (x right, y down).
INNER_BROW, MIDDLE_BROW, OUTER_BROW, UPPER_LID, UNDER_EYE, CHEEK = 336, 296, 293, 386, 374, 330
NOSE_WING, UPPER_LIP, CORNER, LOWER_LIP, CHIN = 278, 269, 291, 405, 199
SEEN = {
    1: (INNER_BROW, (0, -1)),
    2: (OUTER_BROW, (0, -1)),
    4: (MIDDLE_BROW, (-1, 1)),
    5: (UPPER_LID, (0, -1)),
    6: (CHEEK, (0, -1)),
    7: (UNDER_EYE, (-1, -2)),
    9: (NOSE_WING, (0, -1)),
    10: (UPPER_LIP, (0, -1)),
    12: (CORNER, (1, -1)),
    14: (CORNER, (1, 0)),
    15: (CORNER, (0, 1)),
    17: (CHIN, (0, -1)),
    20: (CORNER, (1, 0)),
    24: (LOWER_LIP, (0, -1)),
    25: (LOWER_LIP, (0, 1)),
    26: (CHIN, (0, 1)),
    45: (UPPER_LID, (0, 1)),
}


def test_every_action_unit_has_its_muscles() -> None:
    assert tuple(FIBRES) == tuple(ACTION_UNITS) == UNITS
    assert set(SEEN) == set(UNITS)


@pytest.mark.parametrize("unit", SEEN)
def test_a_unit_moves_its_place_the_way_it_should(unit: int) -> None:
    point, direction = SEEN[unit]
    moved = fibre_displacement(unit, "left")
    cosine = moved[point] @ direction / (np.linalg.norm(moved[point]) * np.linalg.norm(direction))
    assert cosine > 0.85
    assert np.linalg.norm(moved[point]) > 0.5 * np.linalg.norm(moved, axis=-1).max()


@pytest.mark.parametrize("unit", SEEN)
def test_what_moves_most_lies_where_the_unit_is_seen(unit: int) -> None:
    strength = np.linalg.norm(fibre_displacement(unit, "left"), axis=-1)
    middle = (strength**2) @ mean_shape() / (strength**2).sum()
    target = mean_shape()[SEEN[unit][0]] * ((0, 1) if unit == 26 else (1, 1))
    assert np.linalg.norm(middle - target) < 0.35
    assert strength.max() == pytest.approx(FIBRES[unit][0], rel=1e-4)


@pytest.mark.parametrize("unit", SEEN)
def test_sides_are_mirror_images(unit: int) -> None:
    left, right, both = (fibre_displacement(unit, side) for side in ("left", "right", "both"))
    assert np.array_equal(right, left[mirror()] * np.array((-1, 1), np.float32)) or unit == 26
    assert np.array_equal(both, left if unit == 26 else left + right)
    if unit != 26:
        far = mean_shape()[:, 0] < -0.2
        assert np.linalg.norm(left[far], axis=-1).max() < 0.25 * np.linalg.norm(left, axis=-1).max()


@pytest.mark.parametrize("unit", SEEN)
def test_the_motion_is_like_the_rigs_but_not_the_same(unit: int) -> None:
    fibres, rig = (displacement(unit, "left").ravel() for displacement in (fibre_displacement, full_displacement))
    assert 0.3 < fibres @ rig / (np.linalg.norm(fibres) * np.linalg.norm(rig)) < 0.93


def test_eyeballs_stay() -> None:
    assert not any(fibre_displacement(unit)[RIGHT_PUPIL:].any() for unit in UNITS)


def test_lips_and_lids_part() -> None:
    """What opens moves one side of the slit alone."""
    upper_edge, lower_edge = 13, 14
    assert fibre_displacement(25)[lower_edge, 1] > 0.02 and not fibre_displacement(25)[upper_edge].any()
    assert fibre_displacement(10)[upper_edge, 1] < 0 and not fibre_displacement(10)[lower_edge].any()
    assert fibre_displacement(26)[lower_edge, 1] > 0.3 and not fibre_displacement(26)[upper_edge].any()
    assert not fibre_displacement(45)[UNDER_EYE].any()


@pytest.mark.parametrize(("unit", "side"), [(3, "left"), (12, "up")])
def test_unknown_units_and_sides_are_refused(unit: int, side: str) -> None:
    with pytest.raises(SettingError, match=r"must be one of .*; got"):
        fibre_displacement(unit, side)


def mixtures_of(module: ModuleType) -> set[Mixture]:
    """Return the mixtures that a module names, alone or in a tuple."""
    values = [value if isinstance(value, tuple) else (value,) for value in vars(module).values()]
    return {value for group in values for value in group if isinstance(value, Mixture)}


def test_neither_training_nor_calibration_uses_what_is_for_testing() -> None:
    assert replace(PROBE, muscles="fibres") == OUT_OF_FAMILY
    rooms = [importlib.import_module(f"mexplain.training.{found.name}") for found in iter_modules(training.__path__)]
    used = {mixture for module in (*rooms, calibration) for mixture in mixtures_of(module)}
    assert len(used) > 3
    assert all(mixture.muscles == "rig" and mixture.takes != "test" for mixture in used)


def test_fibres_change_the_motion_and_nothing_else() -> None:
    rig, fibres = (
        draw_clip_plan(np.random.default_rng(4), CASME2_LABELS, 3, 8, mixture, np.random.default_rng(5))
        for mixture in (PROBE, OUT_OF_FAMILY)
    )
    assert (rig.label, rig.person, rig.intensity) == (fibres.label, fibres.person, fibres.intensity)
    assert np.array_equal(rig.courses, fibres.courses) and np.array_equal(rig.units, fibres.units)
    assert np.array_equal(rig.parts[2:], fibres.parts[2:]) and not np.allclose(rig.parts[:2], fibres.parts[:2])
