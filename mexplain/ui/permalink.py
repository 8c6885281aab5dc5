"""Links that reopen the hub: what they set of an explanation, and of the blocks held still."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.checks import FPS_RANGE
from mexplain.face.blocks import LAYOUTS


@dataclass(frozen=True)
class PermalinkSettings:
    """Settings in a link; ``target`` and ``sample`` are empty, and others None, where nothing was chosen.

    ``show`` is "attribution" or "attention", ``grain`` "blocks" or "pixels", ``sign`` "signed" or "magnitude",
    ``opacity`` 0..100. ``start_s`` and ``end_s`` are the part of the clip, ``fps`` the camera's rate, ``moment`` counts
    from 1, ``held`` are the blocks held still, and ``thorough`` also tests with noise.
    """

    method: str = "integrated_gradients"
    baseline: str = "onset"
    target: str = ""
    show: str = "attribution"
    grain: str = "blocks"
    sign: str = "signed"
    opacity: int = 100
    sample: str = ""
    start_s: float | None = None
    end_s: float | None = None
    fps: float | None = None
    moment: int | None = None
    held: tuple[str, ...] = ()
    thorough: bool = False


def from_query(query: Mapping[str, str], labels: tuple[str, ...], samples: tuple[str, ...]) -> PermalinkSettings:
    """Settings of a link's query; unknown names and impossible values are ignored."""
    defaults = PermalinkSettings()
    choices: dict[str, tuple[str, ...]] = {
        "method": tuple(METHODS),
        "baseline": tuple(BASELINES),
        "target": labels,
        "show": ("attribution", "attention"),
        "grain": ("blocks", "pixels"),
        "sign": ("signed", "magnitude"),
        "sample": samples,
    }
    chosen = {name: query[name] for name, allowed in choices.items() if query.get(name) in allowed}
    opacity = query.get("opacity", "")
    percent = (
        min(int(opacity), 100) if opacity.isascii() and opacity.isdigit() and len(opacity) < 4 else defaults.opacity
    )
    moment = query_number(query, "moment", 1.0, 9999.0)
    blocks = {block for layout in LAYOUTS.values() for block in layout.names}
    return PermalinkSettings(
        **chosen,
        opacity=percent,
        start_s=query_number(query, "start_s", 0.0, sys.float_info.max),
        end_s=query_number(query, "end_s", 0.0, sys.float_info.max),
        fps=query_number(query, "fps", *map(float, FPS_RANGE)),
        moment=None if moment is None else int(moment),
        held=tuple(block for block in query_items(query, "held") if block in blocks),
        thorough=query.get("thorough") == "true",
    )


def query_items(query: Mapping[str, str], name: str) -> list[str]:
    """Different items of a list with commas, in its order."""
    return list(dict.fromkeys(query.get(name, "").split(",")))


def query_number(query: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    """Number from ``least`` to ``most``; None for anything else."""
    try:
        number = float(query.get(name, ""))
    except ValueError:
        return None
    return number if least <= number <= most else None
