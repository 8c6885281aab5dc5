"""Shots of a clip: the frames between two cuts that are lit as those around them are.

Frames are compared as small grey pictures, with their brightness and contrast taken out, so that light which changes is
no cut. A frame on its own that differs from both sides (a flash, a frame of black) belongs to no shot and ends none.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from mexplain.records import Clip

_THUMB_PX = 32
# A picture with less contrast than this share of the usual, or than so many grey levels, shows nothing.
_BLANK_SHARE, _BLANK_LEVELS = 0.1, 2.0
# A cut: pictures correlate by so much less than 1, and by so many times less than those within some
# seconds of it do (or, where there are none, usually do).
_CUT, _CUT_TIMES, _USUAL, _AROUND_S = 0.04, 5.0, 0.06, 0.5
# What is as before within so many seconds was a flash; "as before" is this share of the jump.
_FLASH_S, _BACK = 0.25, 0.35
# Light: brightness and contrast may differ by the first share from those of half a second around; a fade ends where
# brightness differs by less than the second from what follows, and goes over more than the third.
_DARK, _SAME, _FADE, _LIT_S = 0.35, 0.08, 0.2, 0.5


def find_shots(clip: Clip) -> list[Int[np.ndarray, "n"]]:
    """Numbers of the frames of each shot of a clip, in order; dark, blank and flashed frames are in none."""
    thumbs = np.stack([_thumb(frame) for frame in clip.frames])
    contrast = thumbs.std(axis=1)
    shown = np.flatnonzero(contrast > max(_BLANK_LEVELS, _BLANK_SHARE * float(np.median(contrast))))
    if len(shown) < 2:
        return [shown]
    light = thumbs.mean(axis=1)
    plain = (thumbs - light[:, None]) / np.maximum(contrast, 1e-6)[:, None]
    cuts, flashed = _cuts(plain[shown], clip.times_s[shown])
    shots = []
    for part, kept in zip(np.split(shown, cuts), np.split(~flashed, cuts), strict=True):
        steady = part[kept]
        if len(steady) > 1:
            shots.append(steady[_lit(light[steady], contrast[steady], clip.times_s[steady])])
    return shots


def _thumb(frame: np.ndarray) -> Float[np.ndarray, "k"]:
    small = cv2.resize(frame, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0).ravel()


def _cuts(
    plain: Float[np.ndarray, "n k"], times: Float[np.ndarray, "n"]
) -> tuple[Int[np.ndarray, "m"], Bool[np.ndarray, "n"]]:
    """Where a new shot begins, and which frames are flashes."""

    def apart(one: int, other: int) -> float:
        return 1 - float((plain[one] * plain[other]).mean())

    jumps = np.array([apart(i, i + 1) for i in range(len(plain) - 1)])
    candidates = []
    for i in np.flatnonzero(jumps > _CUT).tolist():
        near = np.abs(times[:-1] - times[i]) <= _AROUND_S
        near[max(i - 1, 0) : i + 2] = False
        # Without the two largest, for a flash or another cut nearby must not hide this one.
        others = np.sort(jumps[near])
        usual = float(others[: max(len(others) - 2, 1)][-1]) if len(others) else _USUAL
        if jumps[i] > _CUT_TIMES * usual:
            candidates.append(i)
    flashed, cuts = np.zeros(len(plain), bool), []
    done = -1
    for i in candidates:
        if i < done:
            continue
        soon = [j for j in range(i + 2, len(plain)) if times[j] - times[i] <= _FLASH_S]
        back = next((j for j in soon if apart(i, j) < _BACK * jumps[i]), None)
        if back is None:
            cuts.append(i + 1)
        else:
            flashed[i + 1 : back] = True
            done = back
    return np.array(cuts, int), flashed


def _lit(
    light: Float[np.ndarray, "n"], contrast: Float[np.ndarray, "n"], times: Float[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
    """Which frames of a shot are lit as the rest is: no flash, nor part of a fade in or out."""
    count = len(times)
    lit = np.ones(count, bool)
    for i in range(count):
        near = np.abs(times - times[i]) <= _LIT_S
        usual, detail = float(np.median(light[near])), float(np.median(contrast[near]))
        lit[i] = abs(light[i] / max(usual, 1e-6) - 1) < _DARK and contrast[i] > (1 - _DARK) * detail
    # A fade ends where the next half second is as bright as its frame.
    for order in (list(range(count)), list(range(count - 1, -1, -1))):
        for passed, i in enumerate(order):
            near = (
                lit
                & (np.sign(times - times[i]) == np.sign(order[-1] - order[0]))
                & (np.abs(times - times[i]) <= _LIT_S)
            )
            if not near.any():
                break
            if lit[i] and abs(light[i] / max(float(np.median(light[near])), 1e-6) - 1) < _SAME:
                if abs(light[order[0]] / max(float(light[i]), 1e-6) - 1) > _FADE:
                    lit[order[:passed]] = False
                break
    return lit
