"""Clips and pictures for tests, all made from one short video of a person who does not exist."""

import importlib.metadata
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from mexplain.errors import MexplainError
from mexplain.media.system_libraries import check_system_libraries

# Without MediaPipe, as beside a GPU, tests of the network alone run, and need none of the libraries.
if any(importlib.metadata.distributions(name="mediapipe")):
    try:
        check_system_libraries()
    except MexplainError as error:
        pytest.exit(str(error), returncode=2)

import av
import numpy as np
import torch
from support.browsers import open_browser
from support.paths import PERSON
from support.running_hub import Visitor, run_hub

from mexplain.attribution import random_orders
from mexplain.batch.job import Cluster
from mexplain.explain.explain import explain
from mexplain.face.alignment import align
from mexplain.face.landmarker import find_face
from mexplain.media.video import read_clip, write_video
from mexplain.model.checkpoint import load_checkpoint
from mexplain.records import Clip, ClipInfo, ExplainRequest
from mexplain.records.face import FaceTrack
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression
from mexplain.simulation.recordings import RecordingPlan, render_recording

# Two processes share two cores; more threads would only get in each other's way.
torch.set_num_threads(1)
# The same goes for programs that tests start: their threads must not wait without sleeping.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# Tests with one of these fixtures drive Chromium or ask the running hub; or wait for Ray, or for a whole explanation.
BROWSER_FIXTURES = {"browser", "known_browser", "visit", "hub_folder"}
SLOW_FIXTURES = {"cluster", "recording", "report"}
# Each process holds a network, and in time a hub and a browser; more would need another machine.
PROCESSES = 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spread a run that names no file over two processes, unless ``-n`` or ``--pdb`` was given."""
    # xdist's workers call this hook too: without the guard each would start two more, and those two more.
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    whole_suite = config.args_source is not pytest.Config.ArgsSource.ARGS
    if whole_suite and config.getoption("numprocesses", 0) is None and not config.getoption("usepdb"):
        config.option.numprocesses = PROCESSES


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, before ``-m`` chooses among them."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & BROWSER_FIXTURES:
            item.add_marker("browser")
        if fixtures & SLOW_FIXTURES:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def person_path():
    return PERSON


@pytest.fixture(scope="session")
def person_clip():
    return read_clip(PERSON)


@pytest.fixture
def encode(tmp_path) -> Callable[..., Path]:
    """Return a function that writes frames with any codec, container, rotation flag or times in milliseconds."""

    def write(name, frames, *, codec="libx264", pixels="yuv420p", rate=30, rotate=0, times_ms=None, **options) -> Path:
        container_options = {"live": options.pop("live")} if "live" in options else {}
        with av.open(str(tmp_path / name), "w", options=container_options) as container:
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if rotate:
                stream.set_display_rotation(rotate)
            for i, rgb in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format=pixels)
                if times_ms is not None:
                    frame.pts, frame.time_base = int(times_ms[i]), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def checkpoint():
    return load_checkpoint()


@pytest.fixture
def lightly_tested(monkeypatch):
    """Put explanations to few tests: how well they are tested is tested elsewhere."""
    monkeypatch.setattr(random_orders, "ORDERS", 2)


@pytest.fixture(scope="session")
def smile(person_clip):
    """A simulated smile of that person, aligned as the network wants it."""
    photo = person_clip.frames[0]
    still = find_face(photo).landmarks_xy
    clip = simulate(photo, still, Expression((12,), "both", 0.08), duration_s=0.4, fps=30.0)
    times = np.arange(len(clip.frames)) / clip.fps
    info = ClipInfo("smile.mp4", clip.fps, len(times), 0.4, photo.shape[1], photo.shape[0])
    track = FaceTrack(np.repeat(still[None], len(times), 0))
    return align(Clip(clip.frames, times, info), track, frames=12, image_size=112, crop_iod=2.8)


@pytest.fixture(scope="session")
def recording(person_clip, tmp_path_factory):
    """Six seconds in which that person smiles briefly once, and blinks, as a file; and what is in it."""
    photo = person_clip.frames[0]
    plan = RecordingPlan(6.0, 25.0, micro=1, macro=0, speeches=0, drift_iod=0.05, intensity_iod=(0.08, 0.08))
    made = render_recording(photo, find_face(photo).landmarks_xy, plan, ["happiness"], np.random.default_rng(5))
    path = tmp_path_factory.mktemp("recording") / "six_seconds.mp4"
    write_video(path, made.frames, made.fps)
    return path, made


@pytest.fixture(scope="session")
def report(person_path, checkpoint):
    """What there is to say of a part of that video, and what was said of its progress."""
    stages = []
    request = ExplainRequest(start_s=0.2, end_s=0.7, device="cpu")
    explained = explain(person_path, checkpoint, request, progress=lambda *step: stages.append(step))
    return explained, stages


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory):
    """Where that hub writes its log, its caches and whatever it keeps for a while."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="session")
def hub(hub_folder):
    """The address of a running hub, one for all tests of a process."""
    with run_hub(hub_folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def known_browser(browser):
    """A browser that remembers what it fetched before: it need not fetch Gradio's page anew for each visitor."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def visit(known_browser, hub):
    """Return a function that opens the hub as a new visitor."""
    visitors = []

    def come(**settings):
        visitors.append(Visitor(known_browser, hub, **settings))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()


@pytest.fixture(scope="session")
def cluster():
    """Two workers of a Ray cluster on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-archive.txt")
    with pytest.MonkeyPatch.context() as patch:
        # By default its workers are so polite that they get nothing done beside other tests.
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 1024**2)
        yield Cluster(workers=2)
        ray.shutdown()
