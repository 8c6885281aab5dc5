"""A picture of training: losses and validation scores over its steps."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STAGES = {"trunk": "Stage 1, the trunk: loss", "heads": "Stage 2, the heads: class loss"}
_SMOOTH = 5


def draw_curve(log: Path, out: Path) -> None:
    """Draw the losses of both stages and the validation accuracy in a ``log.jsonl`` of training as an SVG."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        axes = figure.subplots(1, 3)
        for ax, (stage, title) in zip(axes, _STAGES.items(), strict=False):
            rows = [line for line in lines if line["stage"] == stage and "validation" not in line]
            for name in (key for key in rows[0] if key not in ("stage", "step")) if rows else ():
                _line(ax, [row["step"] for row in rows], _smooth([row[name] for row in rows]), name)
            _label(ax, title)
        checks = [line for line in lines if "validation" in line]
        for name in checks[0]["validation"] if checks else ():
            _line(axes[2], [c["step"] for c in checks], [c["validation"][name][0] for c in checks], name, "o-")
        axes[2].set_ylim(0, 1)
        _label(axes[2], "People for validation, shifted clips: accuracy")
        figure.savefig(out, format="svg", metadata={"Date": None})


def _line(ax: Axes, x: list[int], y: list[float], name: str, style: str = "-") -> None:
    ax.plot(x, y, style, label=name, linewidth=1.2, markersize=3)


def _label(ax: Axes, title: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("step", fontsize=9)
    ax.tick_params(labelsize=8)
    if ax.lines:
        ax.legend(fontsize=8, frameon=False)


def _smooth(values: list[Any]) -> list[float]:
    """Return the moving average of each value and up to four before it."""
    return [sum(part) / len(part) for part in (values[max(0, n - _SMOOTH + 1) : n + 1] for n in range(len(values)))]
