"""Heatmaps on a face: each block or pixel in the colour of its attention or attribution.

The face is grey, so that no tint can be mistaken for skin. Where there is no attribution, the face shows through.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import SettingError
from mexplain.records import BlockReport, Report, VariantReport

Quantity = Literal["attention", "attribution"]

# Pictures are at least this many pixels a side, so that outlines and numbers stay crisp when shown at 300.
MIN_SIZE = 512
# Less evidence than this (in logits) is never shown in full colour: rounding errors must not look like findings.
MIN_EVIDENCE = 0.02
_FAINT = 0.22

_PURPLE_TO_YELLOW = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_VIRIDIS).reshape(256, 3)[:, ::-1]
_BLUE_WHITE_ORANGE = ((8, 69, 148), (46, 126, 188), (154, 200, 224), (245, 245, 245))
_ORANGE = ((253, 190, 115), (230, 110, 20), (145, 52, 3))


def _interpolate_colours(anchors: Sequence[tuple[int, int, int]]) -> UInt8[np.ndarray, "256 3"]:
    positions = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(positions, np.arange(len(anchors)), channel) for channel in np.transpose(anchors)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


# Both can be told apart with any common colour blindness: a sequential map for 0..1, a diverging one for -1..1.
COLOURS: dict[Quantity, UInt8[np.ndarray, "256 3"]] = {
    "attention": _PURPLE_TO_YELLOW,
    "attribution": _interpolate_colours(_BLUE_WHITE_ORANGE + _ORANGE),
}


def block_values(
    variant: VariantReport, quantity: Quantity, method: str = "integrated_gradients"
) -> Float[np.ndarray, "n"]:
    """One value per block: the strongest attention it got in any frame (0..1), or its attribution (logits).

    Raises ``SettingError`` for attention where the variant computes none, and for a method that was not run.
    """
    if quantity == "attention":
        weights = [max(block.attention) for block in variant.blocks if block.attention is not None]
        if len(weights) != len(variant.blocks):
            raise SettingError(f"Variant {variant.variant} has no blocks of its own and computes no attention.")
        return np.array(weights, np.float32)
    check_method(variant, method)
    return np.array([block.attribution[method] for block in variant.blocks], np.float32)


def top_blocks(
    variant: VariantReport, quantity: Quantity, method: str = "integrated_gradients", count: int = 3
) -> tuple[tuple[BlockReport, float], ...]:
    """The blocks with the largest values (for attribution: furthest from zero, if above ``MIN_EVIDENCE``).

    They come with their values, the largest first, as numbered in the pictures.
    """
    values = block_values(variant, quantity, method)
    return tuple((variant.blocks[i], float(values[i])) for i in _largest(values, quantity, count))


def attention_face(report: Report, variant: VariantReport) -> UInt8[np.ndarray, "d d 3"]:
    """The face at its apex with each block tinted by the strongest attention it got, and the top 3 numbered.

    Raises ``SettingError`` for a variant without attention.
    """
    values = block_values(variant, "attention")
    return paint_blocks(report.apex_frame, _boxes(variant), values, "attention")


def attribution_face(
    report: Report, variant: VariantReport, method: str = "integrated_gradients"
) -> UInt8[np.ndarray, "d d 3"]:
    """The face at its apex with each block tinted by its attribution, and the top 3 numbered.

    Raises ``SettingError`` for a method that was not run.
    """
    values = block_values(variant, "attribution", method)
    return paint_blocks(report.apex_frame, _boxes(variant), values, "attribution")


def pixel_face(
    report: Report, variant: VariantReport, method: str = "integrated_gradients"
) -> UInt8[np.ndarray, "d d 3"]:
    """The face at its apex with each pixel tinted by its attribution, summed over time.

    Raises ``SettingError`` for a method that was not run.
    """
    check_method(variant, method)
    return paint_pixels(report.apex_frame, variant.maps[method].sum(axis=0))


def paint_blocks(
    face: UInt8[np.ndarray, "d d 3"],
    boxes: Float[np.ndarray, "n 4"],
    values: Float[np.ndarray, "n"],
    quantity: Quantity,
    *,
    numbered: int = 3,
) -> UInt8[np.ndarray, "e e 3"]:
    """The face with its blocks tinted, the ``numbered`` strongest of them outlined and numbered.

    ``boxes`` are (x0, y0, x1, y1) in 0..1 of the picture. Where blocks overlap, a pixel takes the mean of their
    values, weighted by how near it lies to the centre of each, so that each centre shows its block's own value.
    Attention is coloured on 0..1, attribution on a scale symmetric around zero that ends at the largest value.
    """
    grey = in_grey(face)
    size = len(grey)
    scaled = values if quantity == "attention" else values / colour_limit(values)
    weights, inside = block_weights(boxes, size)
    picture = tint(grey, np.einsum("n,nyx->yx", scaled, weights), inside, quantity)
    ranked = _largest(values, quantity, numbered)
    return _draw_numbers(picture, boxes[ranked] * size) if ranked else picture


def paint_pixels(face: UInt8[np.ndarray, "d d 3"], pixel_map: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "e e 3"]:
    """The face tinted with a signed map of its pixels (in logits), smoothed by 2% of its side.

    The scale is symmetric around zero; only the strongest 0.5% of pixels are shown alike.
    """
    grey = in_grey(face)
    sigma = 0.02 * len(pixel_map)
    smooth = cv2.GaussianBlur(pixel_map.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    faintest = MIN_EVIDENCE / (2 * np.pi * sigma**2)
    limit = max(float(np.quantile(np.abs(smooth), 0.995)), faintest)
    heat = cv2.resize(smooth, (len(grey), len(grey)), interpolation=cv2.INTER_CUBIC) / limit
    return tint(grey, heat, np.ones_like(heat), "attribution")


def block_weights(
    boxes: Float[np.ndarray, "n 4"], size: int
) -> tuple[Float[np.ndarray, "n {size} {size}"], Float[np.ndarray, "{size} {size}"]]:
    """Weight of each block in the colour of each pixel, and how far each pixel lies inside any block (0..1).

    A pixel's weights add up to 1, or are all 0 where it lies in no block. ``boxes`` are (x0, y0, x1, y1) in 0..1 of
    the picture, which is ``size`` px a side.
    """
    centres = (np.arange(size) + 0.5) / size
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    # From the middle of the block (0) to its edge (1), along x and along y.
    far = np.abs(centres - middle[:, :, None]) / np.maximum(side[:, :, None] / 2, 1e-6)  # n 2 size
    weights, inside = np.zeros((len(boxes), size, size), np.float32), np.zeros((size, size), np.float32)
    for weight, (along_x, along_y) in zip(weights, far, strict=True):
        within = np.ix_(along_y < 1, along_x < 1)
        distance = np.maximum(along_y[along_y < 1][:, None], along_x[along_x < 1])
        # Franke and Little's weights: at the middle of a block its own value shows, pure, even among 24 that overlap.
        weight[within] = ((1 - distance) / (distance + 1e-3)) ** 2
        inside[within] = np.maximum(inside[within], (1 - distance) / 0.12)
    return weights / np.maximum(weights.sum(axis=0), 1e-12), inside.clip(0, 1)


def colour_limit(values: Float[np.ndarray, "*shape"]) -> float:
    """The absolute value shown in full colour: the largest, but at least ``MIN_EVIDENCE``."""
    return max(float(np.abs(values).max(initial=0)), MIN_EVIDENCE)


def check_method(variant: VariantReport, method: str) -> None:
    """Raise ``SettingError`` for a method that was not run."""
    if method not in variant.maps:
        raise SettingError(f"method must be one of {', '.join(variant.maps)}, which were run; got {method!r}")


def _boxes(variant: VariantReport) -> Float[np.ndarray, "n 4"]:
    return np.array([block.crop_xyxy for block in variant.blocks], np.float32).reshape(-1, 4)


def _largest(values: Float[np.ndarray, "n"], quantity: Quantity, count: int) -> list[int]:
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return [int(i) for i in order if quantity == "attention" or abs(values[i]) >= MIN_EVIDENCE]


def in_grey(face: UInt8[np.ndarray, "d d 3"], min_size: int = MIN_SIZE) -> UInt8[np.ndarray, "e e 3"]:
    """A face in grey with less contrast, enlarged to at least ``min_size`` pixels a side."""
    size = max(min_size, len(face))
    large = face if size == len(face) else cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Less contrast, so that a tint shows as well on dark skin as on light.
    even = (128 + 0.7 * (grey - 128)).round().astype(np.uint8)
    return cv2.cvtColor(even, cv2.COLOR_GRAY2RGB)


def tint(
    grey: UInt8[np.ndarray, "*t h w 3"],
    heat: Float[np.ndarray, "*t h w"],
    inside: Float[np.ndarray, "h w"],
    quantity: Quantity,
    opacity: float = 1.0,
) -> UInt8[np.ndarray, "*t h w 3"]:
    """Grey faces tinted in the colours of ``heat``, -1..1 (attention: 0..1).

    ``inside`` (0..1) scales the tint of each pixel, ``opacity`` (0..1) that of all. Attribution of 0 leaves the face
    as it is.
    """
    # A few thousand steps of heat: looking up their colours is many times faster than working out each pixel's.
    levels = np.linspace(-1, 1, 4097, dtype=np.float32)
    strength = np.abs(levels)
    if quantity == "attention":
        position, cover = strength, 0.15 + 0.65 * strength
    else:
        # Opacity says how much and hue which way: pale hues on top of that would hide what is faint twice over.
        position, cover = 0.5 + 0.5 * np.sign(levels) * (0.55 + 0.3 * strength), 0.75 * strength**0.8
    level = ((heat.clip(-1, 1) + 1) * 2048).round().astype(np.uint16)
    colour = COLOURS[quantity][(position * 255).round().astype(np.uint8)].astype(np.float32)
    covered = (cover * opacity).astype(np.float32)[level] * inside.astype(np.float32)
    return np.asarray((grey + (colour[level] - grey) * covered[..., None]).round(), np.uint8)


def with_outlines(
    pictures: UInt8[np.ndarray, "t e e 3"], boxes: Float[np.ndarray, "n 4"], ranked: Sequence[int]
) -> UInt8[np.ndarray, "t e e 3"]:
    """Pictures with every block faintly outlined, and the ``ranked`` ones outlined and numbered in that order.

    ``boxes`` are (x0, y0, x1, y1) in 0..1 of the picture.
    """
    size = pictures.shape[1]
    corners = (boxes * size).round().astype(int).clip(0, size - 1)
    lines = np.zeros((size, size), np.uint8)
    for x0, y0, x1, y1 in corners.tolist():
        cv2.rectangle(lines, (x0, y0), (x1, y1), 255, 1)
    faint = (lines > 0) * np.float32(_FAINT)
    # Drawn on black and on white, marks tell their own colour and how much they cover, for all pictures at once.
    on_black, on_white = (np.full((size, size, 3), shade, np.uint8) for shade in (0, 255))
    if ranked:
        on_black, on_white = (_draw_numbers(page, boxes[list(ranked)] * size) for page in (on_black, on_white))
    seen = (on_white.astype(np.float32) - on_black) / 255
    keep, add = seen * (1 - faint[..., None]), on_black + seen * (255 * faint[..., None])
    return (pictures * keep + add).round().clip(0, 255).astype(np.uint8)


def _draw_numbers(picture: UInt8[np.ndarray, "e e 3"], boxes: Float[np.ndarray, "k 4"]) -> UInt8[np.ndarray, "e e 3"]:
    size = len(picture)
    thin, radius = max(size // 256, 1), round(size * 0.038)
    places: list[tuple[int, int]] = []
    corners = boxes.round().astype(int).clip(thin, size - 1 - thin)
    for x0, y0, x1, y1 in corners.tolist():
        for colour, thickness in (((0, 0, 0), 3 * thin), ((255, 255, 255), thin)):
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, thickness, cv2.LINE_AA)

        def fitness(place: tuple[int, int]) -> tuple[bool, int, float]:
            # Blocks overlap: a number must not cover another, nor lie within a block that it does not name.
            x, y = place
            free = all(np.hypot(x - u, y - v) > 2.2 * radius for u, v in places)
            within = sum(u0 <= x <= u1 and v0 <= y <= v1 for u0, v0, u1, v1 in corners.tolist())
            return free, -within, float(np.hypot(x - size / 2, y - size / 2))

        places.append(max(((x, y) for y in (y0, y1) for x in (x0, x1)), key=fitness))
    for number, place in enumerate(places, start=1):
        x, y = (int(np.clip(p, radius + 1, size - radius - 2)) for p in place)
        cv2.circle(picture, (x, y), radius, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, (x, y), radius - thin, (20, 20, 20), cv2.FILLED, cv2.LINE_AA)
        scale, stroke = radius / 17, max(thin, 2)
        (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_DUPLEX, scale, stroke)
        origin = (x - width // 2, y + height // 2)
        cv2.putText(picture, str(number), origin, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), stroke, cv2.LINE_AA)
    return picture
