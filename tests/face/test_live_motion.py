import numpy as np
import pytest

from mexplain.face.affine import transform_points
from mexplain.face.live_motion import RESTING, LiveFace
from mexplain.face.mesh import MESH_OF_68, mean_shape

# Subject's own sides: their left has the larger x.
CORNER_LEFT, BROW_RIGHT = MESH_OF_68[54], MESH_OF_68[21]


def filmed(meshes):
    face = LiveFace()
    for mesh in meshes:
        face = face.seen((100 * mesh + 200).astype(np.float32))
    return face


def moved(point, shift):
    mesh = mean_shape().copy()
    mesh[point] += np.array(shift, np.float32)
    return mesh


@pytest.mark.parametrize(
    ("point", "shift", "name", "direction"),
    [
        (CORNER_LEFT, (0.0, -0.04), "mouth corner left", "up"),
        (CORNER_LEFT, (0.04, 0.01), "mouth corner left", "outwards"),
        (CORNER_LEFT, (-0.04, 0.01), "mouth corner left", "inwards"),
        (BROW_RIGHT, (0.01, 0.04), "inner brow right", "down"),
        (BROW_RIGHT, (-0.04, 0.0), "inner brow right", "outwards"),
        (BROW_RIGHT, (0.04, 0.0), "inner brow right", "inwards"),
    ],
)
def test_what_moved_is_told_with_its_side_its_way_and_its_size(point, shift, name, direction):
    face = filmed([mean_shape()] * RESTING + [moved(point, shift)] * 3)
    told = [part for part in face.motions() if part.is_told]
    assert [(part.name, part.direction) for part in told] == [(name, direction)]
    assert told[0].size == pytest.approx(np.hypot(*shift), abs=1e-3)


def test_a_head_that_moves_as_a_whole_tells_nothing():
    mesh, angle = mean_shape(), 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.4], [np.sin(angle), np.cos(angle), -0.2]], np.float32)
    nearer = 1.3 * transform_points(turn, mesh)
    face = filmed([mesh] * RESTING + [nearer.astype(np.float32)] * 3)
    assert not face.is_turned and not any(part.is_told for part in face.motions())
    assert max(part.size for part in face.motions()) < 1e-3


def test_what_is_no_more_than_the_trembling_at_rest_is_not_told():
    rng = np.random.default_rng(0)
    resting = [mean_shape() + rng.normal(0, 0.008, (478, 2)).astype(np.float32) for _ in range(RESTING)]
    shown = moved(CORNER_LEFT, (0.0, -0.03))
    for meshes, is_told in ((resting, False), ([mean_shape()] * RESTING, True)):
        (corner,) = [p for p in filmed([*meshes, shown, shown, shown]).motions() if p.name == "mouth corner left"]
        assert corner.is_told == is_told


def test_a_head_turned_aside_is_noticed():
    aside = mean_shape().copy()
    nose = np.exp(-(((aside - aside[MESH_OF_68[30]]) / 0.3) ** 2).sum(1))[:, None]  # it stands out of the face
    face = filmed([mean_shape()] * RESTING + [(aside + nose * (0.12, 0.0)).astype(np.float32)] * 3)
    assert face.is_turned


def test_rest_takes_some_pictures_and_stays_what_it_was():
    face = filmed([mean_shape()] * (RESTING - 1))
    assert face.is_resting
    face = filmed([mean_shape()] * RESTING + [moved(CORNER_LEFT, (0.0, -0.05))] * 40)
    assert not face.is_resting and len(face.recent) == 3
    assert [part.name for part in face.motions() if part.is_told] == ["mouth corner left"]
