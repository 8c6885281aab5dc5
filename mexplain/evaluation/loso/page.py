"""The results of leave-one-subject-out as a web page: confusion matrices and tables."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from mexplain.evaluation.loso.results import MEASURES, Results, facts, mean_and_deviation
from mexplain.report.visuals.plots import FONT, HOVER, INK

_CELL_PX, _MARGIN_PX = 64, 110


def confusion_figure(results: Results, variant: str) -> go.Figure:
    """Return true class (rows) by answer (columns): shares of each row as colour, counts over all seeds as numbers."""
    counts = results.confusion(variant)
    share = counts / counts.sum(1, keepdims=True).clip(1)
    classes = list(results.classes)
    side = _CELL_PX * len(classes) + _MARGIN_PX
    figure = go.Figure(
        go.Heatmap(
            z=share.tolist(),
            x=classes,
            y=classes,
            text=[[f"{n}" for n in row] for row in counts.tolist()],
            texttemplate="%{text}",
            hovertemplate="%{y} called %{x}: %{text} (%{z:.0%})<extra></extra>",
            colorscale=[[0, "#ffffff"], [1, "#3b76b0"]],
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            showscale=False,
        )
    )
    figure.update_layout(
        width=side + 40,
        height=side,
        margin={"l": _MARGIN_PX, "r": 10, "t": 30, "b": _MARGIN_PX - 40},
        font=FONT,
        template="none",
        hoverlabel=HOVER,
        dragmode=False,
        xaxis={"title": {"text": "answer"}, "fixedrange": True, "color": INK, "type": "category"},
        yaxis={
            "title": {"text": "true"},
            "fixedrange": True,
            "color": INK,
            "autorange": "reversed",
            "type": "category",
        },
    )
    figure.update_yaxes(automargin=True)
    return figure


def results_page(results: Results) -> str:
    """Return a web page with facts, scores, a confusion matrix for each variant and all subjects."""
    scores = [
        [
            variant,
            part,
            str(seeds[0].clips),
            *(mean_and_deviation([getattr(s, key) for s in seeds]) for key in MEASURES),
        ]
        for variant, parts in results.scores.items()
        for part, seeds in parts.items()
    ]
    subjects = [
        [dataset, subject, str(clips), *(f"{right[variant]:.2f}" for variant in results.scores)]
        for dataset, subject, clips, right in results.subjects
    ]
    figures = [
        f"<h3>{html.escape(variant)}</h3><div class='wide'>"
        + confusion_figure(results, variant).to_html(
            full_html=False,
            div_id=f"confusion-{variant}",
            include_plotlyjs=number == 0,
            config={"displayModeBar": False},
        )
        + "</div>"
        for number, variant in enumerate(results.scores)
    ]
    style = (
        "body{font-family:system-ui,sans-serif;color:#333;max-width:900px;margin:1rem auto;padding:0 .5rem}"
        "table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:left;border-bottom:1px solid #ddd}"
        ".wide{overflow-x:auto}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Leave one subject out</title><style>{style}</style><h1>Leave one subject out</h1>"
        f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in facts(results))}</ul>"
        f"<h2>Scores</h2>{_table(['variant', 'clips of', 'clips', *MEASURES.values()], scores)}"
        f"<h2>Confusion</h2><p>Numbers: clips over all seeds; colour: share of the true class.</p>{''.join(figures)}"
        f"<h2>Subjects</h2><p>Share of each left-out subject's clips that each variant got right.</p>"
        f"{_table(['data set', 'subject', 'clips', *results.scores], subjects)}</html>\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<div class='wide'><table>{''.join(lines)}</table></div>"
