"""A busy hub, seen by those who wait and by those for whom there is no room: the real one, in a real browser."""

import threading
from contextlib import closing

import httpx
from support.patience import patience_s, until
from support.running_hub import QUICK, ROOT
from support.small_hub import FILE, Visitor

SLOW = "shapley"


def test_who_waits_knows_their_place_and_who_cannot_is_told(visit, hub):
    crowd = Visitor(hub)
    explain = next(
        d["id"]
        for d in httpx.get(f"{hub}config", timeout=patience_s()).json()["dependencies"]
        if d["api_name"] == "explain"
    )
    (path,) = crowd.upload("crowd.mp4", (ROOT / "samples" / "surprise.mp4").read_bytes()).json()
    asked = [FILE | {"path": path}, SLOW, "onset", "", None, None, None]
    one, other, done = visit(query=QUICK), visit(query=QUICK), threading.Event()

    def fill():
        while not done.wait(0.02):
            answers.append(crowd.ask(explain, *asked))

    # Two, so that there is still one at work when a slow page has sent its own.
    assert [crowd.ask(explain, *asked).status_code for _ in range(2)] == [200, 200]
    with closing(crowd.messages()) as told:
        assert any(message["msg"] == "process_starts" for message in told)
        one.page.locator(".sample").nth(0).click()
        one.page.wait_for_selector("#status >> text=/Busy: you are number ([12]) of \\1 in line./")
        answers: list[httpx.Response] = []
        filling = threading.Thread(target=fill)
        filling.start()
        try:
            until(lambda: answers and answers[-1].status_code == 503)
            other.page.locator(".sample").nth(1).click()
            other.page.wait_for_selector("text=The hub is busy: 20 visitors are waiting already")
            other.open_tab("What if")
        finally:
            done.set()
            filling.join()
    assert all("Please come back" in answer.json()["detail"] for answer in answers if answer.status_code != 200)
    # The crowd has hung up, so nobody waits for it any more.
    one.wait_until_done()
    assert "happiness" in one.page.inner_text("#answer")
    # Nothing of theirs was being explained, and that tab, answered long since, does not say that it was.
    other.page.wait_for_selector("#what_if_sample")
    other.open_tab("Explain")
    other.click_sample(1)
