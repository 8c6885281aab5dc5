"""What is left of a visitor once they have gone: nothing, on the disk, in caches or in the log."""

import base64
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from support.patience import until
from support.small_hub import TOLD

from mexplain.face.tracking import track_face


def found_in(folder: Path, needles: dict[str, bytes]) -> dict[str, str]:
    """Return which of the needles lie anywhere in a folder, in a file or in its name."""
    found = {}
    for root, folders, names in os.walk(folder):  # files may go meanwhile
        for path in (Path(root, name) for name in (*folders, *names)):
            data = str(path).encode()
            with suppress(OSError):
                data += path.read_bytes()
            found |= {name: str(path) for name, needle in needles.items() if needle in data}
    return found


def test_nothing_is_left_of_a_visitor(visit, hub_folder, person_path, person_clip, tmp_path):
    clip = tmp_path / f"{TOLD}.mp4"
    shutil.copy(person_path, clip)
    visitor = visit(query="?method=attention")
    page = visitor.page
    visitor.upload(clip)
    page.click("#explain")
    visitor.wait_until_done()
    visitor.open_tab("Take along")
    page.click("#make")
    page.wait_for_selector("#files a[download]")
    made = {}
    for link in page.locator("#files a[download]").all():
        address = link.get_attribute("href")
        made[Path(address).name] = visitor.context.request.get(address).body()
    report = json.loads(made["explained.json"])
    assert report["clip"]["path"] == clip.name  # the visitor's own files do say what they call it

    picture = re.search(rb"data:image/jpeg;base64,([A-Za-z0-9+/]{400})", made["explained.html"])[1]
    numbers = sorted({f"{side:.6g}" for block in report["variants"][0]["blocks"] for side in block["xyxy"]}, key=len)
    landmarks = track_face(person_clip).landmarks_xy
    needles = {
        "name": TOLD.encode(),
        "clip": clip.read_bytes()[2000:2064],
        "film": made["explained_10.mp4"][2000:2064],
        "page": picture,
        "picture": base64.b64decode(picture)[40:200],
        "blocks": numbers[-1].encode(),
        "landmarks": np.asarray(landmarks, np.float32)[0, :4].tobytes(),
        "landmarks in full": np.asarray(landmarks, np.float64)[0, :4].tobytes(),
        "landmark": f"{float(landmarks[0, 0, 0]):.3f}".encode(),
    }
    # While they are there, their clip is, and the files that they asked for; but no path says what they call it.
    assert {"clip", "film", "page", "blocks"} <= set(found_in(hub_folder, needles))
    assert not list(hub_folder.rglob(f"*{TOLD}*"))
    # A browser keeps nothing either, and the address names nothing of it.
    kept = page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])") + page.url
    databases = page.evaluate("indexedDB.databases().then((found) => found.length)")
    assert TOLD not in kept and databases == 0
    visitor.close()
    until(lambda: not found_in(hub_folder, needles))


def test_a_clip_that_is_only_uploaded_goes_too(visit, hub_folder, person_path, tmp_path):
    clip = tmp_path / "never_explained.mp4"
    clip.write_bytes(person_path.read_bytes() + b"never explained")
    visitor = visit()
    # The page tells the hub of it over a stream, which ends either way once the hub has answered.
    answered = []
    for event in ("requestfinished", "requestfailed"):
        visitor.page.on(event, lambda request: answered.append(request) if "/queue/data" in request.url else None)
    visitor.upload(clip)
    until(lambda: visitor.page.wait_for_timeout(20) or answered)
    assert found_in(hub_folder, {"clip": b"never explained"})
    visitor.close()
    until(lambda: not found_in(hub_folder, {"clip": b"never explained"}))
