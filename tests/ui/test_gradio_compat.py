"""Each private part of Gradio that the hub relies on is still there and does what the hub expects of it."""

import asyncio
import inspect
import json
import re
import time
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import gradio as gr
import gradio.route_utils
import gradio.routes
import httpx
import pytest
from fastapi import HTTPException
from gradio.data_classes import ImageData
from support.patience import patience_s, until
from support.running_hub import ROOT

from mexplain.language.current import using_language
from mexplain.ui.server import gradio_compat
from mexplain.ui.server.gradio_compat import BlockFunction, FnIndexInferError, QueueWithoutAnalytics

SESSION = "someone"


class Queue(QueueWithoutAnalytics):
    """Refuses the function "shut"."""

    def check(self, function: BlockFunction | None, session: str) -> None:
        if function is None or function.api_name == "shut":
            raise HTTPException(418, f"not for {session}")


class Page:
    """A served page; its function "hold" tells what it sees of its event and ends when it is let go."""

    def __init__(self) -> None:
        self.release, self.sessions, self.checks = False, [], []
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            name, out, state = gr.Textbox(), gr.Textbox(), gr.State(None)
            gr.Button().click(self.hold, name, out, api_name="hold", concurrency_id="one", concurrency_limit=1)
            gr.Button().click(self.remember, [name, state], [state, out], api_name="remember")
            gr.Button().click(lambda name: name, name, out, api_name="shut")
        self.queue = Queue(self.blocks)
        gradio_compat.install_queue(self.blocks, self.queue)
        _, self.address, _ = self.blocks.launch(quiet=True, prevent_thread_lock=True, run_history=False)

    def hold(self, name):
        self.sessions.append(gradio_compat.current_session())
        self.checks = [gradio_compat.event_is_live(), gradio_compat.session_exists()]
        until(lambda: self.release)
        return name

    def remember(self, name, state):
        return name, state

    def function(self, name):
        return next(fn for fn in self.blocks.fns.values() if fn.api_name == name)

    def join(self, name, *data, session=SESSION):
        body = {"fn_index": self.function(name)._id, "data": list(data), "session_hash": session}
        return httpx.post(f"{self.address}gradio_api/queue/join", json=body, timeout=patience_s())

    def result(self, session=SESSION):
        url = f"{self.address}gradio_api/queue/data"
        with httpx.stream("GET", url, params={"session_hash": session}, timeout=patience_s()) as stream:
            messages = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
        return next(told for told in messages if told["msg"] == "process_completed")["output"]["data"]


@pytest.fixture(scope="module")
def page():
    served = Page()
    yield served
    served.release = True
    served.blocks.close(verbose=False)


def test_a_stream_that_was_just_closed_is_noticed_before_the_next_answer(page):
    session = "quick visitor"

    def answer_s():
        started = time.monotonic()
        assert page.join("remember", "a", None, session=session).status_code == 200
        return time.monotonic() - started

    answer_s()
    page.result(session)  # the stream ends with its last event
    assert answer_s() >= gradio_compat._STREAM_CLOSES_S
    assert page.result(session)[1] == "a"


def test_the_version_is_pinned_to_the_one_that_is_tested():
    pinned = re.search(r"^gradio\[mcp\]==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned and pinned[1] == version("gradio")
    assert f"sdk_version: {pinned[1]}" in (ROOT / "README.md").read_text()


def test_a_queue_refuses_counts_and_forgets(page):
    page.release = False
    refused = page.join("shut", "a")
    assert refused.status_code == 418 and refused.json()["detail"] == f"not for {SESSION}"
    hold = page.function("hold")
    assert page.queue.waiting(hold) == [] and page.queue.mean_seconds(page.function("shut")) == 0
    assert page.join("hold", "first").status_code == 200
    until(lambda: page.checks)
    assert page.sessions == [SESSION] and page.queue.sessions() == {SESSION}
    assert all(check() for check in page.checks)
    assert page.join("hold", "second", session="other").status_code == 200
    assert page.queue.waiting(hold) == [hold] and page.queue.sessions() == {SESSION, "other"}
    # A client that has hung up is sent nothing, and nobody's event is counted.
    page.queue.drop_session("other")
    assert "other" not in page.queue.pending_messages_per_session
    page.release = True
    assert page.result() == ["first"]
    until(lambda: not page.queue.sessions())
    assert not page.checks[0]() and page.queue.mean_seconds(hold) > 0
    assert len(page.queue.event_analytics) <= 1 and page.queue.compute_analytics_summary([]) == {}


def test_outside_events_everything_goes_on():
    assert gradio_compat.current_session() is None
    assert gradio_compat.event_is_live()() and gradio_compat.session_exists()()


def test_state_is_known_by_its_last_use_and_can_be_dropped(page):
    page.release = True
    for expected in (None, "secret"):
        page.join("remember", "secret", None)
        assert page.result()[1] == expected
    used = gradio_compat.sessions_last_used(page.blocks)
    assert datetime.now() - used[SESSION] < timedelta(minutes=10)
    page.join("hold", "a")
    page.result()
    assert page.checks[1]()
    gradio_compat.drop_state(page.blocks, SESSION)
    assert SESSION not in gradio_compat.sessions_last_used(page.blocks) and not page.checks[1]()
    page.join("remember", "new", None)
    assert page.result()[1] is None


def test_files_that_are_gone_are_served_no_more(page, tmp_path):
    there = tmp_path / "there"
    there.touch()
    assert page.blocks.temp_file_sets
    for known in page.blocks.temp_file_sets:
        known |= {str(there), str(tmp_path / "gone")}
    gradio_compat.drop_missing_files(page.blocks)
    assert all(str(there) in known and str(tmp_path / "gone") not in known for known in page.blocks.temp_file_sets)


def test_uploads_go_through_the_wrapped_handler(page, monkeypatch):
    folders = []

    def wrap(handler):
        async def receive(request, folder, *args, **options):
            folders.append(folder)
            files, *rest = await handler(request, folder, *args, **options)
            return files, *rest

        return receive

    monkeypatch.setattr(gradio.routes, "upload_fn", gradio.routes.upload_fn)  # is put back
    gradio_compat.wrap_upload_handler(wrap)
    (path,) = httpx.post(
        f"{page.address}gradio_api/upload", files={"files": ("a.txt", b"some")}, timeout=patience_s()
    ).json()
    assert Path(path).read_bytes() == b"some" and Path(path).is_relative_to(folders[0])


def test_a_photo_is_passed_on_as_a_path(tmp_path):
    image = gr.Image(type="filepath", image_mode=None)
    gradio_compat.pass_photo_unopened(image)
    assert image.preprocess(ImageData(path=str(tmp_path / "bomb.png"))) == str(tmp_path / "bomb.png")
    assert image.preprocess(None) is None


def test_the_script_of_plots_is_where_browsers_load_it_from():
    script = Path(gr.__file__).parent / "templates" / "frontend" / gradio_compat.plot_script()
    assert gradio_compat.plot_script().endswith(".js") and "plotly" in script.read_text(encoding="utf-8").lower()


def test_gradio_takes_its_words_from_the_browsers_language_which_the_page_tells_first():
    gradio_compat.speak_gradios_words()
    environment = gradio.routes.templates.env
    source, _, _ = environment.loader.get_source(environment, "frontend/index.html")
    assert source.index('defineProperty(navigator, "language"') < source.index("<script", source.index("</script>"))
    assert source.index("defineProperty") < source.index('<script type="module"')
    with using_language("zh"):
        assert 'value: "zh-CN"' in environment.from_string(source.split("</script>")[0]).render()
    assets = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    assert any("navigator.language||" in script.read_text(encoding="utf-8") for script in assets.glob("runtime-*.js"))


def test_events_are_handled_by_process_api(page):
    parameters = list(inspect.signature(gr.Blocks.process_api).parameters)
    assert parameters[1:3] == ["block_fn", "inputs"] and "session_hash" in parameters
    source = inspect.getsource(gradio.route_utils.call_process_api)
    assert "process_api(" in source and "session_hash=" in source
    assert gr.Error("a", print_exception=False).print_exception is False


def test_an_unknown_function_is_an_error_of_its_own(page):
    request = gr.Request()
    body = gradio.data_classes.PredictBody(data=[])
    with pytest.raises(FnIndexInferError):
        gradio.route_utils.get_fn(page.blocks, "no such function", body)
    assert asyncio.iscoroutinefunction(QueueWithoutAnalytics.push) and request is not None
