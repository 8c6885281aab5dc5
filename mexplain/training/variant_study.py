"""A test of the paper's claim that ten blocks recognise more than 24 blocks and than the uncropped face.

Zhu et al. (CMC 2023) report that 10 blocks worked best. Here the three variants get the same frozen trunk, the same
clips in the same order and the same number of steps, from fresh heads, with several seeds; they are scored on people
of the test split.
"""

import json
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mexplain.evaluation.calibration import SimulatedPredictions, predict_simulated
from mexplain.media.files import write_json_file
from mexplain.media.progress import track
from mexplain.model.checkpoint import CLAIM, load_checkpoint
from mexplain.model.device import resolve_device
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.faces import load_faces
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.loop import exact_training, train_heads
from mexplain.training.schedule import schedule_for
from mexplain.training.stage import TrainingRun

JUDGED_ON = ("rough", "shifted")
_TEST_SEED = 20_230_078


@dataclass(frozen=True)
class VariantStudy:
    """Accuracy of the variants on one kind of clips.

    ``accuracy`` holds one value for each seed; ``lead`` maps "10 - 24" and so on to the mean difference and its 95 %
    interval over seeds and clips (both drawn anew, 2000 times).
    """

    accuracy: dict[str, list[float]]
    lead: dict[str, tuple[float, float, float]]

    @property
    def ten_win(self) -> bool:
        """Whether the lead of ten blocks over both others has an interval above 0."""
        return all(self.lead[f"10 - {other}"][1] > 0 for other in ("24", "uncropped"))


def run_variant_study(
    *,
    init: str,
    faces: list[Path],
    out: Path,
    seeds: int,
    steps: int | None,
    clips: int,
    device: str,
    batch: int | None = None,
) -> str:
    """Train fresh heads on a checkpoint's trunk with each seed, score them, write ``claim.json``; return a table.

    A run that was stopped is resumed from the same ``out``.
    """
    target = resolve_device(device)
    base = load_checkpoint(init, device=target).model
    people = load_faces(faces, base.config.crop_iod)
    plan = schedule_for(base.config.preset, None, steps, batch)
    right: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in JUDGED_ON}
    source = Synthesizer(people.split("test"), base.config, target)
    for seed in track(range(seeds), "seeds"):
        torch.manual_seed(seed)
        model = MicroExpressionNet(base.config).to(target)
        model.trunk.load_state_dict(base.trunk.state_dict())
        run = TrainingRun(plan, seed, target, out / f"seed{seed}", people.split("train"), people.split("validation"))
        with exact_training(base.config.preset):
            train_heads(run, model, None)
        for name in JUDGED_ON:
            predictions = predict_simulated(model.eval(), source, TEST_MIXTURES[name], clips=clips, seed=_TEST_SEED)
            right[name].append(_right(predictions))
    studies = {name: judge_variants(values) for name, values in right.items()}
    facts = {
        "seeds": seeds,
        "steps": plan.micro_steps,
        "batch": plan.micro_batch,
        "clips": clips,
        "trunk_sha256": load_checkpoint(init).sha256,
    }
    facts |= {name: asdict(study) | {"ten_win": study.ten_win} for name, study in studies.items()}
    write_json_file(out / CLAIM, facts)
    return variant_study_table(studies)


def read_variant_study(folder: Path) -> tuple[dict[str, Any], dict[str, VariantStudy]] | None:
    """Return the settings and the result for each kind of clips from ``claim.json``; None if the folder has none."""
    if not (folder / CLAIM).is_file():
        return None
    facts = json.loads((folder / CLAIM).read_text(encoding="utf-8"))
    studies = {
        name: VariantStudy(facts[name]["accuracy"], {pair: tuple(lead) for pair, lead in facts[name]["lead"].items()})
        for name in JUDGED_ON
    }
    return facts, studies


def judge_variants(right: list[dict[str, np.ndarray]]) -> VariantStudy:
    """Return accuracies and leads; ``right`` says for each seed and variant which clips were classified rightly."""
    rng = np.random.default_rng(0)
    variants = list(right[0])
    table = {variant: np.stack([seed[variant] for seed in right]).astype(float) for variant in variants}  # seeds clips
    seeds, clips = table[variants[0]].shape
    draws = [(rng.integers(seeds, size=seeds), rng.integers(clips, size=clips)) for _ in range(2000)]
    lead = {}
    for first, second in combinations(sorted(variants, key=lambda variant: variant != "10"), 2):
        difference = table[first] - table[second]
        drawn = [difference[np.ix_(rows, columns)].mean() for rows, columns in draws]
        low, high = np.quantile(drawn, (0.025, 0.975))
        lead[f"{first} - {second}"] = (float(difference.mean()), float(low), float(high))
    return VariantStudy({variant: values.mean(1).tolist() for variant, values in table.items()}, lead)


def variant_study_table(studies: dict[str, VariantStudy]) -> str:
    """Return the results for each kind of clips as Markdown."""
    lines = ["| clips | variant | accuracy of each seed | mean |", "|---|---|---|---|"]
    for name, study in studies.items():
        for variant, values in study.accuracy.items():
            each = ", ".join(f"{value:.3f}" for value in values)
            lines.append(f"| {name} | {variant} | {each} | {np.mean(values):.3f} |")
    for name, study in studies.items():
        leads = "; ".join(
            f"{pair} {mean:+.3f} ({low:+.3f} to {high:+.3f})" for pair, (mean, low, high) in study.lead.items()
        )
        verdict = "win" if study.ten_win else "do not win"
        lines.append(f"\nOn {name} clips ten blocks **{verdict}** beyond chance: {leads}.")
    return "\n".join(lines)


def _right(predictions: SimulatedPredictions) -> dict[str, np.ndarray]:
    expressive = predictions.labels >= 0
    return {v: (logits.argmax(1) == predictions.labels)[expressive] for v, logits in predictions.logits.items()}
