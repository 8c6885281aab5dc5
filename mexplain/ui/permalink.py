"""A link that reopens the hub with the same settings: what is asked, how it is looked at, and which sample."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS


@dataclass(frozen=True)
class PermalinkSettings:
    """Everything that a link carries; ``target`` and ``sample`` are empty where nothing was chosen.

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
    """Return the part of a link after the question mark: whatever differs from the defaults."""
    plain = PermalinkSettings()
    changed = {f.name: getattr(settings, f.name) for f in fields(PermalinkSettings)}
    return urlencode(
        {name: value for name, value in changed.items() if value != getattr(plain, name)}, errors="replace"
    )


def from_query(query: Mapping[str, str], labels: tuple[str, ...], samples: tuple[str, ...]) -> PermalinkSettings:
    """Return the settings that a link carries; whatever it says that cannot be is as if it were not there."""
    plain = PermalinkSettings()
    known: dict[str, tuple[str, ...]] = {
        "method": tuple(METHODS),
        "baseline": tuple(BASELINES),
        "target": labels,
        "show": ("attribution", "attention"),
        "grain": ("blocks", "pixels"),
        "sign": ("signed", "magnitude"),
        "sample": samples,
    }
    chosen = {name: query[name] for name, allowed in known.items() if query.get(name) in allowed}
    opacity = query.get("opacity", "")
    share = min(int(opacity), 100) if opacity.isascii() and opacity.isdigit() and len(opacity) < 4 else plain.opacity
    return PermalinkSettings(**chosen, opacity=share)
