"""A report as one web page that needs nothing else: it opens from disk, and its figures answer to the pointer."""

import base64
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mexplain import __version__
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.model.scorecard import Scorecard
from mexplain.records import NONE, AlignedClip, Report, VariantReport
from mexplain.report import wording
from mexplain.report.json_export import DISCLAIMER, write_report_text
from mexplain.report.visuals.animation import Animation, AnimationOptions, heatmap_animation
from mexplain.report.visuals.heatmap_overlay import (
    Quantity,
    attention_face,
    attribution_face,
    block_values,
    pixel_face,
    top_blocks,
)
from mexplain.report.visuals.motion_magnification import magnified_animation
from mexplain.report.visuals.plots import (
    VARIANT_NAMES,
    block_time_heatmap,
    evidence_curve,
    percent,
    prediction_sentence,
    probability_bars,
)

MOTION = "motion"
# Films beyond this are left out, so that the page can still be sent by mail.
MOST_FILM_BYTES = 6_000_000
_JPEG = 88
_TITLES = {"24": "24 blocks", "10": "10 blocks", "uncropped": "Uncropped"}
# Whatever is in the page, a browser that shows it asks nobody for anything.
_POLICY = (
    "default-src 'none'; img-src data: blob:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


def films_of(report: Report, face: AlignedClip, crop_iod: float) -> dict[str, Animation]:
    """Return the films that go with a report: the motion magnified (``MOTION``), and each variant's heat.

    That is its attention, or where it has none what its pixels pushed. ``face`` is as from ``film.read_face``.
    """
    made = {MOTION: magnified_animation(face, crop_iod)}
    for variant in report.variants:
        if _has_attention(variant):
            made[variant.variant] = heatmap_animation(variant, face)
        elif variant.maps:
            made[variant.variant] = heatmap_animation(
                variant, face, AnimationOptions("pixels", next(iter(variant.maps)))
            )
    return made


def to_html(report: Report, *, films: Mapping[str, Animation] | None = None, scorecard: Scorecard | None = None) -> str:
    """Return a report as one web page, complete in itself: figures, pictures and films are in it.

    ``films`` are as from ``films_of``; those that would make the page too large to send are left out, and it says so.
    ``scorecard`` is what is known of the methods with these weights. The clip's name is shown, not where it lies.
    """
    page = _Page()
    embedded, left_out = _embedded(films or {})
    methods = tuple(dict.fromkeys(method for variant in report.variants for method in variant.maps))
    parts = [_top(report), _moments(report, page)]
    if MOTION in embedded:
        parts.append(
            "<section><h2>What moved</h2><p>A micro-expression is over before an eye has seen it. Here it is slowed "
            f"down, and its motion made larger.</p>{embedded[MOTION]}</section>"
        )
    parts.append("<h2>What each variant decided</h2>" + _columns(report, lambda v: _decided(v, page)))
    parts.append(
        "<h2>Where it looked</h2><p>Attention is what the network itself computed: the weight that its gates gave "
        "each block. A high weight says that it looked there, not that it mattered.</p>"
        + _columns(report, lambda v: _looked(report, v, embedded, page))
    )
    for method in methods:
        parts.append(
            f"<h2>What pushed the answer: {escape(METHODS[method].name)}</h2>"
            f"{wording.about_method(method, report.baseline, scorecard)}{wording.agreement(report, method)}"
            + _columns(report, lambda v, method=method: _pushed(report, v, method, embedded, page))
        )
    if left_out:
        parts.append("<p class='soft'>Films were left out of this page, for they would make it too large to send.</p>")
    parts.append(_foot(report, methods))
    title = f"{escape(Path(report.info.path).name)}: what the network saw"
    style = (files("mexplain.report") / "templates" / "page.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{_POLICY}"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,"><title>{title}</title>'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def write_html(
    report: Report, path: Path, *, films: Mapping[str, Animation] | None = None, scorecard: Scorecard | None = None
) -> None:
    """Write ``to_html(report)`` to a file, whole or not at all; raises ``SettingError`` if it cannot be written."""
    write_report_text(to_html(report, films=films, scorecard=scorecard), path)


class _Page:
    """Gives figures their places, and plotly.js to the first of them alone."""

    def __init__(self) -> None:
        self.figures = 0

    def figure(self, figure, label: str) -> str:
        """Return a figure for the page, with words for those who cannot see it."""
        self.figures += 1
        drawn = figure.to_html(
            full_html=False,
            div_id=f"figure-{self.figures}",
            include_plotlyjs=self.figures == 1,
            config={"displayModeBar": False, "responsive": True, "displaylogo": False},
        )
        return f"<figure role='group' aria-label='{escape(label)}'>{drawn}</figure>"


def _top(report: Report) -> str:
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in report.notes)
    start, end = report.window_s
    return (
        f"<p class='eyebrow'>mexplain: what a micro-expression recogniser saw, and why</p>"
        f"<h1>{escape(prediction_sentence(report))}</h1>"
        f"<p class='soft'>{escape(Path(report.info.path).name)}, {start:.2f} to {end:.2f} s, "
        f"{len(report.times_s)} frames</p><p class='warning'>{escape(DISCLAIMER)}</p>{notes}"
    )


def _moments(report: Report, page: _Page) -> str:
    if report.evidence is None:
        return ""
    lines = "".join(f"<li>{escape(name)}</li>" for name, _ in wording.moment_choices(report))
    curve = page.figure(evidence_curve(report), "Evidence of an expression and of a blink over the whole clip")
    found = f"<ol>{lines}</ol>" if lines else "<p>No moment was found.</p>"
    return f"<h2>When something happened</h2>{curve}{found}"


def _columns(report: Report, fill) -> str:
    made = (f"<section><h3>{_TITLES[v.variant]}</h3>{fill(v)}</section>" for v in report.variants)
    return f"<div class='columns' style='--count: {len(report.variants)}'>{''.join(made)}</div>"


def _decided(variant: VariantReport, page: _Page) -> str:
    name, share = variant.target or variant.label, percent(variant.probabilities[variant.target or variant.label])
    if variant.label == NONE:
        verdict = f"<strong>none found</strong> <span>likeliest: {escape(name)}, {escape(share)}</span>"
    else:
        verdict = f"<strong>{escape(name)}</strong> <span>{escape(share)}</span>"
    told = ", ".join(f"{label} {percent(value)}" for label, value in variant.probabilities.items())
    bars = page.figure(probability_bars(variant), f"Probabilities, {_TITLES[variant.variant]}: {told}")
    return f"<p class='verdict'>{verdict}</p>{wording.presence(variant)}{bars}"


def _looked(report: Report, variant: VariantReport, films: Mapping[str, str], page: _Page) -> str:
    if not _has_attention(variant):
        return "<p>This variant has no blocks: it sees the face as a whole and computes no attention.</p>"
    face = _picture(attention_face(report, variant), _alt(variant, "attention", ""), _key(variant, "attention", ""))
    label = f"Attention of each block over time, {_TITLES[variant.variant]}; the table below has the numbers"
    heat = page.figure(block_time_heatmap(report, variant, "attention"), label)
    return f"{films.get(variant.variant, '')}{face}{heat}{_table(variant)}"


def _pushed(report: Report, variant: VariantReport, method: str, films: Mapping[str, str], page: _Page) -> str:
    if method not in variant.maps:
        return "<p>Not asked.</p>"
    alt, key = _alt(variant, "attribution", method), _key(variant, "attribution", method)
    faces = [_picture(attribution_face(report, variant, method), alt, key)]
    if not _has_attention(variant):
        words = f"Face tinted pixel by pixel by what pushed the answer, {_TITLES[variant.variant]}"
        pixels = _picture(pixel_face(report, variant, method), words, "Pixel by pixel; added up in ten blocks below.")
        film = films.get(variant.variant, "") if method == next(iter(variant.maps)) else ""
        faces = [film or pixels, *faces]
    label = f"What each block pushed over time, {_TITLES[variant.variant]}; the table has the numbers"
    heat = page.figure(block_time_heatmap(report, variant, "attribution", method), label)
    checked = wording.trust(variant, method) if method in variant.trust else ""
    table = "" if _has_attention(variant) else _table(variant)
    return f"{''.join(faces)}{heat}{checked}{table}"


def _foot(report: Report, methods: tuple[str, ...]) -> str:
    facts = {
        "Clip": f"{report.info.width} x {report.info.height} px, {report.info.fps:.4g} frames a second, "
        f"{report.info.duration_s:.2f} s",
        "Weights": f"{report.checkpoint_id}, SHA-256 {report.checkpoint_sha256}",
        "Compared with": BASELINES[report.baseline].name if report.baseline in BASELINES else report.baseline,
        "Methods": ", ".join(METHODS[method].name for method in methods) or "attention alone",
        "Class explained": "; ".join(f"{VARIANT_NAMES[v.variant]}: {v.target or v.label}" for v in report.variants),
        "Worked out": f"on {report.device}, in {sum(report.elapsed_s.values()):.1f} s, by mexplain {__version__}",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        f"<h2>How this was made</h2><dl>{rows}</dl><p class='soft'>Left and right are the person's own. The shipped "
        "weights learned from simulated expressions. This page loads nothing and sends nothing.</p>"
    )


def _has_attention(variant: VariantReport) -> bool:
    return bool(variant.blocks) and all(block.attention is not None for block in variant.blocks)


def _embedded(films: Mapping[str, Animation]) -> tuple[dict[str, str], bool]:
    """Return films as the page shows them, as many as fit, and whether any did not."""
    kept: dict[str, str] = {}
    room = MOST_FILM_BYTES
    for name, film in films.items():
        data = film.mp4()
        if len(data) <= room:
            kept[name], room = _video(film, data), room - len(data)
    return kept, len(kept) < len(films)


def _video(film: Animation, data: bytes) -> str:
    source = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
    height, width = film.pictures.shape[1:3]
    return (
        f"<figure><video controls loop muted playsinline width='{width}' height='{height}' "
        f"poster='{_jpeg(film.pictures[film.peak])}' aria-label='{escape(film.alt)}' src='{source}'></video>"
        f"<figcaption>{escape(film.alt)}</figcaption></figure>"
    )


def _jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _picture(picture: UInt8[np.ndarray, "h w 3"], alt: str, caption: str) -> str:
    height, width = picture.shape[:2]
    return (
        f"<figure><img src='{_jpeg(picture)}' width='{width}' height='{height}' alt='{escape(alt)}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _told(variant: VariantReport, quantity: Quantity, method: str) -> list[tuple[str, str]]:
    sign = "+" if quantity == "attribution" and METHODS[method].signed else ""
    return [(block.name, f"{value:{sign}.3g}") for block, value in top_blocks(variant, quantity, method)]


def _alt(variant: VariantReport, quantity: Quantity, method: str) -> str:
    what = "where the network looked" if quantity == "attention" else "what pushed the answer"
    told = ", ".join(f"{name} {value}" for name, value in _told(variant, quantity, method))
    return f"Face tinted by {what}, {_TITLES[variant.variant]}; strongest: {told or 'no block'}"


def _key(variant: VariantReport, quantity: Quantity, method: str) -> str:
    lines = (f"<li>{escape(name)} <b>{value}</b></li>" for name, value in _told(variant, quantity, method))
    return f"<ol>{made}</ol>" if (made := "".join(lines)) else "No block made a difference that could be seen."


def _table(variant: VariantReport) -> str:
    """Return every block's numbers, folded away."""
    methods = list(variant.maps)
    head = ["block", *(["attention (most)"] if _has_attention(variant) else [])]
    head += [f"{METHODS[method].name} ({METHODS[method].unit})" for method in methods]
    strongest = block_values(variant, "attention").tolist() if _has_attention(variant) else None
    rows = []
    for number, block in enumerate(variant.blocks):
        cells = [block.name, *([f"{strongest[number]:.2f}"] if strongest else [])]
        cells += [f"{block.attribution[method]:{'+' if METHODS[method].signed else ''}.3f}" for method in methods]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    titles = "".join(f"<th scope='col'>{escape(title)}</th>" for title in head)
    return (
        f"<details><summary>All blocks in numbers</summary><div class='scroll' tabindex='0'><table><thead><tr>{titles}"
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )
