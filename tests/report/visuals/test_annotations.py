import numpy as np
import pytest

from mexplain.report.visuals.annotations import colour_bar, draw_text, fitting_size, text_bar, time_bars

WIDTH = 360


def drawn_columns(picture):
    """Columns of a picture in which anything differs from its upper left pixel."""
    return np.flatnonzero((picture != picture[0, 0]).any(axis=(0, 2)))


def test_a_colour_scale_runs_from_the_colour_of_its_low_end_to_that_of_its_high_end():
    bar = colour_bar(WIDTH, "pushed", "attribution", (-0.5, 0.5), unit="logits").astype(int)
    scale = bar[28, 12:-12]
    assert bar.shape[1:] == (WIDTH, 3)
    assert scale[0, 2] > scale[0, 0] and scale[-1, 0] > scale[-1, 2]  # blue is away, orange towards
    middle = scale[len(scale) // 2 - 1 : len(scale) // 2 + 1]
    assert np.abs(middle - 128).max() <= 2  # nothing leaves a face as it is
    # The number in the middle is there on a signed scale only.
    below = (slice(36, None), slice(WIDTH // 2 - 6, WIDTH // 2 + 6))
    assert (bar[below] != bar[-1, -1]).any()
    unsigned = colour_bar(WIDTH, "pushed", "attribution", (0.0, 0.5), unit="logits")
    assert (unsigned[below] == unsigned[-1, -1]).all()


def test_without_opacity_a_colour_scale_is_grey():
    scale = colour_bar(WIDTH, "looked", "attention", (0.0, 1.0), opacity=0.0)[28, 12:-12]
    assert (scale == 128).all()


@pytest.mark.parametrize("text", ["short", "a line of text that is much too long for its bar in large letters"])
def test_text_stays_within_its_bar_where_it_can(text):
    columns = drawn_columns(text_bar(WIDTH, text, 18))
    assert columns.min() >= 8 and columns.max() < WIDTH


def test_letters_are_as_large_as_fit():
    assert fitting_size("ok", WIDTH) == 13
    sizes = [fitting_size("some words of a title", width) for width in (400, 130, 110, 10)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 13 and sizes[-1] == 9


def test_text_is_anchored_where_it_should_be():
    spans = []
    for anchor in ("left", "middle", "right"):
        picture = np.zeros((30, WIDTH, 3), np.uint8)
        draw_text(picture, "anchor", 180, 20, anchor)
        columns = drawn_columns(picture)
        spans.append((columns.min(), columns.max()))
    left, middle, right = spans
    assert abs(left[0] - 180) <= 3 and abs(sum(middle) / 2 - 180) <= 3 and abs(right[1] - 180) <= 3


def test_the_marker_follows_time_not_the_number_of_the_frame():
    times = np.array([2.0, 2.1, 2.2, 3.0])
    bars = time_bars(times, WIDTH, 8.0)
    assert len(bars) == len(times)
    ends = [np.flatnonzero((bar[22] == 255).all(axis=1)).max() for bar in bars]
    shares = (np.array(ends) - ends[0]) / (ends[-1] - ends[0])
    assert shares == pytest.approx((times - times[0]) / (times[-1] - times[0]), abs=0.02)


def test_frames_at_one_time_are_no_error():
    assert len(time_bars(np.array([1.0, 1.0]), WIDTH, 1.0)) == 2
