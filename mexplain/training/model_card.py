"""The model card: written from what was measured, never by hand."""

import json
from pathlib import Path
from typing import Any

from mexplain.evaluation.recognition import ABLATION, Score
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.face.blocks import LAYOUTS
from mexplain.media.files import write_text
from mexplain.model.checkpoint import CONFIG
from mexplain.model.scorecard import Scorecard, read_scorecard
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.training.variant_study import read_variant_study, variant_study_table

METRICS, FACTS, CARD = "metrics.json", "training.json", "README.md"


def score_table(scores: dict[str, Score]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| variant | accuracy (95 % interval) | attention lands on a moving block (95 % interval) | chance |",
        "|---|---|---|---|",
    ]
    for name, value in scores.items():
        lands, chance = "-", "-"
        if value.attention_hits is not None and value.attention_interval and value.chance is not None:
            lands, chance = f"{value.attention_hits:.3f} {_interval(value.attention_interval)}", f"{value.chance:.2f}"
        shown = f"{name} (no onset difference)" if name == ABLATION else name
        lines.append(f"| {shown} | {value.accuracy:.3f} {_interval(value.accuracy_interval)} | {lands} | {chance} |")
    return "\n".join(lines)


def carry_over_table(metrics: dict[str, Any]) -> str:
    """Return restraint, faint events, loose windows, calibration and moments as Markdown, from ``metrics.json``."""
    variants = metrics["carry_over"]["variants"]
    rows = [
        ("peak 0.01 to 0.02 IOD, shifted: accuracy", "faint"),
        ("window cut at onset and offset: accuracy", "exact"),
        ("window cut up to 0.3 s beside them: accuracy", "loose"),
        ("nothing but nuisance: gets a label", "nuisance_named"),
        ('peak 0.03 to 0.10 IOD: called "none"', "events_missed"),
        ('the same, shifted: called "none"', "events_missed_shifted"),
    ]
    lines = ["| |" + "|".join(variants) + "|", "|---|" + "---|" * len(variants)]
    lines += [f"|{text}|" + "|".join(f"{v[key]:.3f}" for v in variants.values()) + "|" for text, key in rows]
    for text, key in (("expected calibration error", "reliability"), ("the same, shifted", "reliability_shifted")):
        lines.append(f"|{text}|" + "|".join(f"{v[key]['error']:.3f}" for v in variants.values()) + "|")
    found = metrics.get("moments")
    if found:
        lines.append(
            f"\nMoments in {found['recordings']} recordings of 20 to 60 s, as H.264, a third of them without an event: "
            f"{found['events']} micro-expressions among blinks, glances, speech, drift and macro-expressions; F1 at an "
            f"overlap of one half **{found['f1']:.2f}** ({found['found']} found, {found['wrong']} wrong); "
            f"{found['false_per_2_minutes']:.2f} false ones in 2 minutes without an event "
            f"({found['empty_minutes']:.1f} minutes)."
        )
    return "\n".join(lines)


def _reliability(metrics: dict[str, Any]) -> str:
    """Return the reliability diagram of the 10-block head as a table with bars."""
    rows = ["| said | right | clips | |", "|---|---|---|---|"]
    for said, right, count in metrics["carry_over"]["variants"]["10"]["reliability_shifted"]["bins"]:
        rows.append(f"| {said:.2f} | {right:.2f} | {count} | {'█' * round(20 * right)} |")
    return "\n".join(rows)


def write_card(folder: Path) -> None:
    """Write ``README.md`` beside some weights from their config, ``metrics.json`` and ``training.json``."""
    config, metrics = _read(folder / CONFIG), _read(folder / METRICS)
    facts = _read(folder / FACTS) if (folder / FACTS).is_file() else {}
    scores = {
        mixture: {
            name: Score(**{key: _frozen(part) for key, part in value.items()})
            for name, value in metrics[mixture]["scores"].items()
        }
        for mixture in TEST_MIXTURES
    }
    scorecard = read_scorecard(folder, config["sha256"])
    text = (
        _card(config, metrics, facts, scores) + _claim(folder, facts) + (_explanations(scorecard) if scorecard else "")
    )
    write_text(folder / CARD, text)


def _card(
    config: dict[str, Any], metrics: dict[str, Any], facts: dict[str, Any], scores: dict[str, dict[str, Score]]
) -> str:
    labels = config["model"]["labels"]
    plan, mixture = facts.get("plan", {}), TEST_MIXTURES["calm"]
    faces = " ".join(f"PATH/{name}" for name in facts.get("faces", [])) or "DIR..."
    options = {"preset": config["model"]["preset"], "faces": faces, "out": "DIR", "seed": facts.get("seed", 0)}
    options |= {"init": "PATH"} if facts.get("init") not in (None, "random") else {}
    options |= {key.replace("_", "-"): plan[key] for key in ("macro_steps", "micro_steps") if key in plan}
    command = " ".join(f"--{key} {value}" for key, value in options.items())
    low, high = mixture.intensity_iod
    recordings = f" --recordings {metrics['moments']['recordings']}" if "moments" in metrics else ""
    start = f"- Training went on from {facts['init']}.\n" if "init" in options else ""
    people = ", ".join(f"{count} {name}" for name, count in facts.get("people", {}).items()) or "not recorded"
    return f"""---
license: apache-2.0
library_name: mexplain
pipeline_tag: video-classification
tags: [micro-expressions, explainability, synthetic-data]
---

# mexplain, preset {config["model"]["preset"]}

One trunk and three heads ({", ".join(config["variants"])}) that tell {len(labels)} classes of micro-expression apart:
{", ".join(labels)}. After Zhu, Li, Liu and Zeng, CMC 2023, 77(1), 1373-1392 (doi 10.32604/cmc.2023.037216); sizes that
its abstract does not give follow gACNN (Li et al., TIP 2019).

**These weights learned from simulated expressions, not from CASME II, SAMM or SMIC.** Still photos of faces were warped
after action units; class mix, side and timing follow the published coding of CASME II. What is measured below holds for
such clips. How the network does on filmed micro-expressions has not been measured here.

## Measured

{metrics["clips"]} simulated clips each of {metrics["people"]} people who were never seen in training, motion peaking
at {low} to {high} inter-ocular distances, with head sway, blinks, gaze, flicker, noise and compression: as strong as in
training (rough), and half as strong (calm). Chance for the accuracy is {1 / len(labels):.2f}. Attention *lands* where
the block with most attention (mean over the frames) moves at least half as strongly (mean squared motion) as the block
that moves most; chance is the share of blocks that do.

Calm:

{score_table(scores["calm"])}

Rough:

{score_table(scores["rough"])}

Shifted (patchy muscles, other warps, another camera, none of them in training):

{score_table(scores["shifted"])}

The last row is the lesson of this design: the same 10-block head, the same trunk, clips and steps, but shown the frames
themselves and not their difference from the first one. Its gates were taught like the others', which is why they land
more often than chance.

Made by:

    python -m mexplain evaluate --checkpoint checkpoints --faces {faces} --clips {metrics["clips"]}{recordings}

Confusion of the 10-block head, calm (rows: true, columns: said):

{_confusion(scores["calm"]["10"], labels)}

## Restraint, and how sure it may say it is

{carry_over_table(metrics)}

Temperatures, presence and the floor of moments were fitted on people of the validation split; the numbers are of
the test split. A label is withheld ("none") where an expression is no surer than in clips of nothing but head drift,
blinks, glances, speech-like jaw motion and flicker.

Reliability of the 10-block head's class on shifted clips (how sure it said it was, how often it was right):

{_reliability(metrics)}

## Training

    python -m mexplain train {command}

- On: {facts.get("trained_on", "not recorded")}, PyTorch {facts.get("torch", "?")}.
- Faces: {people}, split by a hash of each person's name: portraits of US officials (public
  domain, training only) and people who do not exist (SFHQ, MIT, (c) 2022 David Beniaguev). No photo is part of this
  checkpoint.
- Motion: mean displacements of the ICT-FaceKit rig (MIT, (c) 2020 USC ICT).
- Stage 1: the trunk alone, on pairs of frames of large expressions ({plan.get("macro_steps", "?")} steps of
  {plan.get("macro_batch", "?")} pairs): it must tell where each cell moved and which action units acted. Stage 2: the
  trunk frozen, all heads together on small ones ({plan.get("micro_steps", "?")} steps of
  {plan.get("micro_batch", "?")} clips).
- **The gates were taught**: beside the class, each gate was trained lightly (weight
  {plan.get("gate_supervision", "?")}) to follow its block's share of the true motion. A taught gate points well, but
  need not be what the network uses.
{start}- Steps were fixed in advance; validation people were looked at, test people were not.

## Labels, and where they are ambiguous

{_coding()}

Combinations *trained on besides* (a quarter of the training clips of that label) come from the sheets of DFME and
SAMM, or from what a broad smile shows; they are not in the mix scored above.

AU4 alone was coded "others" 60 times and "disgust" 12 times in CASME II; here it is always "others". AU14 is "others",
AU17 "repression", AU4+7 "disgust", though each was sometimes coded otherwise. Real labels are less settled.

## Limits and responsible use

- A label here is a set of muscle movements with a name that coders gave it. It is not what a person feels.
- Inferring emotions of people at work or in education is banned in the EU (AI Act, Art. 5(1)(f)), and is contested
  everywhere. Use this to learn how such a model decides, not to read people.
- The clip must start near the neutral face: all evidence is measured against its first frame.
- Blocks of the 10-block variant ({", ".join(LAYOUTS["10"].names)}) are our choice; the paper's list is not public.

Weights: SHA-256 `{config["sha256"]}`, half precision.
"""


def _claim(folder: Path, training: dict[str, Any]) -> str:
    read = read_variant_study(folder)
    if read is None:
        return ""
    facts, found = read
    plan, clips = training.get("plan"), facts["steps"] * facts["batch"]
    share = clips / (plan["micro_steps"] * plan["micro_batch"]) if plan else 1.0
    briefly = "" if share >= 0.995 else f", {share:.1%} of the clips that the heads above learned from"
    options = " ".join(f"--{name} {facts[name]}" for name in ("seeds", "steps", "batch"))
    return f"""
## Do ten blocks win?

The paper reports that 10 blocks recognised best. Put to the test on simulated clips: fresh heads on one frozen trunk
(weights `{facts["trunk_sha256"][:12]}`), the same clips in the same order, {facts["seeds"]} seeds, judged on
{facts["clips"]} clips of test people; {facts["steps"]} steps of {facts["batch"]} clips each{briefly}.
Leads have 95 % intervals over seeds and clips.

{variant_study_table(found)}

Made by:

    python -m mexplain compare-variants --faces DIR... --out DIR {options}
"""


def _explanations(scorecard: Scorecard) -> str:
    _, _, tables = markdown(scorecard).partition("\n")
    return f"""
## How far its explanations can be trusted
{tables.replace("## ", "### ")}
Made by:

    python -m mexplain bench-explanations --clips {scorecard.clips} --out DIR
"""


def _confusion(score: Score, labels: list[str]) -> str:
    head = "| |" + "|".join(labels) + "|\n|---|" + "---|" * len(labels)
    rows = (f"|{label}|" + "|".join(map(str, row)) + "|" for label, row in zip(labels, score.confusion, strict=True))
    return "\n".join([head, *rows])


def _coding() -> str:
    rows = ["| label | action units (clips coded so) | trained on besides | one side only |", "|---|---|---|---|"]
    for label, coding in CASME2_CODING.items():
        mix = ", ".join(f"{'+'.join(map(str, aus))} ({count})" for aus, count in coding.combinations.items())
        besides = ", ".join("+".join(map(str, aus)) for aus in coding.elsewhere) or "-"
        rows.append(f"| {label} | {mix} | {besides} | {coding.one_sided:.0%} |")
    return "\n".join(rows)


def _interval(bounds: tuple[float, float]) -> str:
    return f"({bounds[0]:.3f} to {bounds[1]:.3f})"


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
