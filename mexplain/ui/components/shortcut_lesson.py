"""A lesson on shortcuts: where explanations point when a network uses a cue instead of the face."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from markupsafe import Markup

from mexplain.evaluation.scorecard.shortcut_table import exposure_sentence
from mexplain.evaluation.scorecard.shortcuts import SHORTCUTS
from mexplain.face.affine import invert, transform_points
from mexplain.face.mesh import crop_to_iod, mean_shape
from mexplain.language.message import text
from mexplain.report.visuals.heatmap_overlay import tint
from mexplain.ui.components.common import image_html
from mexplain.ui.text import render_html

_SIDE = 196
_PAPER, _SKIN, _LINE = 232, 205, 150


def shortcut_lesson(shortcuts: Mapping[str, Mapping[str, Any]], crop_iod: float) -> Markup:
    """Lesson in HTML with a text and two pictures for each shortcut of a scorecard; "" where there is none.

    ``crop_iod`` is the side of the network's frames in inter-ocular distances.
    """
    known = {key: found for key, found in shortcuts.items() if key in SHORTCUTS}
    if not known:
        return Markup("")
    face = _drawn_face(crop_iod)
    return render_html(
        "shortcut_lesson",
        shortcuts=[
            {
                "name": SHORTCUTS[key].name,
                "description": SHORTCUTS[key].description,
                "lesson": SHORTCUTS[key].lesson,
                "found": exposure_sentence(found),
                "accuracy": found["accuracy"]["mean"],
                "pictures": [
                    (
                        caption,
                        image_html(
                            _painted(face, found["maps"][head]),
                            text("{shortcut}: {taught}", shortcut=SHORTCUTS[key].name, taught=caption),
                        ),
                    )
                    for head, caption in (
                        ("misled", text("taught the shortcut")),
                        ("honest", text("taught the expression")),
                    )
                ],
            }
            for key, found in known.items()
        ],
    )


def _painted(face: UInt8[np.ndarray, "d d 3"], shares: Sequence[float]) -> UInt8[np.ndarray, "d d 3"]:
    grid = np.array(shares, np.float32)
    side = int(np.sqrt(grid.size))
    heat = grid.reshape(side, side) / max(float(grid.max()), 1e-9)
    large: Float[np.ndarray, "d d"] = cv2.resize(heat, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return tint(face, large, np.ones_like(large), "attribution")


def _drawn_face(crop_iod: float) -> UInt8[np.ndarray, "d d 3"]:
    """Draw the mean face, in grey, where it stands in the network's frames."""
    points = transform_points(invert(crop_to_iod(_SIDE, crop_iod)), mean_shape()).round().astype(np.int32)
    face = np.full((_SIDE, _SIDE, 3), _PAPER, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(points), (_SKIN,) * 3, cv2.LINE_AA)
    for x, y in points.tolist():
        cv2.circle(face, (x, y), 1, (_LINE,) * 3, -1, cv2.LINE_AA)
    return face
