"""A lesson on attention: the same network with and without the difference from the first frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import plotly.graph_objects as go
from pydantic import Field

from mexplain.errors import CheckpointError
from mexplain.evaluation.recognition import ABLATION
from mexplain.language.message import percent, said, say, text
from mexplain.media.json_records import read_json_record
from mexplain.model.checkpoint import METRICS
from mexplain.report.visuals.plots import INK, OTHERS, PLAIN, WINNER, separators


@dataclass(frozen=True)
class Ablation:
    """What was measured with the onset difference (``full``) and without (``bare``), 10 blocks, on unseen people.

    ``lands`` are shares of clips in which the block with most attention is one that moves at least half as strongly as
    the strongest, with 95 % intervals; ``chance`` is that share for a block picked blindly; ``accuracy`` are shares of
    clips named rightly.
    """

    clips: int
    people: int
    full_lands: float
    full_interval: tuple[float, float]
    bare_lands: float
    bare_interval: tuple[float, float]
    chance: float
    full_accuracy: float
    bare_accuracy: float


@dataclass(frozen=True)
class VariantMetrics:
    """What ``evaluate`` measures of one variant on one kind of clips."""

    clips: int
    attention_hits: float
    attention_interval: tuple[float, float]
    chance: float
    accuracy: float


@dataclass(frozen=True)
class AblationScores:
    """The variant with 10 blocks, with the onset difference and without (None: not measured)."""

    full: Annotated[VariantMetrics, Field(alias="10")]
    bare: Annotated[VariantMetrics | None, Field(alias=ABLATION)] = None


@dataclass(frozen=True)
class ClipMetrics:
    """What ``evaluate`` measures on one kind of clips."""

    scores: AblationScores


@dataclass(frozen=True)
class CheckpointMetrics:
    """What ``evaluate`` measures of a checkpoint; ``rough`` clips have what disturbs in daily life."""

    checkpoint_sha256: str
    people: int
    rough: ClipMetrics


def read_ablation(folder: Path, sha256: str) -> Ablation | None:
    """Read what ``evaluate`` wrote beside a checkpoint; None where there is nothing about these very weights.

    Raises ``CheckpointError`` for a file that is damaged.
    """
    path = folder / METRICS
    if not path.is_file():
        return None
    metrics = read_json_record(
        path, CheckpointMetrics, CheckpointError, name=f"{METRICS} is not what `evaluate` writes: it"
    )
    full, bare = metrics.rough.scores.full, metrics.rough.scores.bare
    if metrics.checkpoint_sha256 != sha256 or bare is None:
        return None
    return Ablation(
        clips=full.clips,
        people=metrics.people,
        full_lands=full.attention_hits,
        full_interval=full.attention_interval,
        bare_lands=bare.attention_hits,
        bare_interval=bare.attention_interval,
        chance=bare.chance,
        full_accuracy=full.accuracy,
        bare_accuracy=bare.accuracy,
    )


def ablation_sentence(found: Ablation) -> str:
    """The finding, in a sentence or two."""
    low, high = found.bare_interval
    if high < found.chance:
        against = text("less often than a block picked blindly would")
    elif low <= found.chance:
        against = text("no more often than a block picked blindly would")
    else:
        against = text("more often than a block picked blindly would")
    if found.full_interval[0] > high:
        ending = text("Attention is not true by itself: what it points at depends on what the network is shown.")
    elif found.full_interval[1] < low:
        ending = text("Here the difference makes attention worse, which was not expected.")
    else:
        ending = text(
            "With these weights, the difference makes no difference to attention that could be told from chance."
        )
    return text(
        "Shown what changed since the first frame, the network's attention lands on what moves in {full:.0f} % of "
        "{clips} "
        "clips. Shown the frames as they are, the same network lands in {bare:.0f} %, {against} ({chance:.0f} %), and "
        "it names {bare_accuracy:.0f} % of the clips rightly instead of {full_accuracy:.0f} %. {ending}",
        full=100 * found.full_lands,
        clips=found.clips,
        bare=100 * found.bare_lands,
        against=against,
        chance=100 * found.chance,
        bare_accuracy=100 * found.bare_accuracy,
        full_accuracy=100 * found.full_accuracy,
        ending=ending,
    )


def ablation_alt(found: Ablation) -> str:
    """Text alternative of the figure."""
    return text(
        "Two bars: attention lands on what moves in {full:.0f} % of clips with the change since the first frame, in "
        "{bare:.0f} % without; a dotted line marks chance, {chance:.0f} %.",
        full=100 * found.full_lands,
        bare=100 * found.bare_lands,
        chance=100 * found.chance,
    )


def ablation_figure(found: Ablation) -> go.Figure:
    """Bars of how often attention lands on what moves, with and without the difference, and a line for chance."""
    names = [said("what changed since the first frame"), said("the frames as they are")]
    shares = [found.full_lands, found.bare_lands]
    intervals = [found.full_interval, found.bare_interval]
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=[1, 0],
            orientation="h",
            width=0.42,
            marker={"color": [WINNER, OTHERS]},
            error_x={
                "array": [high - share for share, (_, high) in zip(shares, intervals, strict=True)],
                "arrayminus": [share - low for share, (low, _) in zip(shares, intervals, strict=True)],
                "color": INK,
                "thickness": 1.5,
                "width": 4,
            },
            customdata=[[name, low, high] for name, (low, high) in zip(names, intervals, strict=True)],
            hovertemplate="%{customdata[0]}: %{x:.0%}<br>95 %: %{customdata[1]:.0%}, %{customdata[2]:.0%}"
            "<extra></extra>",
        )
    )
    # Over their bars, not beside them: a phone is narrow.
    for row, name, share in zip((1, 0), names, shares, strict=True):
        figure.add_annotation(
            text=said("Shown {name}: <b>{share}</b>", name=name, share=percent(share)),
            x=0,
            y=row + 0.24,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
    # In pieces, so that it does not cross out the words.
    for low, high in ((-0.62, 0.23), (0.77, 1.23)):
        figure.add_shape(
            type="line",
            x0=found.chance,
            x1=found.chance,
            y0=low,
            y1=high,
            line={"color": INK, "width": 1.5, "dash": "dot"},
        )
    figure.add_annotation(
        text=said("picked blindly: {share}", share=percent(found.chance)),
        x=found.chance,
        y=-0.32,
        xanchor="left",
        yanchor="top",
        showarrow=False,
        xshift=4,
        font={"size": 11},
    )
    figure.update_xaxes(
        range=[0, 1.06],
        tickvals=[0.003, 0.5, 0.997],
        ticktext=[say(percent(share)) for share in (0.0, 0.5, 1.0)],
        title={"text": said("attention lands on what moves"), "standoff": 6},
        fixedrange=True,
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(range=[-0.75, 1.65], visible=False, fixedrange=True)
    figure.update_layout(
        height=220,
        separators=separators(),
        margin={"l": 4, "r": 14, "t": 4, "b": 48},
        **PLAIN,
    )
    return figure
