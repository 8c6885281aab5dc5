"""What the hub says and does when the machine fails it: no disk, no memory, no GPU, no weights."""

import os
import resource
import shutil
import signal
import subprocess
import threading
import zipfile
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
import torch
from support.patience import patience_s, until
from support.running_hub import ROOT, run_hub
from support.small_hub import Visitor, small_hub
from torch.utils._python_dispatch import TorchDispatchMode

from mexplain.batch.zip_bundle import bundle
from mexplain.errors import MexplainError, OutOfTimeError
from mexplain.explain.explain import explain_prediction
from mexplain.explain.explainer import Explainer
from mexplain.model import device
from mexplain.model.call_limiter import RECOGNISER_THREAD
from mexplain.model.device import Fallback, bytes_at_once, resolve_device
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS, ExplainRequest
from mexplain.report.html_page import write_html
from mexplain.report.json_export import write_json
from mexplain.report.summary_image import summary_image, summary_png
from mexplain.report.visuals.animation import Animation
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.session import Session

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "samples" / "happiness.mp4"
GPU = torch.device("cuda", 0)


@contextmanager
def small_files():
    """Have every write beyond a few kilobytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@contextmanager
def small_disk(folder):
    """Put a disk of a few kilobytes there."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k,nr_inodes=64", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True)
    if mounted.returncode:
        pytest.skip("No disk can be mounted here; the same is tested with a limit on the size of files.")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(params=["small files", "small disk"])
def full(request, tmp_path):
    """A folder in which nothing large can be written."""
    folder = tmp_path / "full"
    folder.mkdir()
    with small_files() if request.param == "small files" else small_disk(folder):
        yield folder


def test_a_full_disk_is_said_in_a_sentence(full, report, checkpoint, monkeypatch):
    told, _ = report
    noise = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), np.uint8)
    monkeypatch.setattr("tempfile.tempdir", str(full))
    for write in (
        lambda: write_json(told, full / "a.json"),
        lambda: write_html(told, full / "a.html", animations={}),
        lambda: Animation(noise, 8.0, "noise", 0).write(full / "a.mp4"),
        lambda: (full / "a.png").write_bytes(summary_png(summary_image(told))),
        lambda: list(bundle([SAMPLE], checkpoint, full / "a.zip", ExplainRequest((), device="cpu"))),
    ):
        with pytest.raises((MexplainError, OSError)) as caught:
            write()
        status, says = error_response(caught.value)
        assert status == 507 and "disk is full" in says
    assert not [path.name for path in full.iterdir() if path.suffix in (".json", ".html", ".zip", ".partial")]


def test_an_upload_to_a_full_disk_is_refused_and_leaves_nothing(full, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(full / "uploads"))
    with small_hub(full) as (_, address):
        one = Visitor(address)
        refused = one.upload("a.mp4", bytes(100_000))
        assert refused.status_code == 507 and "disk is full" in refused.json()["detail"]
        until(lambda: not any(path.is_file() for path in full.rglob("*")))
        assert one.upload("a.mp4", b"small").status_code == 200


def test_without_weights_the_hub_says_what_to_do(tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(ROOT / "checkpoints", weights, ignore=shutil.ignore_patterns("clips", "SHA256SUMS"))
    with (weights / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)
    folder = tmp_path / "hub"
    folder.mkdir()
    os.environ["MEXPLAIN_CHECKPOINT"] = str(weights)
    try:
        with run_hub(folder, stop=(signal.SIGINT, signal.SIGINT)) as address:
            page = httpx.get(f"{address}config", timeout=patience_s()).text
            assert "has no network" in page and "damaged" in page and "MEXPLAIN_CHECKPOINT" in page
            assert "What to do" in page
    finally:
        del os.environ["MEXPLAIN_CHECKPOINT"]
    assert "The hub cannot explain anything: " in (folder / "log.txt").read_text()


def test_a_limit_that_is_no_number_is_named(monkeypatch):
    handlers = [(told, signal.getsignal(told)) for told in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setenv("MEXPLAIN_KEEP_S", "soon")
    try:
        import app

        with pytest.raises(SystemExit, match="The hub cannot start: MEXPLAIN_KEEP_S must be a whole number of s"):
            app.main([])
    finally:
        for told, handler in handlers:
            signal.signal(told, handler)


def test_what_still_runs_when_the_hub_ends_is_waited_for(monkeypatch):
    from mexplain.ui.app import join_threads

    # Gradio handles events in daemons; foreign code may never return.
    let_go, none = threading.Event(), threading.Event()
    event = threading.Thread(target=let_go.wait, daemon=True)
    foreign = threading.Thread(target=none.wait, daemon=True, name=RECOGNISER_THREAD)
    threads = [foreign, event]
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), *threads])
    for thread in threads:
        thread.start()
    threading.Timer(0.1, let_go.set).start()
    assert not join_threads() and foreign.is_alive() and not event.is_alive()
    none.set()
    foreign.join()
    assert join_threads()


class SmallMemory(TorchDispatchMode):
    """Refuses to make tensors beyond a size, as an allocator does that has no more."""

    def __init__(self, most):
        super().__init__()
        self.most, self.refused = most, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, torch.Tensor) and one.nbytes > self.most:
                self.refused += 1
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {one.nbytes} bytes.")
        return made


@pytest.fixture(scope="module")
def read_clip_once(checkpoint, person_path):
    request = ExplainRequest(start_s=0.2, end_s=0.7, device="cpu")
    return Explainer.from_clip(person_path, checkpoint, request).prediction


def test_too_little_memory_means_smaller_steps_and_a_note(read_clip_once, monkeypatch):
    # As much at once as on a GPU, so that it can be less.
    monkeypatch.setattr(device, "_CPU_GB", 4.0)
    plenty, scarce = (Explainer(read_clip_once, Fallback(torch.device("cpu"))) for _ in range(2))
    known = plenty.attribute(ExplainRequest(), "integrated_gradients", VARIANTS)
    assert plenty.notes == ()
    with SmallMemory(20_000_000) as memory:
        found = scarce.attribute(ExplainRequest(), "integrated_gradients", VARIANTS)
    assert memory.refused > 0 and any("smaller steps" in note for note in scarce.notes)
    for one, other in zip(found, known, strict=True):
        assert np.abs(one.map - other.map).max() < 0.02 * np.abs(other.map).max()


def test_memory_is_tried_in_smaller_steps_and_then_the_cpu(monkeypatch):
    # How much is free, only a real GPU tells.
    monkeypatch.setenv("MEXPLAIN_GPU_GB", "4")
    tried = []

    def work(where):
        tried.append((where.type, bytes_at_once(where)))
        if where.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    hand = Fallback(GPU)
    assert hand.run(work) == "done" and hand.device.type == "cpu"
    sizes = [size for where, size in tried if where == "cuda"]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes) >= 2
    assert tried[-1] == ("cpu", bytes_at_once(torch.device("cpu")))
    assert len(hand.notes) == 2 and "smaller steps" in hand.notes[0] and "CPU" in hand.notes[1]
    # Where there is nothing left to try, the error is what it was; and what has nothing to do with it stays so, too.
    with pytest.raises(torch.OutOfMemoryError):
        Fallback(torch.device("cpu")).run(lambda where: work(GPU))
    with pytest.raises(RuntimeError, match="shape"):
        Fallback(GPU).run(lambda where: (_ for _ in ()).throw(RuntimeError("shape mismatch")))


def test_a_lost_gpu_is_left_for_the_cpu_and_said(read_clip_once, monkeypatch):
    monkeypatch.setattr(device, "_gpu_failed", False)
    real, asked = MicroExpressionNet.to, []

    def gone(model, where):
        asked.append(where.type)
        if where.type == "cuda":
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")
        return real(model, where)

    monkeypatch.setattr(MicroExpressionNet, "to", gone)
    *_, told = explain_prediction(Explainer(read_clip_once, Fallback(GPU)), ExplainRequest(("attention",)))
    assert "cuda" in asked and told.device == "cpu"
    assert any("stopped answering" in note and "CPU" in note for note in told.notes)
    assert all("attention" in variant.maps for variant in told.variants)
    # Nobody is sent there again.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cpu"


def test_a_question_takes_no_longer_than_it_may(person_path, checkpoint, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_WORK_S", "1")
    clock = [0.0]
    monkeypatch.setattr("mexplain.ui.session.time.monotonic", lambda: clock[0])
    session = Session("cpu")
    steps = session.explain(person_path, checkpoint, ExplainRequest(("attention",), start_s=0.2, end_s=0.7))
    next(steps)
    clock[0] = 1.1
    with pytest.raises(OutOfTimeError, match="longer than the 1 s"):
        list(steps)
    # The next question has time of its own.
    *_, last = session.explain_same_window(ExplainRequest(("attention",)))
    assert all("attention" in variant.maps for variant in last.variants)


def test_clips_that_time_leaves_over_are_named(checkpoint, tmp_path):
    def late(number, count, stage, share):
        if number == 1:
            raise OutOfTimeError("Time is up.")

    out = tmp_path / "all.zip"
    clips = [SAMPLE] * 3
    done = list(
        bundle(
            clips,
            checkpoint,
            out,
            ExplainRequest(methods=(), device="cpu"),
            names=["one.mp4", "../two", "three"],
            progress=late,
        )
    )
    assert [outcome.reason for outcome in done] == ["", "Time is up.", "Time is up."]
    assert [outcome.folder for outcome in done] == ["001_one", "002_two", "003_three"]
    with zipfile.ZipFile(out) as archive:
        assert "001_one/report.json" in archive.namelist() and "two" in archive.read("overview.csv").decode()
        assert str(SAMPLE) not in archive.read("001_one/report.json").decode()
