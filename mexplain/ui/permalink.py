"""Links that reopen the hub with the same settings: method, baseline, label, view and sample."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS


@dataclass(frozen=True)
class PermalinkSettings:
    """Settings in a link; ``target`` and ``sample`` are empty where nothing was chosen.

    ``show`` is "attribution" or "attention", ``grain`` "blocks" or "pixels", ``sign`` "signed" or "magnitude",
    ``opacity`` 0..100.
    """

    method: str = "integrated_gradients"
    baseline: str = "onset"
    target: str = ""
    show: str = "attribution"
    grain: str = "blocks"
    sign: str = "signed"
    opacity: int = 100
    sample: str = ""


def to_query(settings: PermalinkSettings) -> str:
    """Query string of a link, with the settings that differ from the defaults."""
    defaults = PermalinkSettings()
    changed = {f.name: getattr(settings, f.name) for f in fields(PermalinkSettings)}
    return urlencode(
        {name: value for name, value in changed.items() if value != getattr(defaults, name)}, errors="replace"
    )


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
    return PermalinkSettings(**chosen, opacity=percent)
