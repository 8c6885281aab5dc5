import numpy as np
import pytest

from mexplain.face.affine import compose, invert, transform_points


def random_maps(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.concatenate([np.eye(2) + 0.2 * rng.normal(size=(*shape, 2, 2)), rng.normal(size=(*shape, 2, 1))], -1)


def test_a_composition_applies_the_inner_map_first():
    outer, inner = random_maps(2)
    points = np.random.default_rng(1).normal(size=(5, 2))
    expected = transform_points(outer, transform_points(inner, points))
    assert transform_points(compose(outer, inner), points) == pytest.approx(expected)


def test_an_inverse_undoes_its_map():
    maps = random_maps(3)
    assert compose(invert(maps), maps) == pytest.approx(np.tile(np.eye(2, 3), (3, 1, 1)))


def test_leading_axes_broadcast():
    outer, inner = random_maps(2, 4), random_maps(2)[:, None]
    whole = compose(outer, inner)
    assert whole.shape == (2, 4, 2, 3)
    assert whole[1, 3] == pytest.approx(compose(outer[1, 3], inner[1, 0]))


def test_single_precision_stays_single():
    maps = random_maps(2).astype(np.float32)
    assert compose(maps, invert(maps)).dtype == np.float32
