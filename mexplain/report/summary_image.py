"""A report as one picture: what each variant answered, where it looked, what pushed it."""

import cv2
import numpy as np
from jaxtyping import UInt8

from mexplain.attribution.registry import METHODS
from mexplain.explain.decision import VARIANT_NAMES, alternatives
from mexplain.language.listing import joined
from mexplain.language.message import Sentence, percent, text
from mexplain.records import NONE, Report, VariantReport
from mexplain.report.visuals.annotations import colour_bar, paragraph_bar, text_bar
from mexplain.report.visuals.heatmap_overlay import (
    Quantity,
    attention_face,
    attribution_face,
    block_values,
    colour_limit,
    in_grey,
)
from mexplain.report.visuals.unit_courses import unit_courses_picture

_SIDE, _GAP = 420, 12
_PAPER = (20, 24, 29)


def summary_image(report: Report) -> UInt8[np.ndarray, "h w 3"]:
    """One picture with a column for each variant: the answer above two faces, a legend above each face.

    Above them stands the sentence about what moved, below them the panel of action units over time.

    The upper face shows attention (the face as it is where a variant computes none), the lower one what pushed the
    answer, by the first method that was run; without one, it is left out.
    """
    columns = [_column(report, variant) for variant in report.variants]
    height = max(len(column) for column in columns)
    gap = np.full((height, _GAP, 3), _PAPER, np.uint8)
    parts = [gap]
    for column in columns:
        parts += [np.pad(column, ((0, height - len(column)), (0, 0), (0, 0))), gap]
    picture = np.concatenate(parts, axis=1)
    width = picture.shape[1]
    panel = unit_courses_picture(report, width)
    note = text_bar(width, text("This shows how a model decides. It does not read people. (mexplain)"))
    return np.concatenate([paragraph_bar(width, report.movement_sentence), picture, panel, note])


def summary_png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """An RGB picture as the bytes of a PNG file."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return data.tobytes()


def _column(report: Report, variant: VariantReport) -> UInt8[np.ndarray, "h w 3"]:
    name = Sentence(VARIANT_NAMES[variant.variant])
    if variant.label == NONE:
        answer = text("{variant}: none found", variant=name)
    else:
        share = percent(variant.probabilities[variant.label])
        answer = text("{variant}: {label}, {share}", variant=name, label=variant.label, share=share)
        answer = joined([part for part in (answer, alternatives(variant)) if part], " ")
    parts = [text_bar(_SIDE, answer, 18)]
    if all(block.attention is not None for block in variant.blocks):
        parts += _face(attention_face(report, variant), text("Where it looked (attention)"), "attention", 0.0, 1.0, "")
    else:
        blank = np.full_like(colour_bar(_SIDE, "", "attention", (0.0, 1.0)), _PAPER)
        words = text_bar(_SIDE, text("It sees the face as a whole: no attention"))
        blank[: len(words)] = words
        parts += [blank, _sized(in_grey(report.apex_frame))]
    if variant.maps:
        method = METHODS[next(iter(variant.maps))]
        limit = colour_limit(block_values(variant, "attribution", method.key))
        told = {"label": variant.target or variant.label, "method": method.name}
        title = text("What mattered for “{label}” ({method})", **told)
        if method.signed:
            title = text("What pushed “{label}” ({method})", **told)
        face = attribution_face(report, variant, method.key)
        parts += _face(face, title, "attribution", -limit if method.signed else 0.0, limit, method.unit)
    return np.concatenate(parts)


def _face(
    face: UInt8[np.ndarray, "d d 3"], title: str, quantity: Quantity, low: float, high: float, unit: str
) -> list[UInt8[np.ndarray, "h w 3"]]:
    return [colour_bar(_SIDE, title, quantity, (low, high), unit=unit), _sized(face)]


def _sized(face: UInt8[np.ndarray, "d d 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
