"""Reports whose numbers a test has chosen."""

import cv2
import numpy as np

from mexplain.face.blocks import layout, pooling_layout
from mexplain.face.mesh import mean_shape
from mexplain.records import AlignedClip, BlockReport, ClipInfo, Report, VariantReport

SIZE, FRAMES, METHOD = 112, 12, "integrated_gradients"
LABELS = ("happiness", "disgust", "surprise", "repression", "others")


def boxes(variant):
    """Blocks of the mean face, upright in the middle of the crop, in 0..1 of it."""
    return pooling_layout(variant).boxes(mean_shape() / 2.8 + np.array([0.5, 0.5 - 0.5 / 2.8], np.float32))


def make_report(variant="10", *, attention=None, scores=None, label="happiness"):
    """A report on a grey face whose blocks hold the given values, rising from frame to frame."""
    names, n = pooling_layout(variant).names, len(pooling_layout(variant))
    attention = np.full(n, 0.5) if attention is None else np.asarray(attention)
    scores = np.zeros(n) if scores is None else np.asarray(scores)
    rise = np.linspace(0, 1, FRAMES)
    blocks = tuple(
        BlockReport(
            name=name,
            xyxy=tuple(float(v) for v in box * 640),
            crop_xyxy=tuple(float(v) for v in box),
            attention=tuple((weight * rise).tolist()) if len(layout(variant)) else None,
            attribution={METHOD: float(score)},
            attribution_over_time={METHOD: tuple((score * rise / rise.sum()).tolist())},
        )
        for name, box, weight, score in zip(names, boxes(variant), attention, scores, strict=True)
    )
    shares = np.full(5, 0.05) + 0.75 * (np.array(LABELS) == label)
    one = VariantReport(
        variant=variant,
        label=label,
        probabilities=dict(zip(LABELS, shares.tolist(), strict=True)),
        logits=dict(zip(LABELS, np.log(shares).tolist(), strict=True)),
        blocks=blocks,
        outside_blocks={METHOD: 0.0},
        maps={METHOD: np.zeros((FRAMES, SIZE, SIZE), np.float32)},
        convergence_delta=0.0,
    )
    face = np.full((384, 384, 3), 128, np.uint8)
    return Report(
        info=ClipInfo("clip.mp4", 30.0, 30, 1.0, 640, 480),
        window_s=(0.0, 1.0),
        times_s=tuple(np.linspace(0, 1, FRAMES).tolist()),
        checkpoint_id="checkpoints",
        checkpoint_sha256="0" * 64,
        device="cpu",
        elapsed_s={"predict": 0.1},
        variants=(one,),
        onset_frame=face,
        apex_frame=face,
    )


def make_face(size=240, noise=0.0, seed=0):
    """A grey face that holds still for as many frames as such a report has, with a sensor's noise if asked for."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (size, size)).astype(np.float32), (0, 0), 3) * 4 - 380
    frames = texture[None, :, :, None] + rng.normal(0, noise, (FRAMES, size, size, 3)) * (noise > 0)
    landmarks = (mean_shape() / 2.8 + np.array([0.5, 0.5 - 0.5 / 2.8], np.float32)) * size
    still = np.eye(2, 3, dtype=np.float32)
    return AlignedClip(frames.clip(0, 255).astype(np.uint8), np.linspace(0, 0.5, FRAMES), landmarks, still)
