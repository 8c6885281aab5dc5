"""The field for the camera's rate, in a real browser."""

from mexplain.media.video import write_video


def test_a_slowed_film_is_explained_at_the_rate_that_is_typed(visit, person_clip, tmp_path):
    write_video(tmp_path / "slowed.mp4", person_clip.frames, 15.0)
    visitor = visit()
    page = visitor.page
    visitor.upload(tmp_path / "slowed.mp4")
    page.get_by_text("Slowed down or sped up").click()
    page.fill("#fps input", "120")
    visitor.check()
    page.click("#explain")
    visitor.wait_until_done()
    assert "120 frames a second; the file has 15" in page.inner_text("#answer")
