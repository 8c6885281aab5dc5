"""Agreement of a coder with the network as a page, as text, and its disagreements as a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from mexplain.evaluation.coder_agreement.agreement import AgreementEstimate, AgreementRow, CoderAgreement, Disagreement
from mexplain.report.csv_tables import csv_table
from mexplain.report.templating import render
from mexplain.simulation.action_units import ACTION_UNITS

COLUMNS = (
    *("", "coder", "other", "both", "precision", "recall", "F1", "kappa of frames", "kappa of films"),
    *("onset ms", "apex ms", "offset ms"),
)
DISAGREEMENT_COLUMNS = (
    *("film", "what", "coder_onset_s", "coder_offset_s", "other_onset_s", "other_offset_s", "overlap", "finding"),
)

NOTHING = "-"


def agreement_page(found: CoderAgreement, films: Path | None = None, page: Path | None = None) -> str:
    """HTML page of an agreement; with the folder of the ``films``, each disagreement links to its part of its film.

    ``page`` is where the page is to lie, which links start from.
    """
    names = _film_files(films) if films is not None else {}
    link = _linker(names, page)
    return (
        render(
            "mexplain.evaluation.coder_agreement",
            "agreement.html",
            found=found,
            columns=COLUMNS,
            rows=[_cells(row) for row in found.rows],
            disagreements=[
                (link(d), d.film, said_of(d.name), _span(d.coder), _span(d.other), finding(d))
                for d in found.disagreements
            ],
        )
        + "\n"
    )


def agreement_text(found: CoderAgreement) -> str:
    """The agreement as a table of text, with its notes."""
    table = [list(COLUMNS), *([*_cells(row)] for row in found.rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    facts = (
        f"{found.coder} and {found.other} in {found.films} film{'s' if found.films > 1 else ''} "
        f"({found.minutes:.1f} min); {len(found.disagreements)} disagreements. Intervals of 95 % "
        f"draw anew {found.resampled}."
    )
    return "\n".join([facts, "", *lines, *([""] if found.notes else []), *found.notes])


def disagreements_csv(found: CoderAgreement) -> str:
    """CSV with a row for each disagreement."""
    rows = []
    for each in found.disagreements:
        times = [f"{time:.3f}" for span in (each.coder, each.other) for time in span or ()]
        names = [name for name in DISAGREEMENT_COLUMNS if name.endswith("_s")]
        used = names if each.coder and each.other else names[:2] if each.coder else names[2:]
        rows.append(
            {"film": each.film, "what": each.name, "overlap": each.overlap, "finding": finding(each)}
            | dict(zip(used, times, strict=True))
        )
    return csv_table(DISAGREEMENT_COLUMNS, rows)


def finding(disagreement: Disagreement) -> str:
    """What a disagreement consists in, in words."""
    if disagreement.coder is None:
        return "marked by the other alone"
    if disagreement.other is None:
        return "marked by the coder alone"
    return f"marked at other times (overlap {disagreement.overlap:.2f})"


def said_of(name: str) -> str:
    """A kind of moment, or an action unit with what it is called: ``AU12 left (lip corner puller)``."""
    number = name.removeprefix("AU").partition(" ")[0]
    unit = ACTION_UNITS.get(int(number)) if name.startswith("AU") and number.isdecimal() else None
    return name if unit is None else f"{name} ({unit.name})"


def _cells(row: AgreementRow) -> list[str]:
    estimates = (row.precision, row.recall, row.f1, row.frame_kappa, row.film_kappa)
    times = (row.onset_ms, row.apex_ms, row.offset_ms)
    return [
        said_of(row.name),
        *(str(count) for count in (row.coder_events, row.other_events, row.matched)),
        *(_estimate(each) for each in estimates),
        *(NOTHING if time is None else f"{time:.0f}" for time in times),
    ]


def _estimate(each: AgreementEstimate) -> str:
    if each.value is None:
        return NOTHING
    interval = "" if each.low is None or each.high is None else f" ({each.low:.2f} to {each.high:.2f})"
    return f"{each.value:.2f}{interval}".replace("-0.00", "0.00")


def _span(span: tuple[float, float] | None) -> str:
    return NOTHING if span is None else f"{span[0]:.2f} to {span[1]:.2f} s"


def _film_files(folder: Path) -> dict[str, Path]:
    return {path.stem.casefold(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _linker(names: dict[str, Path], page: Path | None) -> Callable[[Disagreement], str]:
    """A function from a disagreement to the address of its part of its film, empty where there is no such file."""

    def link(disagreement: Disagreement) -> str:
        path = names.get(Path(disagreement.film).stem.casefold())
        spans: Sequence[tuple[float, float]] = [s for s in (disagreement.coder, disagreement.other) if s]
        if path is None or not spans:
            return ""
        address = path.absolute().as_uri()
        if page is not None and path.absolute().is_relative_to(page.absolute().parent):
            address = quote(path.absolute().relative_to(page.absolute().parent).as_posix())
        # A media fragment (https://www.w3.org/TR/media-frags/): the player starts and stops there.
        start, end = max(min(s[0] for s in spans) - 0.5, 0.0), max(s[1] for s in spans) + 0.5
        return f"{address}#t={start:.2f},{end:.2f}"

    return link
