"""Slow-motion animations of the aligned face, with a heatmap for each frame, the blocks, and a legend."""

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
from mexplain.language.message import text
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
_BLENDS = 2  # pictures shown between two frames
_SLOWDOWN, _MIN_S, _MAX_S = 8, 3.0, 6.0
_BLUR = 0.02  # of the picture's side, as in the still pictures
_TITLES = {"24": text("24 blocks"), "10": text("10 blocks"), "uncropped": text("Uncropped")}

SHOWN = ("attention", "blocks", "pixels")


@dataclass(frozen=True)
class AnimationOptions:
    """What a heatmap animation shows.

    ``shown`` is "attention" of the blocks, or the attribution of "blocks" or "pixels" by ``method``. With
    ``magnitude``, positive and negative attribution have the same colour. ``opacity`` lies in 0..1. Raises
    ``SettingError`` for values out of range.
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
    """RGB pictures at a constant rate of ``fps``; ``alt`` is a text alternative.

    ``peak`` is the number of the picture that shows most: the poster until a viewer presses play. ``times_s`` are the
    times of the pictures in the clip, in seconds, or empty where the animation is not about one.
    """

    pictures: UInt8[np.ndarray, "n h w 3"]
    fps: float
    alt: str
    peak: int
    times_s: tuple[float, ...] = ()

    def write(self, path: Path) -> None:
        """Write an H.264 mp4 that every browser plays; raises ``ClipError`` if it cannot be written."""
        write_video(path, self.pictures, self.fps, crf=CRF, fast=True)

    def mp4(self) -> bytes:
        """Bytes of an H.264 mp4, encoded in memory."""
        written = BytesIO()
        write_video(written, self.pictures, self.fps, crf=CRF, fast=True)
        return written.getvalue()


def read_face(report: Report, config: ModelConfig, size: int = SIZE) -> AlignedClip:
    """Frames of a report's window as a network of a config sees them; errors of ``read_face_of``."""
    return read_face_of(report, config.crop_iod, size)


def read_face_of(report: Report, crop_iod: float, size: int = SIZE) -> AlignedClip:
    """Frames of a report's window, read from the clip again and aligned to ``size`` px a side.

    They are ``crop_iod`` inter-ocular distances wide. Raises ``ClipError`` or ``FaceError`` where the clip is no longer
    there or no longer the same.
    """
    path, count = Path(report.info.path), len(report.times_s)
    sizes, fps = (size,), report.info.camera_fps
    face: AlignedClip
    _, _, (face,) = client.call(
        read_aligned, path, *report.window_s, frames=count, sizes=sizes, crop_iod=crop_iod, fps=fps, name=path.name
    )
    return face


def heatmap_animation(variant: VariantReport, face: AlignedClip, options: AnimationOptions | None = None) -> Animation:
    """The aligned face with a heatmap in each frame, outlined blocks, and a legend above.

    ``face`` holds the frames of the report's window, as from ``read_face``; pictures between two frames are blends of
    both. Colours mean the same in all frames: attention from 0 to 1, scores up to the largest in any frame,
    symmetric around zero. The three strongest blocks of the whole clip are outlined and numbered.

    Raises ``SettingError`` for attention where the variant computes none, a method that was not run, or another number
    of frames than the report has.
    """
    options = options or AnimationOptions()
    quantity: Quantity = "attention" if options.shown == "attention" else "attribution"
    signed = quantity == "attribution" and METHODS[options.method].signed and not options.magnitude
    size = face.frames.shape[1]
    if options.shown == "pixels":
        heat, limit = _pixel_heat(variant, options.method, size)
        inside = np.ones((size, size), np.float32)
    else:
        values, limit = _block_values_over_time(variant, options)
        weights, inside = _small_weights(variant, size)
        heat = np.stack([_enlarge(weighted, size) for weighted in np.tensordot(values / limit, weights, 1)])
    if len(heat) != len(face.frames):
        raise SettingError(f"The report is about {len(heat)} frames, so as many were expected; got {len(face.frames)}.")
    grey = np.stack([in_grey(frame, size) for frame in face.frames])
    pictures = tint(
        grey, heat if signed or quantity == "attention" else np.abs(heat), inside, quantity, options.opacity
    )
    if options.shown != "pixels" or len(layout(variant.variant)):
        ranked = [variant.blocks.index(block) for block, _ in top_blocks(variant, quantity, options.method)]
        pictures = with_outlines(pictures, _boxes(variant), ranked)
    title, unit = _title_and_unit(variant, options, signed)
    legend = colour_bar(size, title, quantity, (-limit if signed else 0.0, limit), unit=unit, opacity=options.opacity)
    peak = int(np.abs(heat).mean(axis=(1, 2)).argmax())
    return compose_animation(
        interpolate_frames(pictures), legend, face.times_s, text("The face, slowed down. {title}.", title=title), peak
    )


def picture_positions(frames: int) -> Float[np.ndarray, "n"]:
    """Position of each picture of an animation among the frames, from 0 to ``frames`` - 1."""
    return np.arange((frames - 1) * (_BLENDS + 1) + 1) / (_BLENDS + 1)


def interpolate_frames(pictures: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Pictures at all ``picture_positions``: frames, and blends of two neighbours."""
    positions = picture_positions(len(pictures))
    first = np.minimum(positions.astype(int), len(pictures) - 2)
    blended = [
        cv2.addWeighted(pictures[i], 1 - share, pictures[i + 1], share, 0)
        for i, share in zip(first.tolist(), (positions - first).tolist(), strict=True)
    ]
    return np.stack(blended)


def compose_animation(
    pictures: UInt8[np.ndarray, "n h w 3"],
    legend: UInt8[np.ndarray, "p w 3"],
    times_s: Float[np.ndarray, "t"],
    alt: str,
    peak: int,
) -> Animation:
    """An animation of 3 to 6 s: ``pictures`` at all ``picture_positions``, a legend above and a time bar below.

    ``peak`` is the frame that shows most.
    """
    duration = float(times_s[-1] - times_s[0])
    shown_s = float(np.clip(_SLOWDOWN * duration, _MIN_S, _MAX_S))
    below = time_bars(times_s, pictures.shape[2], shown_s / max(duration, 1e-9))[
        picture_positions(len(times_s)).round().astype(int)
    ]
    above = np.broadcast_to(legend, (len(pictures), *legend.shape))
    # A player's buttons cover the lower edge, so what colours mean stands above.
    composed = np.concatenate([above, pictures, below], axis=1)
    clip_s = np.interp(picture_positions(len(times_s)), np.arange(len(times_s)), times_s)
    return Animation(composed, len(pictures) / shown_s, alt, peak * (_BLENDS + 1), tuple(clip_s.tolist()))


def _block_values_over_time(
    variant: VariantReport, options: AnimationOptions
) -> tuple[Float[np.ndarray, "t n"], float]:
    """Values of all blocks in each frame, and the value that gets the full colour."""
    if options.shown == "attention":
        block_values(variant, "attention")
        return np.array([block.attention for block in variant.blocks], np.float32).T, 1.0
    check_method(variant, options.method)
    over_time = np.array([block.attribution_over_time[options.method] for block in variant.blocks], np.float32).T
    if not METHODS[options.method].tells_when:
        over_time = np.repeat(over_time.sum(axis=0, keepdims=True), len(over_time), axis=0)
    return over_time, max(float(np.abs(over_time).max()), MIN_EVIDENCE)


def _pixel_heat(variant: VariantReport, method: str, size: int) -> tuple[Float[np.ndarray, "t {size} {size}"], float]:
    """Smoothed attribution of each pixel as a share of the limit, -1..1, and the limit."""
    check_method(variant, method)
    maps = variant.maps[method]
    if not METHODS[method].tells_when:
        maps = np.repeat(maps.sum(axis=0, keepdims=True), len(maps), axis=0)
    sigma = _BLUR * maps.shape[-1]
    smooth = np.stack([cv2.GaussianBlur(m, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) for m in maps])
    limit = max(float(np.quantile(np.abs(smooth), 0.999)), MIN_EVIDENCE / (2 * np.pi * sigma**2))
    return np.stack([_enlarge(frame / limit, size) for frame in smooth]), limit


def _small_weights(
    variant: VariantReport, size: int
) -> tuple[Float[np.ndarray, "n h h"], Float[np.ndarray, "{size} {size}"]]:
    # Half as fine: heat is smooth, and there may be 24 blocks of it.
    weights, inside = block_weights(_boxes(variant), size // 2)
    return weights, _enlarge(inside, size)


def _boxes(variant: VariantReport) -> Float[np.ndarray, "n 4"]:
    return np.array([block.crop_xyxy for block in variant.blocks], np.float32)


def _title_and_unit(variant: VariantReport, options: AnimationOptions, signed: bool) -> tuple[str, str]:
    """Title of an animation, and the unit of its colours."""
    name = _TITLES[variant.variant]
    if options.shown == "attention":
        return text("{variant}: where it looked (attention)", variant=name), ""
    method, target = METHODS[options.method], variant.target or variant.label
    title = text("{variant}: what pushed “{label}” ({method})")
    if not signed:
        title = text("{variant}: what mattered for “{label}” ({method})")
    unit = method.unit
    if options.shown == "pixels":
        unit = text("{unit} a pixel", unit=unit)
    elif method.tells_when:
        unit = text("{unit} a frame", unit=unit)
    return text(title, variant=name, label=target, method=method.name), unit


def _enlarge(picture: Float[np.ndarray, "h h"], size: int) -> Float[np.ndarray, "{size} {size}"]:
    return cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
