"""Gradio's player, which trims clips in the browser."""

from support.running_hub import QUICK, ROOT


def test_what_trims_a_clip_is_fetched_once_someone_trims(visit):
    visitor = visit(query=QUICK)
    page, asked = visitor.page, []
    page.on("request", lambda request: asked.append(request.url))
    visitor.upload(ROOT / "samples" / "surprise.mp4")
    trim = page.get_by_label("Trim video to selection")
    trim.wait_for()
    page.wait_for_timeout(1500)
    assert asked and not [url for url in asked if "ffmpeg" in url]
    with page.expect_request("**/static/ffmpeg/ffmpeg-core.js"), page.expect_response("**/ffmpeg-core.wasm"):
        trim.click()
    visitor.click_sample()
    assert visitor.complaints == []
