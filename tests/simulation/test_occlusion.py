import numpy as np
import pytest

from mexplain.face.mesh import mean_shape
from mexplain.simulation.occlusion import OCCLUSIONS, StillFaceView, draw_occlusion, side_light

SIZE, IOD = (176, 176), 56.0
FACE = (mean_shape() * IOD + (88, 60)).astype(np.float32)
STILL = StillFaceView(FACE, SIZE, np.array([0.8, 0.6, 0.5]))
TIMES = np.linspace(0, 2, 9)
# Landmarks that each covers in most draws, and one that it leaves free.
PLACES = {"glasses": ((127, 356), 152), "fringe": ((9, 151), 152), "beard": ((152, 200), 9), "hand": ((), 127)}


@pytest.mark.parametrize("kind", OCCLUSIONS)
def test_a_layer_lies_where_it_belongs_and_leaves_the_rest_free(kind: str) -> None:
    drawn = [draw_occlusion(np.random.default_rng(seed), kind, STILL, TIMES) for seed in range(12)]
    opacity = np.stack([one.layer[..., 3] for one in drawn])
    assert all(one.layer.min() >= 0 and one.layer.max() <= 1 for one in drawn)
    assert 0.02 < (opacity > 0.3).mean() < 0.5 and not opacity[:, [0, -1]].any() and not opacity[:, :, [0, -1]].any()
    covered, free = PLACES[kind]

    def over(landmark: int) -> float:
        x, y = FACE[landmark].round().astype(int)
        return float(np.median(opacity[:, y - 4 : y + 5, x - 4 : x + 5].max((1, 2))))

    assert all(over(landmark) > 0.3 for landmark in covered) and over(free) < 0.1


def test_only_hands_move_and_they_come_and_go() -> None:
    for kind in OCCLUSIONS:
        offset = draw_occlusion(np.random.default_rng(2), kind, STILL, np.linspace(0, 12, 200)).offset_px
        assert offset.shape == (200, 2) and np.isfinite(offset).all()
        distance = np.linalg.norm(offset, axis=1)
        assert distance.max() > 3 * IOD > distance.min() if kind == "hand" else not offset.any()
    assert distance[-1] > 3 * IOD


def test_a_lamp_lights_one_side_and_changes_as_the_head_turns() -> None:
    gain = side_light(np.random.default_rng(0), np.array([0.0, 0.3]), np.linspace(-1.4, 1.4, 57))
    assert gain.shape == (2, 57) and gain.min() > 0.5 and gain.max() < 1.5
    assert abs(gain[0, 0] - gain[0, -1]) > 0.1 and np.abs(gain[1] - gain[0]).max() > 0.02
