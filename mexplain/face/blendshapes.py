"""Blendshapes by MediaPipe's own model, which lies in the landmark model's file: how far each of 52 shapes has got.

MediaPipe's blendshape model was trained apart from this package's network and sees landmarks alone, so it is a second
opinion on a clip (Grishchenko et al., "Blendshapes GHUM: Real-time Monocular Facial Blendshape Prediction", 2023).
"""

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.apex import apex_frame
from mexplain.face.landmarker import FaceLandmarker, detect_blendshapes

# Of those that MediaPipe names, the ones that action units are made of; the order is that of every array.
BLENDSHAPES = (
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight"),
    *("eyeWideLeft", "eyeWideRight", "jawOpen", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight"),
    *("mouthShrugLower", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)


def onset_and_apex(
    landmarker: FaceLandmarker, frames: UInt8[np.ndarray, "t s s 3"], landmarks_xy: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "2 b"] | None:
    """Find how far each of ``BLENDSHAPES`` has got (0..1) at the onset of aligned frames and at their apex.

    ``landmarks_xy`` are the mesh at the onset. None where no face is found in one of the two.
    """
    found = [detect_blendshapes(landmarker, frames[i]) for i in (0, apex_frame(frames, landmarks_xy))]
    if not all(found):
        return None
    return np.array([[scores.get(name, 0.0) for name in BLENDSHAPES] for scores in found], np.float64)
