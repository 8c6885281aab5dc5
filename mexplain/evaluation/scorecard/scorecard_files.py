"""The files of a scorecard: as JSON, as a table and as a page."""

from pathlib import Path

from mexplain.evaluation.scorecard.plots import scorecard_page
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.media.files import write_text
from mexplain.model.scorecard import SCORECARD, Scorecard


def write_scorecard(scorecard: Scorecard, out: Path) -> None:
    """Write ``scorecard.json``, ``.md`` and ``.html`` into a folder."""
    write_text(out / SCORECARD, scorecard.to_json())
    write_text(out / "scorecard.md", markdown(scorecard))
    write_text(out / "scorecard.html", scorecard_page(scorecard))
