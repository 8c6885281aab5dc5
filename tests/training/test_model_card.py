import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from huggingface_hub import ModelCard

from mexplain.evaluation.composite import CompositeScore, CompositeScores
from mexplain.evaluation.recognition import ABLATION
from mexplain.evaluation.spotting import SpottedRecording, score_floor
from mexplain.model.checkpoint import CLAIM, SHIPPED
from mexplain.records import Moment
from mexplain.simulation.sampling import LIVELY_MICRO, TEST_MIXTURES
from mexplain.training.model_card import CARD, write_card
from mexplain.training.schedule import schedule_for
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
    assert len(shown) == len(TEST_MIXTURES) * (len(variants) + 2)  # the uncropped face has no attention on blocks
    for mixture in TEST_MIXTURES:
        for name in variants:
            score = metrics[mixture]["scores"][name]
            assert shown[mixture, "accuracy", f"Accuracy (variant {name})"] == pytest.approx(score["accuracy"])
    assert data.license == "apache-2.0" and data.library_name == "mexplain" and "explainability" in data.tags


def test_a_card_without_facts_of_training_says_so(folder) -> None:
    (folder / "training.json").unlink()
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    assert "- On: not recorded, PyTorch ?." in card and "- Faces: not recorded" in card and "--faces DIR..." in card


def test_the_card_has_a_column_for_each_kind_of_recordings(folder) -> None:
    def recording(lively: bool) -> SpottedRecording:
        true = (Moment(1.0, 1.2, 1.4, "micro-expression", 1.0),)
        speech = (Moment(5.0, 6.0, 11.0, "speaks", 1.0),) if lively else ()
        return SpottedRecording(true + speech, 30.0, true + speech, lively)

    kinds = {name: score_floor([recording(name == "lively")] * 4, 0.6) for name in ("calm", "lively")}
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["moments"] = {"recordings": 4, "kinds": {name: asdict(score) for name, score in kinds.items()}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    assert "| |calm|lively|\n|---|---|---|\n|recordings of 20 to 60 s, as H.264|4|4|\n|minutes|2|2|\n" in card
    assert "half|**1.00 (1.00 to 1.00)**|**1.00 (1.00 to 1.00)**|" in card
    assert '|"speaks" by time: F1|-|1.00 (1.00 to 1.00)|\n' in card
    assert "--recordings 4" in card and "evidence,\n0.60, was fitted" in card


def test_the_card_shows_both_ways_to_three_classes(folder) -> None:
    one = CompositeScore(80, 0.75, (0.65, 0.84), 0.7, (0.6, 0.8), 0.667, (0.6, 0.7), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["composite"] = {"rough": {"10": asdict(CompositeScores(one, one))}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    row = "0.750 (0.650 to 0.840) | 0.700 (0.600 to 0.800) | 0.667 (0.600 to 0.700) |"
    assert f"\n| rough (80) | 10 | five labels | {row}\n| rough (80) | 10 | action units | {row}\n" in card


def test_the_card_tells_what_training_went_on_from(folder) -> None:
    shipped = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    first = shipped
    while first.get("base"):
        first = first["base"]
    plan = asdict(schedule_for("lite", 0, 1234, 24, trained_before=True))
    facts = {**first, "init": "f" * 64, "base": first, "plan": plan, "trained_on": "CPU (two threads)", "seed": 7}
    facts |= {"clips": {"trunk": 0, "heads": 1234 * 24}, "mixture": asdict(LIVELY_MICRO)}
    (folder / "training.json").write_text(json.dumps(facts), encoding="utf-8")
    write_card(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    words = " ".join(card.split())
    assert f"On: {first['trained_on']}" in words and "3000 steps of 128 pairs" in words
    assert f"(SHA-256 {'f' * 64}) on CPU (two threads)" in words and "seed 7: 1234 steps of 24 clips" in words
    assert "29616 clips in all" in words and "frames-only head stayed as they were" in words
    assert "30 % have lively motion" in words and "In 33 % parts of the face are held still" in words
    assert "--macro-steps 0 --micro-steps 1234" in words and "--init PATH" in words


def test_the_card_repeats_the_commands_that_were_typed(folder) -> None:
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    (folder / "metrics.json").write_text(json.dumps(metrics | {"faces": ["second", "first"]}), encoding="utf-8")
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8")) | {"faces": ["first", "second"]}
    facts["plan"] |= {"micro_batch": 24}
    (folder / "training.json").write_text(json.dumps(facts), encoding="utf-8")
    write_card(folder)
    words = (folder / CARD).read_text(encoding="utf-8")
    # The order of folders settles which people the clips of a seed show.
    assert "evaluate --checkpoint checkpoints --faces PATH/second PATH/first" in words
    assert "train --preset lite --faces PATH/first PATH/second" in words and "--batch 24" in words
