"""The index page of an archive, and the pages that show its clips one beside the other."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mexplain.batch.checkpoint_drift import Drift, VariantDrift, measure_drift
from mexplain.batch.outliers import outliers
from mexplain.batch.parquet import read_clips
from mexplain.batch.runner import read_settings, thumbnail_path
from mexplain.batch.summary import FEWEST, Summary, summarise_rows
from mexplain.batch.svg_figure import drive_figure
from mexplain.batch.unit_summary import EVERYBODY, MOST_PEOPLE, UnitUses, summarise_units, unit_summary_csv
from mexplain.media.files import write_text
from mexplain.report.json_export import DISCLAIMER
from mexplain.report.templating import render
from mexplain.simulation.action_units import ACTION_UNITS

INDEX, UNITS_TABLE, CLIPS_PER_PAGE = "index.html", "action_units.csv", 60
_FIGURES_PER_VARIANT = 6
# A probability that changes less is the same to a reader.
_MIN_CHANGE = 0.005
_UNIT_COLUMNS = ("subject", "group", "condition", "variant", "movements", "error")
_UNIT_HEADINGS = [
    "action unit",
    "clips with it",
    "share of clips",
    "how far, 0 to 1",
    "how long, s",
    "right, left, both",
]
_COLUMNS = (
    *("subject", "variant", "label", "presence", "probabilities"),
    *("attention", "block_scores", "failed_checks", "error"),
)


def write_index(out: Path, other: Path | None = None) -> Path:
    """Write ``index.html``, ``action_units.csv`` and the pages of clips from the table at ``out``; return the index.

    ``other`` is an archive of the same clips by another checkpoint, to compare with. Raises ``SettingError`` if a
    folder holds no archive.
    """
    settings = read_settings(out)
    quantity = settings["methods"][0] if settings["methods"] else "attention"
    summary = summarise_rows(read_clips(out, _COLUMNS), quantity)
    unlike, split = outliers(read_clips(out, _COLUMNS), summary)
    drift, before = None, None
    if other is not None:
        before = read_settings(other)
        drift = measure_drift(lambda: read_clips(out, _COLUMNS), lambda: read_clips(other, _COLUMNS), quantity)
    pages = _write_clip_pages(out)
    units = summarise_units(read_clips(out, _UNIT_COLUMNS))
    write_text(out / UNITS_TABLE, unit_summary_csv(units))
    labels = sorted({label for counts in summary.labels.values() for label in counts})
    variants = sorted(drift.variants.items()) if drift else []
    page = render(
        "mexplain.batch",
        "index.html",
        settings=settings,
        weights=settings["checkpoint"] if "@" in settings["checkpoint"] else Path(settings["checkpoint"]).name,
        disclaimer=DISCLAIMER,
        links=_links(drift, pages),
        unit_tables=[_unit_table(found) for found in units if found.by != "person"],
        unit_columns=_UNIT_HEADINGS,
        units_table=UNITS_TABLE,
        most_people=MOST_PEOPLE,
        summary=summary,
        answer_count=sum(sum(counts.values()) for counts in summary.labels.values()),
        labels=labels,
        label_counts=[
            [variant, *(counts[label] for label in labels)] for variant, counts in sorted(summary.labels.items())
        ],
        fewest=FEWEST,
        drives=_drives(summary),
        drift=drift,
        before=before,
        drift_rows=[_drift_row(variant, found) for variant, found in variants],
        drift_figures=[
            drive_figure(f"Variant {variant} ({found.clips} clips)", found.drives())
            for variant, found in variants
            if found.blocks
        ],
        changed=[clip for clip in drift.most if clip.oddness > _MIN_CHANGE] if drift else [],
        outlier_sections=[
            ("unlike", "Look at these: unlike others of their label", unlike),
            ("split", "Look at these: the variants disagree", split),
        ],
        thumbnail_path=thumbnail_path,
    )
    write_text(out / INDEX, page + "\n")
    return out / INDEX


def _links(drift: Drift | None, pages: int) -> list[tuple[str, str]]:
    links = [("#answers", "Answers"), ("#drives", "Blocks"), ("#units", "Action units")]
    links += [] if drift is None else [("#drift", "Drift")]
    links += [("#unlike", "Unlike others"), ("#split", "Disagreements"), ("#failed", "No answer")]
    return [*links, *([(_clip_page(1), "All clips")] if pages else [])]


def _drives(summary: Summary) -> dict[str, list[str]]:
    """Figures of each variant's most frequent labels."""
    figures: dict[str, list[str]] = {}
    for found in summary.drives():
        of_variant = figures.setdefault(found.variant, [])
        if len(of_variant) < _FIGURES_PER_VARIANT:
            of_variant.append(drive_figure(f"{found.label} ({found.clips} clips)", found.drives))
    return figures


def _unit_table(found: UnitUses) -> tuple[str, list[list[str]]]:
    """A heading for some clips, and a row for each action unit that moves in them."""

    def with_interval(value: float, interval: tuple[float, float] | None, form: str) -> str:
        return format(value, form) + (f" ({interval[0]:{form}} to {interval[1]:{form}})" if interval else "")

    rows = [
        [
            f"AU{use.unit} {ACTION_UNITS[use.unit].name}",
            f"{use.clips_moved}",
            with_interval(use.share, use.share_interval, ".1%"),
            with_interval(use.strength, use.strength_interval, ".2f"),
            with_interval(use.duration_s, use.duration_s_interval, ".2f"),
            f"{use.right}, {use.left}, {use.both}",
        ]
        for use in found.uses
    ]
    whose = "All clips" if found.by == EVERYBODY else f"{found.by.capitalize()} {found.value}"
    return f"{whose} ({found.clips}), variant {found.variant}", rows


def _drift_row(variant: str, drift: VariantDrift) -> list[str]:
    changes = [(pair, count) for pair, count in drift.labels.most_common() if pair[0] != pair[1]][:3]
    listed = ", ".join(f"{before} to {now} ({count})" for (before, now), count in changes) or "-"
    return [variant, f"{drift.clips}", f"{drift.changed:.1%}", f"{drift.moved / drift.clips:.4f}", listed]


def _write_clip_pages(out: Path) -> int:
    """Write pages of ``CLIPS_PER_PAGE`` clips each, and return how many there are."""
    clips = read_clips(out, ("variant", "label", "presence", "probabilities", "moment", "error"))
    cards = (_clip_card(rows) for rows in clips if rows[0]["error"] is None)
    number, shown = 0, list(islice(cards, CLIPS_PER_PAGE))
    while shown:
        number, following = number + 1, list(islice(cards, CLIPS_PER_PAGE))
        links = [(INDEX, "Archive")]
        links += [(_clip_page(number - 1), "Before")] if number > 1 else []
        links += [(_clip_page(number + 1), "After")] if following else []
        page = render("mexplain.batch", "clips.html", number=number, links=links, clips=shown)
        write_text(out / _clip_page(number), page + "\n")
        shown = following
    for path in out.glob("clips-*.html"):
        # Those of an earlier, longer run.
        if int(path.stem.partition("-")[2]) > number:
            path.unlink()
    return number


def _clip_page(number: int) -> str:
    return f"clips-{number:05d}.html"


def _clip_card(rows: Sequence[dict[str, Any]]) -> dict[str, object]:
    return {
        "name": rows[0]["clip"],
        "thumbnail": thumbnail_path(rows[0]["sha256"]),
        "moment": rows[0]["moment"],
        "answers": [
            {
                "label": row["label"],
                "variant": row["variant"],
                "probability": f"{row['probabilities'].get(row['label'], 1 - row['presence']):.2f}",
            }
            for row in rows
        ],
    }
