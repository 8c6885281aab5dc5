"""The face at onset and at apex, one picture over the other, with a line between them to drag."""

from markupsafe import Markup

from mexplain.explain.own_explainer import OwnPrediction
from mexplain.explain.prediction import Prediction
from mexplain.face.apex import apex_frame
from mexplain.face.blocks import LAYOUTS
from mexplain.ui.components.common import data_uri
from mexplain.ui.text import render_html


def onset_apex_html(prediction: Prediction | OwnPrediction) -> Markup:
    """Both pictures in one place, the line, and the ten blocks to be drawn on demand; nothing of it is on the disk."""
    aligned, display = prediction.aligned, prediction.display
    apex = apex_frame(aligned.frames, aligned.landmarks_xy)
    blocks = LAYOUTS["10"]
    shares = (100 * blocks.boxes(aligned.landmarks_xy) / aligned.frames.shape[1]).round(1).tolist()
    boxes = [(x, y, round(right - x, 1), round(low - y, 1)) for x, y, right, low in shares]
    return render_html(
        "onset_apex",
        onset=data_uri(display.frames[0]),
        apex=data_uri(display.frames[apex]),
        side=display.frames.shape[1],
        boxes=boxes,
        onset_s=float(aligned.times_s[0]),
        apex_s=float(aligned.times_s[apex]),
    )
