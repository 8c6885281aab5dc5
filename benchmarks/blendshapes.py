"""The detection limit of MediaPipe's blendshape model: how far a face must move until it sees an action unit."""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from mexplain.evaluation.scorecard.known_clips import SHIPPED
from mexplain.explain.blendshape_agreement import unit_rises
from mexplain.face.affine import invert, transform_points
from mexplain.face.blendshapes import onset_and_apex
from mexplain.face.landmarker import FaceLandmarker, open_landmarker
from mexplain.face.mesh import crop_to_iod
from mexplain.model.config import PRESETS
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import MUSCLE_MODELS, Expression
from mexplain.simulation.faces import CROP_PX, MARGIN, FaceSet, read_faces

FALSE_ALARMS = 0.05
MOTIONS_IOD = (0.03, 0.06, 0.12, 0.24)
# Motions of other units up to this count as clips in which a unit must not be seen.
_OTHERS_IOD = 0.12
_STILL = 8
# What alignment leaves of a head's drift, in inter-ocular distances, and a camera's noise in grey levels.
_DRIFT_IOD, _NOISE, _JPEG = 0.01, 1.5, 90
_ONSET_S, _APEX_S = 0.0, 0.25


def measure(people: int) -> dict[str, Any]:
    """Measure thresholds and limits on so many of the shipped faces, with both models of muscles in turn."""
    faces = read_faces(SHIPPED)
    rows: list[tuple[int, float, dict[int, float]]] = []
    missed = 0
    with open_landmarker(blendshapes=True) as landmarker:
        for person in range(min(people, len(faces))):
            tasks = [(0, 0.0)] * _STILL + [(unit, motion) for unit in ACTION_UNITS for motion in MOTIONS_IOD]
            for number, (unit, motion) in enumerate(tasks):
                rises = _rises(landmarker, faces, person, unit, motion, number)
                missed += rises is None
                if rises is not None:
                    rows.append((unit, motion, rises))
    return {
        "people": min(people, len(faces)),
        "clips": len(rows),
        "without_face": missed,
        "false_alarms": FALSE_ALARMS,
        "units": {unit: found for unit in ACTION_UNITS if (found := _limits(rows, unit))},
    }


def table(found: dict[str, Any]) -> str:
    """Return what was measured as a Markdown table."""
    lines = [
        f"{found['clips']} clips of {found['people']} people; thresholds for {found['false_alarms']:.0%} false alarms "
        "on clips in which other units or none move",
        "",
        "| Unit | Threshold | " + " | ".join(f"Seen at {m:g} IOD" for m in MOTIONS_IOD) + " | Half | Nine tenths |",
        "|---" * (len(MOTIONS_IOD) + 4) + "|",
    ]
    for unit, row in found["units"].items():
        shares = " | ".join(f"{share:.2f}" for share in row["seen"])
        half, most = ("-" if row[key] is None else f"{row[key]:.3f}" for key in ("half_iod", "nine_tenths_iod"))
        lines.append(f"| AU{unit} {ACTION_UNITS[unit].name} | {row['threshold']:.3f} | {shares} | {half} | {most} |")
    return "\n".join(lines)


def _rises(
    landmarker: FaceLandmarker, faces: FaceSet, person: int, unit: int, motion: float, number: int
) -> dict[int, float] | None:
    """Return how far each unit rises in a clip of two frames, on the side where it rises more; None without a face."""
    view = crop_to_iod(CROP_PX, PRESETS["lite"].crop_iod * MARGIN)
    landmarks = transform_points(invert(view), faces.landmarks_iod[person]).astype(np.float32)
    muscles = MUSCLE_MODELS[(person + number) % len(MUSCLE_MODELS)]
    expression = Expression((unit or 12,), "both", motion, _ONSET_S, _APEX_S, 2 * _APEX_S, muscles)
    clip = simulate(
        faces.crops[person],
        landmarks,
        expression,
        duration_s=2 * _APEX_S,
        fps=1 / _APEX_S,
        drift_iod=_DRIFT_IOD,
        noise=_NOISE,
        seed=1000 * person + number,
    )
    frames = [cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])[1], -1) for f in clip.frames]
    scores = onset_and_apex(landmarker, np.stack(frames), landmarks)
    return None if scores is None else {key: max(sides) for key, sides in unit_rises(scores).items()}


def _limits(rows: list[tuple[int, float, dict[int, float]]], unit: int) -> dict[str, Any] | None:
    if unit not in rows[0][2]:
        return None
    others = [rises[unit] for moved, motion, rises in rows if moved != unit and motion <= _OTHERS_IOD]
    threshold = float(np.quantile(others, 1 - FALSE_ALARMS))
    seen = np.array(
        [
            np.mean([rises[unit] > threshold for moved, motion, rises in rows if (moved, motion) == (unit, wanted)])
            for wanted in MOTIONS_IOD
        ]
    )
    return {
        "threshold": round(threshold, 3),
        "seen": seen.round(3).tolist(),
        "half_iod": _motion_at(seen, 0.5),
        "nine_tenths_iod": _motion_at(seen, 0.9),
    }


def _motion_at(seen: Float[np.ndarray, "m"], share: float) -> float | None:
    """Return the motion from which on a share of clips is seen, between the motions measured; None beyond them."""
    # From the right: what is seen must stay seen for all larger motions.
    least = np.minimum.accumulate(seen[::-1])[::-1]
    if least[-1] < share:
        return None
    known = np.log(np.array(MOTIONS_IOD))
    above = int((least >= share).argmax())
    if above == 0:
        return MOTIONS_IOD[0]
    way = (share - least[above - 1]) / (least[above] - least[above - 1])
    return round(float(np.exp(known[above - 1] + way * (known[above] - known[above - 1]))), 3)
