"""The index page of an archive, and the pages that show its clips one beside the other."""

import html
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mexplain.batch.checkpoint_drift import Drift, measure_drift
from mexplain.batch.outliers import Outlier, outliers
from mexplain.batch.parquet import read_clips
from mexplain.batch.runner import read_settings, thumbnail_path
from mexplain.batch.summary import FEWEST, Summary, summarise_rows
from mexplain.batch.svg_figure import drive_figure
from mexplain.media.files import write_text
from mexplain.report.json_export import DISCLAIMER

INDEX, CLIPS_A_PAGE = "index.html", 60
_SHOWN_LABELS = 6
# A probability that changes less is the same to a reader.
_TOLD_CHANGE = 0.005
_COLUMNS = ("subject", "variant", "label", "presence", "probabilities", "attention", "block_scores", "failed_checks")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1f2937;background:#fff;max-width:1200px;margin:1rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin:2.2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .2rem}
.wide{overflow-x:auto}table{border-collapse:collapse}td,th{padding:.25rem .7rem .25rem 0;text-align:left;
border-bottom:1px solid #e5e7eb;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:1rem 1.5rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:1rem}
.card img,.card .none{width:100%;aspect-ratio:1;border-radius:6px;background:#f3f4f6;display:block}
.card{font-size:.85rem;overflow-wrap:anywhere}figure{margin:0}figcaption{font-weight:600}svg{width:100%;height:auto}
.quiet{color:#4b5563}.note{border-left:4px solid #b45309;padding:.2rem 0 .2rem .8rem;margin:1rem 0}
code{overflow-wrap:anywhere}nav a{margin-right:1rem;display:inline-block}
"""


def write_index(out: Path, other: Path | None = None) -> Path:
    """Write ``index.html`` and the pages of clips from the table at ``out``, and return the first.

    ``other`` is an archive of the same clips by another checkpoint, to compare with. Raises ``SettingError`` if a
    folder holds no archive.
    """
    settings = read_settings(out)
    quantity = settings["methods"][0] if settings["methods"] else "attention"
    columns = (*_COLUMNS, "error")
    summary = summarise_rows(read_clips(out, columns), quantity)
    unlike, split = outliers(read_clips(out, columns), summary)
    drift = None
    if other is not None:
        before = read_settings(other)
        drift = measure_drift(lambda: read_clips(out, columns), lambda: read_clips(other, columns), quantity)
    pages = _write_clip_pages(out)
    parts = [
        f"<h1>{summary.clips} clips explained</h1>{_facts(settings, summary)}<p class=note>{_text(DISCLAIMER)}</p>",
        f"<nav>{''.join(f'<a href={href}>{text}</a>' for href, text in _contents(drift, pages))}</nav>",
        _answers(summary),
        _drives(summary),
        "" if drift is None else _drift(drift, settings, before),
        _outliers("Look at these: unlike others of their label", "unlike", unlike),
        _outliers("Look at these: the variants disagree", "split", split),
        _failures(summary),
    ]
    write_text(out / INDEX, _page("Archive", "".join(parts)))
    return out / INDEX


def _facts(settings: dict[str, Any], summary: Summary) -> str:
    where = settings["checkpoint"]
    weights = where if "@" in where else Path(where).name
    methods = ", ".join(settings["methods"]) or "none (attention alone)"
    sound = sum(summary.failed_checks.values())
    answers = sum(sum(labels.values()) for labels in summary.labels.values())
    lines = [
        f"{summary.clips - summary.failed} have an answer, <a href=#failed>{summary.failed} have none</a>.",
        f"Weights: <code>{_text(weights)}</code>, SHA-256 <code>{settings['sha256'][:12]}</code>. "
        f"Methods: {_text(methods)}. Compared with: {_text(settings['baseline'])}.",
        "The table is in <code>clips/*.parquet</code>: a row for each clip and variant.",
    ]
    if settings["methods"]:
        lines.append(
            f"{sound} of {answers} explanations failed a test at least (column <code>failed_checks</code>); "
            "the figures below count them all."
        )
    return "".join(f"<p>{line}</p>" for line in lines)


def _contents(drift: Drift | None, pages: int) -> list[tuple[str, str]]:
    links = [("#answers", "Answers"), ("#drives", "Blocks")]
    links += [] if drift is None else [("#drift", "Drift")]
    links += [("#unlike", "Unlike others"), ("#split", "Disagreements"), ("#failed", "No answer")]
    return [*links, *([(_clip_page(1), "All clips")] if pages else [])]


def _answers(summary: Summary) -> str:
    labels = sorted({label for counts in summary.labels.values() for label in counts})
    rows = [
        [_text(variant), *(f"{counts[label]}" for label in labels)]
        for variant, counts in sorted(summary.labels.items())
    ]
    return (
        f"<h2 id=answers>Answers</h2><p>How many clips got each label. In {summary.disagree} the variants "
        f"disagree.</p>{_table(['variant', *map(_text, labels)], rows)}"
    )


def _drives(summary: Summary) -> str:
    if summary.quantity == "attention":
        title = "Where attention lies, by class"
        what = "mean of the most attention each block got in any frame. It need not be what the answer rests on"
    else:
        title = "Which blocks drive which class"
        what = "mean of the logits each block adds, strongest first. A block can drive an answer that is wrong"
    text = (
        f"<h2 id=drives>{title}</h2><p>For the clips that got a label: {what}. Bars are 95 % intervals from drawing "
        f"people anew where the archive says who is seen, else clips; fewer than {FEWEST} of them have none.</p>"
    )
    shown: dict[str, list[str]] = {}
    for found in summary.drives():
        title = f"{found.label} ({found.clips} clips)"
        figures = shown.setdefault(found.variant, [])
        if len(figures) < _SHOWN_LABELS:
            figures.append(drive_figure(title, found.drives))
    for variant, figures in shown.items():
        text += f"<h3>Variant {_text(variant)}</h3><div class=grid>{''.join(figures)}</div>"
    return text if shown else text + "<p class=quiet>No clip has an answer yet.</p>"


def _drift(drift: Drift, settings: dict[str, Any], before: dict[str, Any]) -> str:
    text = (
        f"<h2 id=drift>Drift</h2><p>The same clips by weights <code>{before['sha256'][:12]}</code> before, and "
        f"<code>{settings['sha256'][:12]}</code> now; {drift.alone} clips are in one of the archives alone. "
        f"Bars: change of the mean, with 95 % intervals.</p>"
    )
    rows = []
    for variant, found in sorted(drift.variants.items()):
        most = [(pair, n) for pair, n in found.labels.most_common() if pair[0] != pair[1]][:3]
        moves = ", ".join(f"{_text(a)} to {_text(b)} ({n})" for (a, b), n in most) or "-"
        rows.append(
            [_text(variant), f"{found.clips}", f"{found.changed:.1%}", f"{found.moved / found.clips:.4f}", moves]
        )
    text += _table(["variant", "clips", "other label", "mean change of a probability", "most often"], rows)
    figures = [
        drive_figure(f"Variant {variant} ({found.clips} clips)", found.drives())
        for variant, found in sorted(drift.variants.items())
        if found.blocks
    ]
    text += f"<div class=grid>{''.join(figures)}</div>"
    changed = [clip for clip in drift.most if clip.oddness > _TOLD_CHANGE]
    return text + (f"<h3>Changed most</h3>{_cards(changed)}" if changed else "<p class=quiet>No answer changed.</p>")


def _outliers(title: str, anchor: str, found: Sequence[Outlier]) -> str:
    return f"<h2 id={anchor}>{title}</h2>" + (_cards(found) if found else "<p class=quiet>None.</p>")


def _cards(found: Sequence[Outlier]) -> str:
    return f"<div class=cards>{''.join(_card(o.clip, o.sha256, _text(o.why)) for o in found)}</div>"


def _card(clip: str, sha256: str, said: str) -> str:
    picture = f'<img src="{thumbnail_path(sha256)}" alt="" loading="lazy">'
    return f"<div class=card>{picture}<b>{_text(clip)}</b><br>{said}</div>"


def _failures(summary: Summary) -> str:
    text = f"<h2 id=failed>No answer</h2><p>{summary.failed} clips have no answer"
    if summary.failed > len(summary.failures):
        text += f"; the first {len(summary.failures)} follow, all are in the table (column <code>error</code>)"
    return f"{text}.</p>" + (
        _table(["clip", "reason"], [[_text(clip), _text(why)] for clip, why in summary.failures])
        if summary.failed
        else ""
    )


def _write_clip_pages(out: Path) -> int:
    """Write pages of some dozen clips each, and return how many there are."""
    clips = read_clips(out, ("variant", "label", "presence", "probabilities", "moment", "error"))
    cards = (_clip_card(rows) for rows in clips if rows[0]["error"] is None)
    number, shown = 0, list(islice(cards, CLIPS_A_PAGE))
    while shown:
        number, after = number + 1, list(islice(cards, CLIPS_A_PAGE))
        links = [(INDEX, "Archive")]
        links += [(_clip_page(number - 1), "Before")] if number > 1 else []
        links += [(_clip_page(number + 1), "After")] if after else []
        nav = f"<nav>{''.join(f'<a href={href}>{text}</a>' for href, text in links)}</nav>"
        body = f"<h1>Clips, page {number}</h1>{nav}<div class=cards>{''.join(shown)}</div>{nav}"
        write_text(out / _clip_page(number), _page(f"Clips, page {number}", body))
        shown = after
    for path in out.glob("clips-*.html"):
        # Those of a longer run before.
        if int(path.stem.partition("-")[2]) > number:
            path.unlink()
    return number


def _clip_page(number: int) -> str:
    return f"clips-{number:05d}.html"


def _clip_card(rows: Sequence[dict[str, Any]]) -> str:
    said = [
        f"{_text(row['label'])} ({row['probabilities'].get(row['label'], 1 - row['presence']):.2f}) "
        f"<span class=quiet>[{_text(row['variant'])}]</span>"
        for row in rows
    ]
    moment = rows[0]["moment"]
    if moment is not None:
        said.append(f"<span class=quiet>{moment['onset_s']:.2f} to {moment['offset_s']:.2f} s</span>")
    return _card(rows[0]["clip"], rows[0]["sha256"], "<br>".join(said))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<div class=wide><table>{''.join(lines)}</table></div>"


def _text(value: str) -> str:
    return html.escape(value)


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style>{body}</html>\n"
    )
