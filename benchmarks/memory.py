"""How much memory the explanation of a long, large clip takes beyond what the imports took."""

import resource
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks import clips
from mexplain.model.checkpoint import Checkpoint


def measure(checkpoint: Checkpoint, seconds: float) -> dict[str, object]:
    """Explain a clip of 1920 x 1080 pixels and 30 frames a second; return resident megabytes before, and at most."""
    from mexplain.explain.explain import explain
    from mexplain.records import ExplainRequest

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.mp4"
        _write(path, seconds)
        before = _peak_mb()
        report = explain(path, checkpoint, ExplainRequest(device="cpu"))
        most = _peak_mb()
    return {"seconds_of_clip": seconds, "before_mb": before, "most_mb": most, "beyond_mb": most - before} | {
        "took_s": report.elapsed_s
    }


def _write(path: Path, seconds: float) -> None:
    # One frame after the other: all of them would take 11 GB.
    import av

    small = clips.film(2.0, 30.0, 270, 480)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(round(30 * seconds)):
            rgb = cv2.resize(small[number % len(small)], (1920, 1080), interpolation=cv2.INTER_LINEAR)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        container.mux(stream.encode(None))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
