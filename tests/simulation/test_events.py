import numpy as np
import pytest

from mexplain.simulation.events import Window, draw_event, draw_window, sample_at_frame_rate
from mexplain.simulation.label_coding import CASME2_CODING


def test_labels_do_not_share_combinations() -> None:
    seen = [aus for coding in CASME2_CODING.values() for aus in coding.combinations]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(("loose_s", "before"), [(0.0, 0.0), (0.3, 0.3)])
def test_windows_are_cut_as_told(loose_s: float, before: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        event = draw_event(rng, CASME2_CODING["happiness"])
        window = draw_window(rng, event, 0.5, loose_s)
        assert -before <= window.start_s <= 0 and 0 <= window.end_s - event.offset_s <= before and not window.late


def test_events_rise_and_fall() -> None:
    rng = np.random.default_rng(1)
    for coding in CASME2_CODING.values():
        event = draw_event(rng, coding)
        assert 0 < event.apex_s <= event.apex_end_s < event.offset_s < 1
        assert event.activation(np.array([-0.1, 0.0, event.apex_s, event.offset_s, 2.0])) == pytest.approx(
            [0, 0, 1, 0, 0]
        )


def test_a_slow_camera_blurs_a_fast_blink() -> None:
    rng = np.random.default_rng(2)
    window = Window(0.0, 0.5)
    spike = np.exp(-0.5 * ((np.arange(96, dtype=np.float32) - 40) / 3) ** 2)[None]
    seen = [float(sample_at_frame_rate(rng, window, spike, 96).max()) for _ in range(30)]
    assert 0 <= min(seen) < 0.9 < max(seen) <= 1
