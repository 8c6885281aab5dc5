"""The results of leave-one-subject-out as a web page: confusion matrices and tables."""

import plotly.graph_objects as go

from mexplain.evaluation.loso.results import MEASURES, Results, facts, mean_and_deviation
from mexplain.report.templating import render
from mexplain.report.visuals.plots import FONT, HOVER, INK

_CELL_PX, _MARGIN_PX = 64, 110


def confusion_figure(results: Results, variant: str) -> go.Figure:
    """Heatmap of true class (rows) by answer (columns): colour is the share of a row, numbers count over seeds."""
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
    """HTML page with facts, scores, a confusion matrix for each variant, and all subjects; complete in itself."""
    scores = [
        [variant, part, seeds[0].clips, *(mean_and_deviation([getattr(s, key) for s in seeds]) for key in MEASURES)]
        for variant, parts in results.scores.items()
        for part, seeds in parts.items()
    ]
    subjects = [
        [dataset, subject, clips, *(f"{recall[variant]:.2f}" for variant in results.scores)]
        for dataset, subject, clips, recall in results.subjects
    ]
    figures = {
        variant: confusion_figure(results, variant).to_html(
            full_html=False,
            div_id=f"confusion-{variant}",
            include_plotlyjs=number == 0,
            config={"displayModeBar": False},
        )
        for number, variant in enumerate(results.scores)
    }
    page = render(
        "mexplain.evaluation.loso",
        "results.html",
        facts=facts(results),
        measures=list(MEASURES.values()),
        variants=list(results.scores),
        scores=scores,
        subjects=subjects,
        figures=figures,
    )
    return page + "\n"
