"""The model card: written from what was measured, never by hand."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from mexplain.evaluation.recognition import ABLATION, RecognitionScore
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.evaluation.unit_tables import BADLY_SEEN_F1
from mexplain.face.blocks import LAYOUTS
from mexplain.media.files import write_text
from mexplain.model.checkpoint import CARD, CONFIG, METRICS
from mexplain.model.explanation_calibration import ExplanationCalibration
from mexplain.model.scorecard import read_scorecard
from mexplain.report.templating import render
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.training.schedule import SCHEDULES
from mexplain.training.variant_study import read_variant_study, variant_study_table

FACTS = "training.json"
_TASK = "video-classification"
# Keys of a variant's scores in metrics.json, and what the Hub calls each.
_METRICS = {"accuracy": "Accuracy", "attention_hits": "Attention lands on a moving block"}


def score_table(scores: Mapping[str, RecognitionScore | dict[str, Any]]) -> str:
    """Markdown table of recognition scores, as records or read from ``metrics.json``, with a row for each variant."""
    return _render("score_table", scores=scores, ablation=ABLATION)


def robustness_table(metrics: dict[str, Any]) -> str:
    """Markdown table of robustness and calibration, from ``metrics.json``."""
    return _render("robustness_table", variants=metrics["carry_over"]["variants"])


def composite_table(metrics: dict[str, Any]) -> str:
    """Markdown table of the composite's three classes, from ``metrics.json``; empty where they were not scored."""
    kinds = metrics.get("composite")
    return _render("composite_table", kinds=kinds) if kinds else ""


def moments_table(metrics: dict[str, Any]) -> str:
    """Markdown table of moments spotted in recordings, from ``metrics.json``; empty where they were not scored."""
    kinds = metrics.get("moments", {}).get("kinds")
    return _render("moments_table", kinds=kinds) if kinds else ""


def units_table(metrics: dict[str, Any]) -> str:
    """Markdown tables of action units, from ``metrics.json``; empty where they were not scored."""
    kinds = metrics.get("action_units")
    names = {unit: action_unit.name for unit, action_unit in ACTION_UNITS.items()}
    return _render("units_table", kinds=kinds, names=names, badly=BADLY_SEEN_F1) if kinds else ""


def trust_table(calibration: ExplanationCalibration | Mapping[str, Any]) -> str:
    """Markdown tables of how far explanations can be relied on, as a record or read from ``config.json``."""
    values = asdict(calibration) if isinstance(calibration, ExplanationCalibration) else calibration
    return _render("trust_table", intervals=values["intervals"], trust=values["trust"])


def write_card(folder: Path) -> None:
    """Write ``README.md`` beside some weights from their config, ``metrics.json`` and ``training.json``."""
    config, metrics = _read(folder / CONFIG), _read(folder / METRICS)
    facts = _read(folder / FACTS) if (folder / FACTS).is_file() else {}
    trainings = _chain(facts) or [facts]
    plan, preset, init = facts.get("plan", {}), config["model"]["preset"], facts.get("init")
    faces, scored_faces = (
        " ".join(f"PATH/{name}" for name in names) or "DIR..."
        for names in (facts.get("faces", []), metrics.get("faces", facts.get("faces", [])))
    )
    options = {"preset": preset, "faces": faces, "out": "DIR", "seed": facts.get("seed", 0)}
    options |= {"init": "PATH"} if init not in (None, "random") else {}
    options |= {key.replace("_", "-"): plan[key] for key in ("macro_steps", "micro_steps") if key in plan}
    options |= {"init-share": plan["init_share"]} if plan.get("init_share") else {}
    usual = SCHEDULES[preset].micro_batch
    options |= {"batch": plan["micro_batch"]} if plan.get("micro_batch", usual) != usual else {}
    scorecard = read_scorecard(folder, config["sha256"])
    body = _render(
        "model_card",
        config=config,
        labels=config["model"]["labels"],
        metrics=metrics,
        tables={mixture: score_table(metrics[mixture]["scores"]) for mixture in TEST_MIXTURES},
        robustness=robustness_table(metrics),
        composite=composite_table(metrics),
        moments=moments_table(metrics),
        units=units_table(metrics),
        confusion=metrics["calm"]["scores"]["10"]["confusion"],
        intensity_iod=TEST_MIXTURES["calm"].intensity_iod,
        facts={"base": None, "mixture": None, "minutes": None, "unit_readout": None} | facts,
        # The training that made the trunk.
        first={"plan": {}} | trainings[-1],
        between=trainings[1:-1],
        plan=plan,
        faces=faces,
        scored_faces=scored_faces,
        people=", ".join(f"{count} {name}" for name, count in facts.get("people", {}).items()) or "not recorded",
        options=" ".join(f"--{key} {value}" for key, value in options.items()),
        start=init if "init" in options else None,
        codings=CASME2_CODING,
        blocks=LAYOUTS["10"].names,
        study=_variant_study(folder, facts),
        trust=trust_table(config["explanations"]) if config.get("explanations") else "",
        reliance=config.get("explanations"),
        scorecard=scorecard,
        explanations=markdown(scorecard).partition("\n")[2].replace("## ", "### ") if scorecard else "",
    )
    data = ModelCardData(
        license="apache-2.0",
        library_name="mexplain",
        pipeline_tag=_TASK,
        tags=["micro-expressions", "explainability", "synthetic-data"],
        model_name=f"mexplain, preset {preset}",
        eval_results=[result for mixture in TEST_MIXTURES for result in _results(metrics, mixture)],
    )
    write_text(folder / CARD, str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")))


def _results(metrics: dict[str, Any], mixture: str) -> list[EvalResult]:
    """Scores of the network's variants on one kind of clips, as the Hub lists them."""
    return [
        EvalResult(
            task_type=_TASK,
            dataset_type="simulated",
            dataset_name=f"Simulated clips of people kept out of training, {mixture}",
            dataset_config=mixture,
            dataset_split="test",
            metric_type=key,
            metric_name=f"{text} (variant {variant})",
            metric_value=round(score[key], 6),
        )
        for variant, score in metrics[mixture]["scores"].items()
        for key, text in _METRICS.items()
        if variant != ABLATION and score[key] is not None
    ]


def _variant_study(folder: Path, training: dict[str, Any]) -> dict[str, Any] | None:
    """Facts of the variant study beside some weights, its table, and its share of the clips their heads learned from.

    ``training`` are the facts of the training, and of that before it (key ``base``).
    """
    study = read_variant_study(folder)
    if study is None:
        return None
    facts, studies = study
    clips, plans = facts["steps"] * facts["batch"], [part["plan"] for part in _chain(training) if "plan" in part]
    share = clips / sum(plan["micro_steps"] * plan["micro_batch"] for plan in plans) if plans else 1.0
    return facts | {"table": variant_study_table(studies), "share": share}


def _chain(training: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The facts of a training, and of those that its weights had before."""
    return [training, *_chain(training.get("base"))] if training else []


def _render(template: str, **values: object) -> str:
    return render("mexplain.training", f"{template}.md.j2", **values).rstrip("\n")


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
