from dataclasses import replace

import numpy as np
import pytest
from support.hand_made import FRAMES, METHOD, SIZE, boxes, make_report

from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.report.visuals.heatmap_overlay import (
    COLOURS,
    MIN_SIZE,
    attention_face,
    attribution_face,
    block_values,
    colour_limit,
    paint_blocks,
    paint_pixels,
    pixel_face,
    top_blocks,
)

GREY = np.full((384, 384, 3), 128, np.uint8)


def only(n, index, value):
    values = np.zeros(n, np.float32)
    values[index] = value
    return values


def tint(picture):
    """How far each pixel is from grey."""
    return np.ptp(picture.astype(int), axis=-1)


def at(picture, box):
    """The colour at the middle of a box."""
    x, y = (box[:2] + box[2:]) / 2 * len(picture)
    return picture[int(y), int(x)].astype(int)


@pytest.mark.parametrize("variant", ["24", "10"])
@pytest.mark.parametrize("quantity", ["attention", "attribution"])
@pytest.mark.slow
def test_the_hottest_block_is_the_most_coloured(variant, quantity):
    where = boxes(variant)
    for hottest in range(len(where)):
        picture = paint_blocks(GREY, where, only(len(where), hottest, 0.9), quantity, numbered=0)
        changed = np.abs(picture.astype(int) - 128).max(axis=-1)
        # The first is the map's darkest colour, not its strongest; hence distance to the colour of the top.
        top = COLOURS[quantity][int(0.9 * 255) if quantity == "attention" else int(0.925 * 255)].astype(int)
        far = [np.abs(at(picture, box) - top).sum() for box in where]
        assert int(np.argmin(far)) == hottest
        x, y = ((where[hottest, :2] + where[hottest, 2:]) / 2 * MIN_SIZE).astype(int)
        assert changed[y, x] >= 0.9 * changed.max()


def test_colour_stays_inside_the_blocks():
    where = boxes("10")
    picture = paint_blocks(GREY, where, np.ones(10, np.float32), "attention", numbered=0)
    assert (picture[:4] == 128).all()
    assert tint(picture).max() > 60


def test_no_evidence_leaves_the_face_as_it_is():
    where = boxes("24")
    for values in (np.zeros(24, np.float32), np.full(24, 1e-9, np.float32)):
        assert (paint_blocks(GREY, where, values, "attribution") == 128).all()
    assert (paint_pixels(GREY, np.zeros((SIZE, SIZE), np.float32)) == 128).all()
    noise = np.random.default_rng(0).normal(0, 1e-9, (SIZE, SIZE)).astype(np.float32)
    assert np.abs(paint_pixels(GREY, noise).astype(int) - 128).max() <= 1


def test_the_signed_scale_is_symmetric():
    middle = COLOURS["attribution"][127:129].astype(int)
    assert np.ptp(middle, axis=-1).max() <= 8 and middle.min() > 235  # next to white
    blue, orange = COLOURS["attribution"][0].astype(int), COLOURS["attribution"][-1].astype(int)
    assert blue[2] > blue[0] + 60 and orange[0] > orange[2] + 60
    where, values = boxes("10"), only(10, 3, 1.0)
    towards = paint_blocks(GREY, where, values, "attribution", numbered=0).astype(int)
    away = paint_blocks(GREY, where, -values, "attribution", numbered=0).astype(int)
    coloured = tint(towards) > 20
    assert (tint(away)[coloured] > 10).all()
    assert (towards[coloured, 0] > towards[coloured, 2]).all()
    assert (away[coloured, 2] > away[coloured, 0]).all()


def test_the_scale_of_attribution_does_not_depend_on_its_unit():
    where, values = boxes("10"), np.linspace(-1, 1, 10).astype(np.float32)
    one, ten = (paint_blocks(GREY, where, values * unit, "attribution").astype(int) for unit in (1, 10))
    assert np.abs(one - ten).max() <= 1


def test_a_mirrored_face_gives_the_mirrored_picture():
    rng = np.random.default_rng(1)
    face = rng.integers(0, 256, (MIN_SIZE, MIN_SIZE, 3), np.uint8)
    where, values = boxes("24"), rng.uniform(-1, 1, 24).astype(np.float32)
    mirrored = where.copy()
    mirrored[:, 0], mirrored[:, 2] = 1 - where[:, 2], 1 - where[:, 0]
    for quantity in ("attention", "attribution"):
        heat = np.abs(values) if quantity == "attention" else values
        plain = paint_blocks(face, where, heat, quantity, numbered=0).astype(int)
        turned = paint_blocks(face[:, ::-1].copy(), mirrored, heat, quantity, numbered=0).astype(int)
        assert np.abs(plain[:, ::-1] - turned).max() <= 1
    pixels = rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    plain = paint_pixels(face, pixels).astype(int)
    turned = paint_pixels(face[:, ::-1].copy(), pixels[:, ::-1].copy()).astype(int)
    assert np.abs(plain[:, ::-1] - turned).max() <= 1


def test_numbers_mark_the_strongest_blocks():
    report = make_report("10", attention=np.linspace(0.1, 0.9, 10))
    top = top_blocks(report.variants[0], "attention")
    assert [block.name for block, _ in top] == list(LAYOUTS["10"].names[:-4:-1])
    assert top[0][1] == pytest.approx(0.9)
    plain = paint_blocks(GREY, boxes("10"), block_values(report.variants[0], "attention"), "attention", numbered=0)
    changed = np.abs(attention_face(report, report.variants[0]).astype(int) - plain).max(axis=-1) > 100
    x0, y0, x1, y1 = (top[0][0].crop_xyxy * np.array(MIN_SIZE)).round().astype(int)
    assert changed[(y0 + y1) // 2, [x0, x1 - 1]].any() or changed[(y0 + y1) // 2, [x0 + 1, x1]].any()


def test_blocks_that_made_no_difference_are_not_ranked():
    variant = make_report("10", scores=only(10, 2, -0.5)).variants[0]
    assert [(block.name, value) for block, value in top_blocks(variant, "attribution")] == [("inner brow right", -0.5)]


def test_pixels_are_coloured_where_their_evidence_is():
    report = make_report("uncropped")
    maps = np.zeros((FRAMES, SIZE, SIZE), np.float32)
    maps[:, 28, 28], maps[:, 84, 84] = 0.1, -0.1
    variant = replace(report.variants[0], maps={METHOD: maps})
    picture = pixel_face(report, variant).astype(int)
    for place, warm in ((28.5, True), (84.5, False)):
        red, _, blue = picture[int(place / SIZE * MIN_SIZE), int(place / SIZE * MIN_SIZE)]
        assert (red > blue + 40) if warm else (blue > red + 40)
    assert (picture[256, 256] == 128).all()


def test_uncropped_has_attribution_but_no_attention():
    report = make_report("uncropped", scores=np.linspace(-1, 1, 10))
    with pytest.raises(SettingError, match="attention"):
        attention_face(report, report.variants[0])
    assert tint(attribution_face(report, report.variants[0])).max() > 60


def test_a_method_that_was_not_run_is_named():
    report = make_report("10")
    for paint in (attribution_face, pixel_face):
        with pytest.raises(SettingError, match=METHOD):
            paint(report, report.variants[0], "saliency")


def test_colour_limit_has_a_floor():
    assert colour_limit(np.array([0.5, -2.0], np.float32)) == 2
    assert colour_limit(np.zeros(3, np.float32)) == colour_limit(np.zeros(0, np.float32)) > 0
