"""What happens to a video before and after the network: reading it, finding the face, drawing and writing."""

import importlib.util
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import clips
from benchmarks.timing import Clock
from mexplain.model.checkpoint import Checkpoint

MISSING = [name for name in ("av", "mediapipe", "captum") if importlib.util.find_spec(name) is None]
if not MISSING:
    from mexplain.explain.explain import explain
    from mexplain.face.alignment import align
    from mexplain.face.mesh import inter_ocular_distance
    from mexplain.face.tracking import track_each_frame, track_face
    from mexplain.media.video import read_clip, write_video
    from mexplain.records import ExplainRequest
    from mexplain.report.visuals.animation import heatmap_animation, read_face
    from mexplain.report.visuals.heatmap_overlay import attribution_face


def measure(checkpoint: Checkpoint, repeats: int, long_s: float) -> dict[str, object]:
    """Return the times of the stages around the network, and how good quick landmarks are; or why there are none."""
    if MISSING:
        return {"skipped": f"decode, landmarks, alignment, rendering, encoding: not installed: {', '.join(MISSING)}"}
    clock, config = Clock(torch.device("cpu")), checkpoint.model.config
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write_video(short, clips.film(3.0, 30.0, 480, 640), 30.0, crf=18)
        write_video(long, clips.film(long_s, 30.0, 480, 640), 30.0, crf=18)
        for _ in range(repeats + 1):
            clip = clock("decode", partial(read_clip, short))
            track = clock("landmarks", partial(track_face, clip))
            sizes = {"frames": config.frames, "image_size": config.image_size, "crop_iod": config.crop_iod}
            clock("alignment", partial(align, clip, track, **sizes))
        report = explain(short, checkpoint, ExplainRequest(start_s=0.0, end_s=1.0, device="cpu"))
        face, variant = read_face(report, config), report.variants[1]
        for _ in range(repeats + 1):
            film = clock("rendering", partial(heatmap_animation, variant, face))
            clock("a still picture", partial(attribution_face, report, variant, "integrated_gradients"))
            clock("encoding", partial(film.write, Path(folder) / "film.mp4"))
        whole = read_clip(long, max_frames=round(30 * long_s))
        for _ in range(max(1, repeats - 1)):
            each = clock("landmarks of each frame", partial(track_each_frame, whole))
            quick = clock("landmarks, tracked", partial(track_face, whole))
            clock("alignment, long", partial(align, whole, quick, **sizes))
    iod = inter_ocular_distance(each.landmarks_xy)
    away = np.linalg.norm(quick.landmarks_xy - each.landmarks_xy, axis=-1) / iod[:, None]
    times = clock.times
    return {
        "stages": {name: t.row(1) for name, t in times.items()},
        "decode_and_face_s": times["decode"].middle + times["landmarks"].middle + times["alignment"].middle,
        "landmarks": {
            "frames": len(whole.frames),
            "ratio_to_each_frame": times["landmarks of each frame"].middle / times["landmarks, tracked"].middle,
            "ratio_with_alignment": (times["landmarks of each frame"].middle + times["alignment, long"].middle)
            / (times["landmarks, tracked"].middle + times["alignment, long"].middle),
            "away_iod": {"mean": float(away.mean()), "p95": float(np.quantile(away, 0.95)), "most": float(away.max())},
        },
    }
