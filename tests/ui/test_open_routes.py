"""The real hub, asked by strangers: what is shut is shut, and what is open answers with a sentence."""

import json

import httpx
import pytest
from gradio_client import Client, handle_file
from support.paths import ROOT
from support.patience import patience_s
from support.small_hub import FILE

CLIP = ROOT / "samples" / "happiness.mp4"
JSON = {"Content-Type": "application/json"}
SHUT = [
    ("GET", "gradio_api/proxy=http://127.0.0.1:1/x"),
    ("GET", "gradio_api/file=http://127.0.0.1:1/x"),
    ("GET", "gradio_api/file=https://example.org/x"),
    ("GET", "gradio_api/deep_link?session_hash=a"),
    ("GET", "gradio_api/dev/reload"),
    ("GET", "gradio_api/runs"),
    ("GET", "gradio_api/vibe-code"),
    ("GET", "gradio_api/custom_component/a/client/b/c"),
    ("GET", "gradio_api/user"),
    ("GET", "gradio_api/token"),
    ("GET", "monitoring"),
    ("GET", "docs"),
    ("POST", "login"),
    ("POST", "gradio_api/component_server"),
    ("POST", "gradio_api/process_recording"),
    ("POST", "gradio_api/run/explain"),
    ("POST", "gradio_api/api/explain"),
    ("POST", "gradio_api/stream/a"),
]
PRIVATE_FILES = [
    "/etc/passwd",
    "/proc/self/environ",
    "..%2f..%2f..%2fetc/passwd",
    "app.py",
    "checkpoints/config.json",
    "mexplain/../app.py",
    f"{ROOT}/app.py",
    f"{ROOT}/samples/../app.py",
    f"{ROOT}/samples/..%2fapp.py",
    "file:///etc/passwd",
    "%00",
    "",
    "//etc/passwd",
    "\\\\host\\share",
]


@pytest.fixture(scope="module")
def web(hub):
    with httpx.Client(base_url=hub, timeout=patience_s()) as client:
        yield client


def test_each_answer_says_what_a_browser_may_do_with_it(web):
    page = web.get("").headers
    assert "frame-ancestors 'self' https://huggingface.co" in page["content-security-policy"]
    assert "connect-src 'self'" in page["content-security-policy"]
    assert "camera=(self)" in page["permissions-policy"]
    sample = web.get(f"gradio_api/file={CLIP}")
    assert sample.status_code == 200 and sample.content == CLIP.read_bytes()
    assert "sandbox" in sample.headers["content-security-policy"]
    for headers in (page, sample.headers, web.get("nothing").headers):
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert web.get("gradio_api/queue/status").headers["cache-control"] == "no-store"


def test_doors_that_nobody_needs_are_shut(web):
    for method, path in SHUT:
        answered = web.request(method, path)
        assert answered.status_code == 404, path
        assert "There is nothing here" in answered.json()["detail"]


def test_files_are_not_read_from_outside(web):
    for path in PRIVATE_FILES:
        answered = web.get(f"gradio_api/file={path}")
        assert 400 <= answered.status_code < 500, path
        assert "root:" not in answered.text and "import" not in answered.text


def test_a_body_that_makes_no_sense_is_refused(web):
    bodies = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"data": 7}', b'{"data": []}']
    bodies += [json.dumps(body).encode() for body in (
        {"data": [], "fn_index": "x", "session_hash": "a"}, {"data": [], "fn_index": 10**9, "session_hash": "a"},
        {"data": {}, "fn_index": 0, "session_hash": "a"}, {"data": [], "fn_index": 0, "session_hash": {}},
        {"data": [], "fn_index": -1, "session_hash": "a"}, {"data": [], "fn_index": 0, "session_hash": "a" * 10**5},
    )]  # fmt: skip
    places = ("queue/join", "call/explain", "call/nothing", "call/v2/explain", "call/v2/nothing", "cancel", "upload")
    for place in places:
        for body in bodies:
            answered = web.post(f"gradio_api/{place}", content=body, headers=JSON)
            assert answered.status_code < 500 and "Traceback" not in answered.text, (place, body[:60])
    for place in (
        "queue/data?session_hash=nobody",
        "call/explain/nobody",
        "heartbeat/%00",
        "upload_progress?upload_id=x",
    ):
        answered = web.get(f"gradio_api/{place}")
        assert answered.status_code < 500 and "Traceback" not in answered.text


def asked(hub, name, data):
    """Return what comes of calling an endpoint with anything at all."""
    with httpx.Client(base_url=f"{hub}gradio_api/", timeout=patience_s()) as web:
        joined = web.post(f"call/{name}", content=json.dumps({"data": data}), headers=JSON)
        if joined.status_code != 200:
            return joined.status_code, joined.text
        return 200, web.get(f"call/{name}/{joined.json()['event_id']}").text


def test_wrong_types_get_a_sentence_and_the_hub_goes_on(hub):
    clip = handle_file(str(CLIP))
    lost = FILE | {"path": "/etc/passwd"}
    calls = {
        "explain": [
            [], [None] * 7, [7] * 7, ["x"] * 7, [lost, "attention", "onset", "", None, None, None],
            [FILE | {"path": "http://169.254.169.254/"}, "attention", "onset", "", None, None, None],
            [{"path": {}}, [], {}, 1e999, "a", "b", "c"], [[[[[]]]]] * 7, [None] * 60,
        ],
        "simulate": [
            [None] * 6, ["Person 1", "x" * 10_000, "both", 0.05, 0.5, None], ["nobody", "12", "both", 0.05, 0.5, None],
            ["Person 1", "12", "up", 0.05, 0.5, None], ["Person 1", "12", "both", "far", [], None],
            ["Person 1", "12", "both", 1e9, -1e9, None], ["Person 1", "12", "both", 0.05, 0.5, lost],
            [{}, {}, {}, {}, {}, {}],
        ],
        "what_if": [[None] * 3, [lost, "ear", "10"], [7, 7, 7], ["x", [], {}], [clip["path"], "ear", "10"]],
    }  # fmt: skip
    for name, many in calls.items():
        for data in many:
            status, told = asked(hub, name, data)
            assert status < 500 and "Traceback" not in told and "root:" not in told, (name, data, told)
            assert status >= 400 or ("event: error" in told and '"error": "' in told), (name, data, told)
    report = Client(hub, verbose=False, httpx_kwargs={"timeout": patience_s()}).predict(
        clip, method="attention", api_name="/explain"
    )
    assert report["clip"]["name"] == "happiness.mp4" and len(report["variants"]) == 3
