"""A report as one HTML page that is complete in itself: figures, pictures and animations are embedded."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import plotly.graph_objects as go
from jaxtyping import UInt8

from mexplain import __version__
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.explain.decision import VARIANT_NAMES, alternatives
from mexplain.language.listing import joined
from mexplain.language.message import Sentence, Written, percent, text
from mexplain.model.scorecard import Scorecard
from mexplain.records import NONE, AlignedClip, Report, VariantReport
from mexplain.report import wording
from mexplain.report.json_export import DISCLAIMER, write_report_text
from mexplain.report.movement_table import movement_table
from mexplain.report.templating import render
from mexplain.report.visuals.animation import Animation, AnimationOptions, heatmap_animation
from mexplain.report.visuals.block_bars import block_bars
from mexplain.report.visuals.heatmap_overlay import (
    Quantity,
    attention_face,
    attribution_face,
    block_values,
    pixel_face,
)
from mexplain.report.visuals.motion_magnification import magnified_animation
from mexplain.report.visuals.plots import (
    block_time_heatmap,
    evidence_curve,
    probability_bars,
)
from mexplain.report.visuals.unit_courses import unit_courses, unit_rows

MOTION = "motion"
# More than this is left out, so that the page can still be sent by mail.
MAX_ANIMATION_BYTES = 6_000_000
_JPEG_QUALITY = 88


def report_animations(report: Report, face: AlignedClip, crop_iod: float) -> dict[str, Animation]:
    """Animations of a report: the magnified motion (``MOTION``), and a heatmap for each variant by its name.

    A heatmap shows the variant's attention or, where it computes none, the pixel attribution of its first method.
    ``face`` holds the frames of the report, as from ``read_face``, ``crop_iod`` inter-ocular distances wide.
    """
    animations = {MOTION: magnified_animation(face, crop_iod)}
    for variant in report.variants:
        if _has_attention(variant):
            animations[variant.variant] = heatmap_animation(variant, face)
        elif variant.maps:
            options = AnimationOptions("pixels", next(iter(variant.maps)))
            animations[variant.variant] = heatmap_animation(variant, face, options)
    return animations


def to_html(
    report: Report, *, animations: Mapping[str, Animation] | None = None, scorecard: Scorecard | None = None
) -> str:
    """A report as the text of one HTML page.

    ``animations`` are those of ``report_animations``; what exceeds ``MAX_ANIMATION_BYTES`` is left out, and the page
    says so. ``scorecard`` holds the scores of the methods with these weights. The page names the clip's file without
    its folder.
    """
    videos = _videos(animations or {})
    methods = tuple(dict.fromkeys(method for variant in report.variants for method in variant.maps))
    plots = _PlotEmbedder()
    return (
        render(
            "mexplain.report",
            "report_page.html",
            report=report,
            clip=Path(report.info.path).name,
            prediction=report.summary,
            disclaimer=DISCLAIMER,
            evidence=report.evidence
            and plots.embed(
                evidence_curve(report), text("Evidence of an expression, of speech and of a blink over the clip")
            ),
            moments=[moment for moment, _ in wording.moment_choices(report)],
            motion=videos.get(MOTION),
            courses=plots.embed(unit_courses(report), text("How far each part of the face has moved, over time"))
            if unit_rows(report)
            else None,
            movements=movement_table(report, methods[0] if methods else ""),
            decisions=[_decision(variant, plots) for variant in report.variants],
            attention=[_attention(report, variant, videos, plots) for variant in report.variants],
            methods=[
                {
                    "name": METHODS[method].name,
                    "about": wording.about_method(method, report.baseline, scorecard),
                    "agreement": wording.agreement(report, method),
                    "variants": [_attribution(report, variant, method, videos, plots) for variant in report.variants],
                }
                for method in methods
            ],
            left_out=len(videos) < len(animations or {}),
            facts=_facts(report, methods),
        )
        + "\n"
    )


def write_html(
    report: Report,
    path: Path,
    *,
    animations: Mapping[str, Animation] | None = None,
    scorecard: Scorecard | None = None,
) -> None:
    """Write the page of ``to_html`` to a file atomically. Raises ``SettingError`` if it cannot be written."""
    write_report_text(to_html(report, animations=animations, scorecard=scorecard), path)


@dataclass(frozen=True)
class _Plot:
    """An interactive figure as HTML, and a text alternative."""

    html: str
    label: str


@dataclass(frozen=True)
class _Image:
    """A picture as a data URL; its caption is a sentence or, where that is empty, the strongest blocks with values."""

    source: str
    width: int
    height: int
    alt: str
    strongest: tuple[tuple[str, str], ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class _Video:
    """An MP4 and its poster as data URLs."""

    source: str
    poster: str
    width: int
    height: int
    alt: str


class _PlotEmbedder:
    """Numbers the figures of a page, and embeds plotly.js with the first of them alone."""

    def __init__(self) -> None:
        self.count = 0

    def embed(self, figure: go.Figure, label: str) -> _Plot:
        """HTML of a figure; ``label`` is its text alternative."""
        self.count += 1
        html = figure.to_html(
            full_html=False,
            div_id=f"figure-{self.count}",
            include_plotlyjs=self.count == 1,
            config={"displayModeBar": False, "responsive": True, "displaylogo": False},
        )
        return _Plot(html, label)


def _decision(variant: VariantReport, plots: _PlotEmbedder) -> dict[str, object]:
    label, title = variant.target or variant.label, _title(variant)
    shares = [text("{label} {share}", label=label, share=percent(p)) for label, p in variant.probabilities.items()]
    return {
        "title": title,
        "none_found": variant.label == NONE,
        "label": label,
        "probability": percent(variant.probabilities[label]),
        "alternatives": alternatives(variant) if label == variant.label else "",
        "presence": wording.presence(variant) if variant.units else "",
        "probabilities": plots.embed(
            probability_bars(variant), text("Probabilities, {variant}: {shares}", variant=title, shares=joined(shares))
        ),
    }


def _attention(
    report: Report, variant: VariantReport, videos: Mapping[str, _Video], plots: _PlotEmbedder
) -> dict[str, object]:
    title = _title(variant)
    if not _has_attention(variant):
        return {"title": title, "face": None}
    label = text("Attention of each block over time, {variant}; the table below has the numbers", variant=title)
    return {
        "title": title,
        "video": videos.get(variant.variant),
        "face": _block_image(attention_face(report, variant), variant, "attention", ""),
        "over_time": plots.embed(block_time_heatmap(report, variant, "attention"), label),
        "table": _table(variant),
    }


def _attribution(
    report: Report, variant: VariantReport, method: str, videos: Mapping[str, _Video], plots: _PlotEmbedder
) -> dict[str, object]:
    title, attends = _title(variant), _has_attention(variant)
    if method not in variant.maps:
        return {"title": title, "faces": []}
    faces = [_block_image(attribution_face(report, variant, method), variant, "attribution", method)]
    video = videos.get(variant.variant) if not attends and method == next(iter(variant.maps)) else None
    if not attends and video is None:
        alt = text("Face tinted pixel by pixel by what pushed the answer, {variant}", variant=title)
        caption = text("Pixel by pixel; added up in ten blocks below.")
        faces.insert(0, _image(pixel_face(report, variant, method), alt, caption=caption))
    label = text("What each block pushed over time, {variant}; the table has the numbers", variant=title)
    return {
        "title": title,
        "video": video,
        "faces": faces,
        "over_time": plots.embed(block_time_heatmap(report, variant, "attribution", method), label),
        "bars": _bars(variant, method, plots),
        "trust": wording.trust(variant, method) if method in variant.trust else "",
        "table": None if attends else _table(variant),
    }


def _bars(variant: VariantReport, method: str, plots: _PlotEmbedder) -> _Plot | None:
    """Bars of the scores with their intervals, if they have any."""
    figure = block_bars(variant, method)
    order = wording.block_order(variant, method)
    label = text("Score of each block with its interval, {variant}; {order}", variant=_title(variant), order=order)
    return None if figure is None else plots.embed(figure, label)


def _facts(report: Report, methods: tuple[str, ...]) -> dict[str, str]:
    info = report.info
    return {
        text("Clip"): text(
            "{width} x {height} px, {fps:.4g} frames a second, {duration:.2f} s",
            width=info.width,
            height=info.height,
            fps=info.fps,
            duration=info.duration_s,
        ),
        text("Weights"): report.checkpoint_id + (f", SHA-256 {sha256}" if (sha256 := report.checkpoint_sha256) else ""),
        text("Compared with"): BASELINES[report.baseline].name if report.baseline in BASELINES else report.baseline,
        text("Methods"): joined([METHODS[method].name for method in methods]) or text("attention alone"),
        text("Class explained"): joined(
            [
                text("{variant}: {label}", variant=VARIANT_NAMES[v.variant], label=v.target or v.label)
                for v in report.variants
            ],
            text("; "),
        ),
        text("Worked out"): text(
            "on {device}, in {seconds:.1f} s, by mexplain {version}",
            device=report.device,
            seconds=sum(report.elapsed_s.values()),
            version=__version__,
        ),
    }


def _title(variant: VariantReport) -> str:
    return Sentence(VARIANT_NAMES[variant.variant])


def _has_attention(variant: VariantReport) -> bool:
    return bool(variant.blocks) and all(block.attention is not None for block in variant.blocks)


def _videos(animations: Mapping[str, Animation]) -> dict[str, _Video]:
    """Encoded animations, as many as fit into ``MAX_ANIMATION_BYTES``, in order."""
    videos: dict[str, _Video] = {}
    remaining = MAX_ANIMATION_BYTES
    for name, animation in animations.items():
        mp4 = animation.mp4()
        if len(mp4) <= remaining:
            remaining -= len(mp4)
            height, width = animation.pictures.shape[1:3]
            poster = _jpeg(animation.pictures[animation.peak])
            videos[name] = _Video(_data_url("video/mp4", mp4), poster, width, height, animation.alt)
    return videos


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return _data_url("image/jpeg", data.tobytes())


def _image(
    picture: UInt8[np.ndarray, "h w 3"], alt: str, strongest: Iterable[tuple[str, str]] = (), caption: str = ""
) -> _Image:
    height, width = picture.shape[:2]
    return _Image(_jpeg(picture), width, height, alt, tuple(strongest), caption)


def _block_image(
    picture: UInt8[np.ndarray, "h w 3"], variant: VariantReport, quantity: Quantity, method: str
) -> _Image:
    strongest = wording.strongest_blocks(variant, quantity, method)
    blocks = [text("{block} {value}", block=name, value=value) for name, value in strongest]
    alt = text("Face tinted by what pushed the answer, {variant}; strongest: {blocks}")
    if quantity == "attention":
        alt = text("Face tinted by where the network looked, {variant}; strongest: {blocks}")
    alt = text(alt, variant=_title(variant), blocks=joined(blocks) or text("no block"))
    return _image(picture, alt, strongest)


def _table(variant: VariantReport) -> dict[str, list[str] | list[list[str]]]:
    """Head and rows of a table of all blocks: the most attention in any frame, and each method's attribution."""
    methods = [METHODS[method] for method in variant.maps]
    head, rows = [text("block")], [[block.name] for block in variant.blocks]
    if _has_attention(variant):
        head.append(text("attention (most)"))
        for row, value in zip(rows, block_values(variant, "attention").tolist(), strict=True):
            row.append(text("{value:.2f}", value=value))
    for method in methods:
        head.append(text("{method} ({unit})", method=method.name, unit=method.unit))
        for row, block in zip(rows, variant.blocks, strict=True):
            row.append(Written(f"{block.attribution[method.key]:{'+' if method.signed else ''}.3f}"))
    return {"head": head, "rows": rows}
