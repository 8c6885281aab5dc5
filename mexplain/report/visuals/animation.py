"""A clip as a slow film with what a Report says of each frame: heat, blocks, and what the colours mean."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.face.blocks import layout
from mexplain.face.extraction import read_aligned
from mexplain.media.sandbox import client
from mexplain.media.video import write_video
from mexplain.model.config import ModelConfig
from mexplain.records import AlignedClip, Report, VariantReport
from mexplain.report.visuals.annotations import colour_bar, time_bars
from mexplain.report.visuals.heatmap_overlay import (
    MIN_EVIDENCE,
    Quantity,
    block_values,
    block_weights,
    check_method,
    in_grey,
    tint,
    top_blocks,
    with_outlines,
)

SIZE = 360
# As good as the eye can tell, at a tenth of the bytes that measuring would need.
CRF = 20
_BETWEEN = 2  # pictures shown between two frames
_SLOWER, _LEAST_S, _MOST_S = 8, 3.0, 6.0
_BLUR = 0.02  # of the picture's side, as in the still pictures
_TITLES = {"24": "24 blocks", "10": "10 blocks", "uncropped": "Uncropped"}

SHOWN = ("attention", "blocks", "pixels")


@dataclass(frozen=True)
class AnimationOptions:
    """What a film shows, and how.

    ``shown`` is the attention of the blocks, their scores, or those of the pixels; the last two by ``method``. With
    ``magnitude``, what speaks for and what speaks against the class look alike. ``opacity`` (0..1) fades it.
    """

    shown: str = "attention"
    method: str = "integrated_gradients"
    magnitude: bool = False
    opacity: float = 1.0

    def __post_init__(self) -> None:
        if self.shown not in SHOWN:
            raise SettingError(f"A film shows {', '.join(SHOWN[:-1])} or {SHOWN[-1]}; got {self.shown!r}.")
        if self.method not in METHODS:
            raise SettingError(f"Method must be one of {', '.join(METHODS)}; got {self.method!r}.")
        if not 0 <= self.opacity <= 1:
            raise SettingError(f"Opacity must lie between 0 and 1; got {self.opacity:g}.")


@dataclass(frozen=True)
class Animation:
    """Pictures (RGB) at a steady rate, and what they show, in a sentence that stands in for them.

    ``peak`` is the picture that shows most, for the time before anyone presses play.
    """

    pictures: UInt8[np.ndarray, "n h w 3"]
    fps: float
    alt: str
    peak: int

    def write(self, path: Path) -> None:
        """Write an H.264 mp4 that every browser plays; raises ``ClipError`` if it cannot be written."""
        write_video(path, self.pictures, self.fps, crf=CRF, fast=True)

    def mp4(self) -> bytes:
        """Return such a file's bytes, without touching the disk."""
        written = BytesIO()
        write_video(written, self.pictures, self.fps, crf=CRF, fast=True)
        return written.getvalue()


def read_face(report: Report, config: ModelConfig, size: int = SIZE) -> AlignedClip:
    """Return the frames that a report is about, read and aligned anew, ``size`` px a side: large enough to look at.

    Raises ``ClipError`` or ``FaceError`` where the clip is no longer there or no longer the same.
    """
    path, count = Path(report.info.path), len(report.times_s)
    _, _, (face,) = client.call(
        read_aligned, path, *report.window_s, frames=count, sizes=(size,), crop_iod=config.crop_iod, name=path.name
    )
    return face


def heatmap_animation(variant: VariantReport, face: AlignedClip, look: AnimationOptions | None = None) -> Animation:
    """Return the aligned face with its heat in each frame, its blocks drawn, and a legend over it.

    ``face`` holds the frames that the report is about, as from ``read_face``; pictures between two of them are blends
    of both. Colours mean the same in all frames: attention from 0 to 1, scores up to the largest in any frame,
    symmetric around zero. The three strongest blocks of the whole clip are outlined and numbered.

    Raises ``SettingError`` for attention where the variant computes none, a method that was not run, or another number
    of frames than the report has.
    """
    look = look or AnimationOptions()
    quantity: Quantity = "attention" if look.shown == "attention" else "attribution"
    signed = quantity == "attribution" and METHODS[look.method].signed and not look.magnitude
    size = face.frames.shape[1]
    if look.shown == "pixels":
        heat, limit = _pixel_heat(variant, look.method, size)
        inside = np.ones((size, size), np.float32)
    else:
        values, limit = _block_values_over_time(variant, look)
        weights, inside = _small_weights(variant, size)
        heat = np.stack([_grown(one, size) for one in np.tensordot(values / limit, weights, 1)])
    if len(heat) != len(face.frames):
        raise SettingError(f"The report is about {len(heat)} frames, so as many were expected; got {len(face.frames)}.")
    grey = np.stack([in_grey(frame, size) for frame in face.frames])
    pictures = tint(grey, heat if signed or quantity == "attention" else np.abs(heat), inside, quantity, look.opacity)
    if look.shown != "pixels" or len(layout(variant.variant)):
        ranked = [variant.blocks.index(block) for block, _ in top_blocks(variant, quantity, look.method)]
        pictures = with_outlines(pictures, _boxes(variant), ranked)
    title, unit = _words(variant, look, signed)
    strip = colour_bar(size, title, quantity, (-limit if signed else 0.0, limit), unit=unit, opacity=look.opacity)
    peak = int(np.abs(heat).mean(axis=(1, 2)).argmax())
    return compose_animation(
        interpolate_frames(pictures), strip, face.times_s, f"The face, slowed down. {title}.", peak
    )


def picture_positions(frames: int) -> Float[np.ndarray, "n"]:
    """Return where between the frames (0 to ``frames`` - 1) each picture of a film lies."""
    return np.arange((frames - 1) * (_BETWEEN + 1) + 1) / (_BETWEEN + 1)


def interpolate_frames(pictures: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Return the pictures of all ``steps``: frames, and blends of two neighbours."""
    places = picture_positions(len(pictures))
    first = np.minimum(places.astype(int), len(pictures) - 2)
    blended = [
        cv2.addWeighted(pictures[i], 1 - share, pictures[i + 1], share, 0)
        for i, share in zip(first.tolist(), (places - first).tolist(), strict=True)
    ]
    return np.stack(blended)


def compose_animation(
    pictures: UInt8[np.ndarray, "n h w 3"],
    strip: UInt8[np.ndarray, "p w 3"],
    times_s: Float[np.ndarray, "t"],
    alt: str,
    peak: int,
) -> Animation:
    """Return the pictures of all ``steps`` with a strip over and a clock under them, slow enough to be looked at.

    ``peak`` is the frame that shows most.
    """
    lasts = float(times_s[-1] - times_s[0])
    shown_s = float(np.clip(_SLOWER * lasts, _LEAST_S, _MOST_S))
    below = time_bars(times_s, pictures.shape[2], shown_s / max(lasts, 1e-9))[
        picture_positions(len(times_s)).round().astype(int)
    ]
    legend = np.broadcast_to(strip, (len(pictures), *strip.shape))
    # A player's buttons cover the lower edge, so what colours mean stands above.
    film = np.concatenate([legend, pictures, below], axis=1)
    return Animation(film, len(pictures) / shown_s, alt, peak * (_BETWEEN + 1))


def _block_values_over_time(variant: VariantReport, look: AnimationOptions) -> tuple[Float[np.ndarray, "t n"], float]:
    """Return what each block is coloured by in each frame, and the value that gets the full colour."""
    if look.shown == "attention":
        block_values(variant, "attention")
        return np.array([block.attention for block in variant.blocks], np.float32).T, 1.0
    check_method(variant, look.method)
    over_time = np.array([block.attribution_over_time[look.method] for block in variant.blocks], np.float32).T
    if not METHODS[look.method].tells_when:
        over_time = np.repeat(over_time.sum(axis=0, keepdims=True), len(over_time), axis=0)
    return over_time, max(float(np.abs(over_time).max()), MIN_EVIDENCE)


def _pixel_heat(variant: VariantReport, method: str, size: int) -> tuple[Float[np.ndarray, "t {size} {size}"], float]:
    """Return each pixel's value over the largest, -1..1, and that largest one, smoothed as in the still pictures."""
    check_method(variant, method)
    maps = variant.maps[method]
    if not METHODS[method].tells_when:
        maps = np.repeat(maps.sum(axis=0, keepdims=True), len(maps), axis=0)
    sigma = _BLUR * maps.shape[-1]
    smooth = np.stack([cv2.GaussianBlur(m, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) for m in maps])
    limit = max(float(np.quantile(np.abs(smooth), 0.999)), MIN_EVIDENCE / (2 * np.pi * sigma**2))
    return np.stack([_grown(one / limit, size) for one in smooth]), limit


def _small_weights(
    variant: VariantReport, size: int
) -> tuple[Float[np.ndarray, "n h h"], Float[np.ndarray, "{size} {size}"]]:
    # Half as fine: heat is smooth, and there may be 24 blocks of it.
    weights, inside = block_weights(_boxes(variant), size // 2)
    return weights, _grown(inside, size)


def _boxes(variant: VariantReport) -> Float[np.ndarray, "n 4"]:
    return np.array([block.crop_xyxy for block in variant.blocks], np.float32)


def _words(variant: VariantReport, look: AnimationOptions, signed: bool) -> tuple[str, str]:
    """Return what is shown of which variant, and the unit of its colours."""
    name = _TITLES[variant.variant]
    if look.shown == "attention":
        return f"{name}: where it looked (attention)", ""
    method, target = METHODS[look.method], variant.target or variant.label
    what = f"what pushed “{target}”" if signed else f"what mattered for “{target}”"
    each = " a pixel" if look.shown == "pixels" else " a frame" if method.tells_when else ""
    return f"{name}: {what} ({method.name})", method.unit + each


def _grown(picture: Float[np.ndarray, "h h"], size: int) -> Float[np.ndarray, "{size} {size}"]:
    return cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
