import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from huggingface_hub import ModelCard

from mexplain.evaluation.recognition import ABLATION
from mexplain.model.checkpoint import CLAIM, SHIPPED
from mexplain.training.model_card import CARD, write_card
from mexplain.training.variant_study import judge_variants, variant_study_table


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped checkpoint."""
    return shutil.copytree(SHIPPED, tmp_path / "weights")


def test_the_card_tells_how_the_variant_study_ended(folder) -> None:
    (folder / CLAIM).unlink(missing_ok=True)
    write_card(folder)
    assert "Do ten blocks win?" not in (folder / CARD).read_text(encoding="utf-8")
    rng = np.random.default_rng(0)
    study = judge_variants([{variant: rng.random(50) < 0.9 for variant in ("24", "10", "uncropped")} for _ in range(2)])
    facts = {"seeds": 2, "steps": 7, "batch": 3, "clips": 50, "trunk_sha256": "0" * 64}
    facts |= {name: asdict(study) for name in ("rough", "shifted")}
    (folder / CLAIM).write_text(json.dumps(facts), encoding="utf-8")
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    assert variant_study_table({"rough": study, "shifted": study}) in card and "--seeds 2 --steps 7 --batch 3" in card


def test_the_shipped_card_is_what_its_measurements_give(folder) -> None:
    shipped = (folder / CARD).read_text(encoding="utf-8")
    write_card(folder)
    assert (folder / CARD).read_text(encoding="utf-8") == shipped


def test_the_hub_reads_the_scores_from_the_card(folder) -> None:
    data = ModelCard.load(folder / CARD).data
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    shown = {(r.dataset_config, r.metric_type, r.metric_name): r.metric_value for r in data.eval_results}
    variants = [name for name in metrics["calm"]["scores"] if name != ABLATION]
    assert len(shown) == 3 * (len(variants) + 2)  # the uncropped face has no attention on blocks
    for mixture in ("calm", "rough", "shifted"):
        for name in variants:
            score = metrics[mixture]["scores"][name]
            assert shown[mixture, "accuracy", f"Accuracy (variant {name})"] == pytest.approx(score["accuracy"])
    assert data.license == "apache-2.0" and data.library_name == "mexplain" and "explainability" in data.tags


def test_a_card_without_facts_of_training_says_so(folder) -> None:
    (folder / "training.json").unlink()
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    assert "- On: not recorded, PyTorch ?." in card and "- Faces: not recorded" in card and "--faces DIR..." in card
