"""Several clips in one zip: a bad one stops nobody, names do no harm."""

import csv
import io
import json
import shutil
import zipfile

import pytest
from support.paths import SAMPLES

from mexplain.batch.zip_bundle import MOST_CLIPS, bundle, overview_csv
from mexplain.errors import MexplainError, SettingError
from mexplain.records import ExplainRequest
from mexplain.report.csv_tables import BLOCK_COLUMNS

pytestmark = pytest.mark.slow

SAMPLE = SAMPLES / "happiness.mp4"


@pytest.fixture(scope="module")
def made(checkpoint, tmp_path_factory):
    """A good clip with a bad name and a bad clip with the same name, bundled; and what was told on the way."""
    folder = tmp_path_factory.mktemp("clips")
    clips = [
        folder / "one" / "=../we ird é.mp4".replace("/", "_"),
        folder / "two" / "=../we ird é.mp4".replace("/", "_"),
    ]
    for clip in clips:
        clip.parent.mkdir()
    shutil.copy(SAMPLE, clips[0])
    clips[1].write_bytes(b"this is no video")
    told = []
    out = folder / "new" / "all.zip"
    outcomes = list(
        bundle(
            clips,
            checkpoint,
            out,
            ExplainRequest(("attention",), device="cpu"),
            progress=lambda *step: told.append(step),
        )
    )
    return outcomes, told, out


def test_a_bad_clip_becomes_a_row_with_its_reason(made):
    outcomes, _, _ = made
    assert outcomes[0].report is not None and not outcomes[0].reason
    assert outcomes[1].report is None and "not a video" in outcomes[1].reason
    good, bad = csv.DictReader(io.StringIO(overview_csv(outcomes)))
    assert good["label_10"] == outcomes[0].report.variants[1].label and float(good["p_10"]) > 0.2
    assert bad["reason"].removeprefix("'") == outcomes[1].reason and bad["label_10"] == ""


def test_progress_is_told_clip_by_clip(made):
    _, told, _ = made
    assert [number for number, *_ in told] == sorted(number for number, *_ in told)
    assert {(number, count) for number, count, *_ in told} == {(0, 2), (1, 2)}
    shares = [share for number, _, _, share in told if number == 0]
    assert shares[0] == 0 and all(0 <= share <= 1 for share in shares)


def test_the_zip_holds_everything_under_harmless_names(made):
    outcomes, _, out = made
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        # Where a clip lay is nobody's business.
        assert not [name for name in names if str(out.parent.parent).encode() in archive.read(name)]
        assert len({name.casefold() for name in names}) == len(names)
        assert outcomes[0].folder == "001_we_ird" and outcomes[1].folder == "002_we_ird"
        assert set("".join(names)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_./")
        files = {name.split("/")[1] for name in names if "/" in name}
        assert files >= {"report.json", "report.html", "card.png", "motion.mp4", "heat_24.mp4", "heat_10.mp4"}
        assert {name.split("/")[0] for name in names if "/" in name} == {"001_we_ird"}
        assert json.loads(archive.read("001_we_ird/report.json"))["variants"]
        assert archive.read("001_we_ird/card.png").startswith(b"\x89PNG")
        assert b"ftyp" in archive.read("001_we_ird/heat_10.mp4")[:12]
        header = archive.read("blocks.csv").decode().partition("\n")[0]
        assert header.split(",")[:-1] == list(BLOCK_COLUMNS)[:-1]
        assert archive.read("overview.csv").decode() == overview_csv(outcomes)
        assert "does not read people" in archive.read("about.txt").decode()


def test_stopping_leaves_nothing_behind(checkpoint, tmp_path):
    class StopError(MexplainError):
        pass

    def stop(number, count, stage, share):
        raise StopError("Stopped.")

    with pytest.raises(StopError):
        list(bundle([SAMPLE], checkpoint, tmp_path / "all.zip", ExplainRequest(device="cpu"), progress=stop))
    (tmp_path / "bad.mp4").write_text("no video")
    steps = bundle([tmp_path / "bad.mp4"] * 2, checkpoint, tmp_path / "all.zip", ExplainRequest(device="cpu"))
    next(steps)
    steps.close()
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]


def test_what_cannot_be_is_said_at_once(checkpoint, tmp_path):
    for clips in ([], [SAMPLE] * (MOST_CLIPS + 1)):
        with pytest.raises(SettingError, match="batch"):
            next(bundle(clips, checkpoint, tmp_path / "all.zip"))
    with pytest.raises(SettingError, match="Method"):
        next(bundle([SAMPLE], checkpoint, tmp_path / "all.zip", ExplainRequest(("guessing",))))
    assert list(tmp_path.iterdir()) == []
