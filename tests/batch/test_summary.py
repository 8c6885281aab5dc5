"""What is said of a whole archive, from rows whose numbers a test has chosen."""

import hashlib
import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from mexplain.batch.checkpoint_drift import measure_drift
from mexplain.batch.index_page import write_index
from mexplain.batch.outliers import outliers
from mexplain.batch.parquet import Writer, read_clips
from mexplain.batch.runner import thumbnail_path
from mexplain.batch.summary import FEWEST, draws, summarise_rows
from mexplain.face.blocks import LAYOUTS

LABELS = ("happiness", "disgust", "surprise", "repression", "others")
METHOD = "integrated_gradients"
NAMES = LAYOUTS["10"].names


def make_rows(number, label="happiness", *, scores=None, subject="", variants=("10", "24"), labels=None, sure=0.9):
    """The rows of one clip, in which both variants say the same unless ``labels`` says otherwise."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    rows = []
    for variant in variants:
        names = LAYOUTS[variant].names
        said = (labels or {}).get(variant, label)
        values = np.zeros(len(names)) if scores is None else np.resize(np.asarray(scores, float), len(names))
        rows.append(
            {
                "clip": f"person/clip{number:04d}.mp4", "sha256": sha256, "subject": subject, "variant": variant,
                "label": said, "target": said, "presence": 0.97,
                "probabilities": {name: sure if name == said else (1 - sure) / 4 for name in LABELS},
                "block_scores": {METHOD: dict(zip(names, values.tolist(), strict=True))},
                "outside_blocks": {METHOD: 0.1}, "attention": dict.fromkeys(names, 0.5),
                "moment": {"onset_s": 0.1, "apex_s": 0.3, "offset_s": 0.5, "kind": "expression", "score": 0.9},
                "moments": 1, "failed_checks": [], "notes": [], "error": None,
            }
        )  # fmt: skip
    return rows


def failed_rows(number, reason):
    keys = ("clip", "sha256", "subject", "variant")
    return [{key: row[key] for key in keys} | {"error": reason} for row in make_rows(number)]


def population(count=200, seed=0):
    """Clips of fifty people in which the mouth drives happiness and the brows disgust."""
    random = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        label = LABELS[number % 2]
        strong = NAMES.index("mouth corner left" if label == "happiness" else "inner brow left")
        scores = random.normal(0, 0.1, 10)
        scores[strong] += 1.0
        clips.append(make_rows(number, label, scores=scores, subject=f"s{number // 2 % 50}"))
    return clips


def test_the_blocks_that_drive_a_class_come_first_with_their_interval():
    found = {(d.variant, d.label): d for d in summarise_rows(population(), METHOD).drives()}
    for label, block in (("happiness", "mouth corner left"), ("disgust", "inner brow left")):
        first, *others = found["10", label].drives
        assert first.block == block and found["10", label].clips == 100
        assert first.low < first.mean < first.high and first.low > 0.9 and first.high < 1.1
        assert first.top == 1.0
        # Blocks that add nothing: their intervals hold zero, or miss it by as little as one in twenty does.
        assert sum(d.low <= 0 <= d.high for d in others) >= 7


def test_the_order_of_clips_does_not_matter():
    clips = population(60)
    shuffled = random.Random(1).sample(clips, len(clips))
    for one, other in zip(
        summarise_rows(clips, METHOD).drives(), summarise_rows(shuffled, METHOD).drives(), strict=True
    ):
        assert (one.variant, one.label, one.clips) == (other.variant, other.label, other.clips)
        for a, b in zip(one.drives, other.drives, strict=True):
            assert a.block == b.block
            assert (a.mean, a.low, a.high) == pytest.approx((b.mean, b.low, b.high))


def test_people_are_drawn_whole():
    """Clips of one person are alike, so intervals are wider where it is known whose they are."""
    random = np.random.default_rng(3)
    own = random.normal(0, 1, 20)
    known = [make_rows(n, scores=np.full(10, own[n % 20]), subject=f"s{n % 20}", variants=("10",)) for n in range(400)]
    unknown = [[row | {"subject": ""} for row in rows] for rows in known]
    width = []
    for clips in (known, unknown):
        drive = summarise_rows(clips, METHOD).drives()[0].drives[0]
        width.append(drive.high - drive.low)
    # 20 people instead of 400 clips: wider by the root of 20, about.
    assert 3 < width[0] / width[1] < 6


def test_draws_depend_on_the_name_alone_and_are_one_on_average():
    assert np.array_equal(draws("anna"), draws("anna")) and not np.array_equal(draws("anna"), draws("bert"))
    many = np.stack([draws(str(n)) for n in range(200)])
    assert many.mean() == pytest.approx(1, abs=0.02) and many.var() == pytest.approx(1, abs=0.05)


def test_a_handful_of_people_has_no_interval():
    many_clips_of_few = [make_rows(n, scores=np.ones(10), subject=f"s{n % (FEWEST - 1)}") for n in range(50)]
    assert summarise_rows(many_clips_of_few, METHOD).drives()[0].drives[0].low is None
    found = summarise_rows([make_rows(n, scores=np.ones(10)) for n in range(FEWEST - 1)], METHOD).drives()
    assert all(drive.low is None and drive.mean == 1.0 for drives in found for drive in drives.drives)


def test_the_odd_ones_are_found():
    clips = population()
    odd = np.zeros(10)
    odd[NAMES.index("chin")] = 3.0
    clips.append(make_rows(900, scores=odd))
    clips.append(make_rows(901, labels={"10": "disgust", "24": "surprise"}, sure=0.8, scores=np.zeros(10)))
    clips.append(failed_rows(902, "no face"))
    unlike, split = outliers(clips, summarise_rows(clips, METHOD))
    assert unlike[0].clip.endswith("clip0900.mp4") and "chin +3.00" in unlike[0].why
    assert [o.clip for o in split] == ["person/clip0901.mp4"]
    assert split[0].why == "Variant 10 says disgust (0.80), variant 24 surprise (0.80)."


def test_drift_is_what_changed_between_two_checkpoints():
    before = [make_rows(n, scores=np.zeros(10)) for n in range(40)]
    push = np.zeros(10)
    push[NAMES.index("nose")] = 0.5
    now = [make_rows(n, "disgust" if n < 10 else "happiness", scores=push, variants=("10",)) for n in range(40)]
    now.append(make_rows(99, variants=("10",)))
    found = measure_drift(lambda: iter(now), lambda: iter(before), METHOD)
    ten = found.variants["10"]
    assert set(found.variants) == {"10"} and (ten.clips, ten.changed, found.alone) == (40, 0.25, 1)
    assert ten.labels["happiness", "disgust"] == 10
    assert ten.drives()[0].block == "nose" and ten.drives()[0].mean == pytest.approx(0.5)
    assert len(found.most) == 10 + 2 and all(
        "happiness (0.90) before, now disgust (0.90)" in o.why for o in found.most[:10]
    )


def test_drift_does_not_depend_on_how_much_is_held_at_once(monkeypatch):
    now, before = population(50, seed=1), population(50, seed=2)
    whole = measure_drift(lambda: iter(now), lambda: iter(before), METHOD)
    monkeypatch.setattr("mexplain.batch.checkpoint_drift.HELD", 20)
    parts = measure_drift(lambda: iter(now), lambda: iter(before), METHOD)
    assert whole.variants["10"].labels == parts.variants["10"].labels and whole.alone == parts.alone == 0
    for a, b in zip(whole.variants["24"].drives(), parts.variants["24"].drives(), strict=True):
        assert (a.block, a.mean, a.low) == (b.block, pytest.approx(b.mean), pytest.approx(b.low))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Two archives on disk by two checkpoints, one with odd names and pictures."""
    folders = []
    for name, seed in (("before", 1), ("now", 2)):
        out = tmp_path_factory.mktemp("archives") / name
        out.mkdir()
        settings = {
            "schema_version": 1, "checkpoint": f"lab/{name}@{'0' * 40}", "sha256": str(seed) * 64,
            "variants": ["10", "24"], "methods": [METHOD], "baseline": "onset", "thorough": False, "threads": 1,
        }  # fmt: skip
        (out / "archive.json").write_text(json.dumps(settings))
        writer = Writer(out, clips=50)
        for rows in population(130, seed=seed):
            writer.add(rows)
            path = out / thumbnail_path(rows[0]["sha256"])
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((64, 64, 3), 128, np.uint8))
        writer.add([row | {"clip": "<script>alert(1)</script>" + "x" * 80 + ".mp4"} for row in make_rows(500)])
        writer.add(failed_rows(501, "No face was found in <b>this</b> clip, " + "looked for " * 20))
        writer.flush()
        folders.append(out)
    return folders


def test_the_page_escapes_what_clips_are_called(planted):
    page = write_index(planted[1], planted[0]).read_text()
    assert "<script>" not in page and "<b>this</b>" not in page and "&lt;b&gt;this" in page
    assert "<script>" not in "".join(path.read_text() for path in planted[1].glob("clips-*.html"))


def test_pages_of_clips_follow_each_other(planted):
    write_index(planted[1])
    pages = sorted(planted[1].glob("clips-*.html"))
    assert len(pages) == 3 and sum(page.read_text().count("class=card>") for page in pages) == 131
    for number, page in enumerate(pages):
        text = page.read_text()
        assert ("After" in text, "Before" in text) == (number < 2, number > 0)
    assert sum(1 for _ in read_clips(planted[1])) == 132


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_fits_its_window(planted, width, tmp_path, browser):
    index = write_index(planted[1], planted[0])
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(Path(index).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg").count() == 2 * 2 + 2
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    assert page.locator("img").evaluate_all("all => all.every(i => i.complete)")
    page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    page.get_by_role("link", name="All clips").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not [problem for problem in problems if "ERR_FILE_NOT_FOUND" not in problem and ".jpg" not in problem]
    page.close()
