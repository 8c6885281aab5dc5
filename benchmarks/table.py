"""What was measured, as text."""

from collections.abc import Mapping
from typing import Any


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as a table of milliseconds for each clip, and a line for each other one."""
    lines = []
    for clips, stages in found.get("stages_per_clip", {}).items():
        lines += ["", f"{clips} clip(s) at once, ms for each", *_rows(stages)]
    if plain := found.get("plain_per_clip"):
        lines += ["", "The plain way, ms for each clip"]
        lines += [f"  {name:<36}{1000 * took['seconds']:>12.1f}" for name, took in plain.items()]
    if stages := found.get("video", {}).get("stages"):
        lines += ["", "Around the network, ms", *_rows(stages)]
    told = {key: value for key, value in found.items() if key not in ("stages_per_clip", "plain_per_clip")}
    if "video" in told:
        told["video"] = {key: value for key, value in told["video"].items() if key != "stages"}
    lines += ["", *_flat(told)]
    return "\n".join(lines)


def _rows(stages: Mapping[str, Mapping[str, float]]) -> list[str]:
    head = f"  {'':<36}{'cold':>12}{'median':>12}{'least':>12}{'most':>12}"
    return [head] + [
        f"  {name:<36}" + "".join(f"{1000 * row[key]:>12.1f}" for key in ("cold_s", "median_s", "least_s", "most_s"))
        for name, row in stages.items()
    ]


def _flat(values: Mapping[str, Any], before: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{before}{key}.")
        else:
            lines.append(f"{before}{key}: {value:.4g}" if isinstance(value, float) else f"{before}{key}: {value}")
    return lines
