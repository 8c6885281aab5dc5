import copy
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.errors import SettingError
from mexplain.model.network import build_model
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import MICRO
from mexplain.training.learning_curves import draw_curve
from mexplain.training.loop import BatchPlans, TrainingRun, train, train_heads
from mexplain.training.schedule import schedule_for
from mexplain.training.variant_study import judge_variants, variant_study_table

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return pattern_faces()


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(SettingError, match="preset"):
        schedule_for("huge")
    with pytest.raises(SettingError, match="at least 1"):
        schedule_for("lite", macro_steps=0)
    with pytest.raises(SettingError, match="at least 1"):
        schedule_for("lite", batch=0)


def test_training_stops_and_goes_on_as_if_it_had_not(faces: FaceSet, tmp_path: Path) -> None:
    def run(folder: str, heads: int) -> TrainingRun:
        plan = replace(schedule_for("lite", 2, heads, batch=2), short_frames=3)
        return TrainingRun(plan, 0, CPU, tmp_path / folder, faces, faces)

    whole, _ = train(run("whole", 4), "lite")
    stopped = run("parts", 4)
    object.__setattr__(stopped, "save_every_s", 0.0)

    class StoppedError(Exception):
        pass

    original = torch.optim.AdamW.step
    calls = 0

    def step(self, *arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise StoppedError
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(torch.optim.AdamW, "step", step)
        train(stopped, "lite")
    resumed, _ = train(stopped, "lite")
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-6), name
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in lines} == {"trunk", "heads"}


def test_heads_learn_and_the_trunk_stays(faces: FaceSet, tmp_path: Path) -> None:
    model = build_model("lite")
    before = copy.deepcopy(model.state_dict())
    plan = replace(schedule_for("lite", 1, 1, batch=2), short_frames=3)
    train_heads(TrainingRun(plan, 0, CPU, tmp_path, faces, faces), model, None)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"heads"}


def test_batch_plans_are_the_same_whoever_draws_them(faces: FaceSet, checkpoint, tmp_path: Path) -> None:
    run = TrainingRun(schedule_for("lite", 2, 2), 0, CPU, tmp_path, faces, faces)

    def drawn(processes: int) -> list[list[np.ndarray]]:
        plans = BatchPlans(run, checkpoint.model, 1, lambda step: (2, 3 + step), MICRO)
        plans.processes = processes
        return [[clip_plan.courses for clip_plan in plan.clip_plans] for plan in plans.from_step(1, 4)]

    here, elsewhere = drawn(0), drawn(1)
    assert [[course.shape[1] for course in batch] for batch in here] == [[4, 4], [5, 5], [6, 6]]
    assert all(np.array_equal(np.stack(one), np.stack(other)) for one, other in zip(here, elsewhere, strict=True))


def test_the_curve_shows_every_head(tmp_path: Path) -> None:
    rows = [{"stage": "trunk", "step": n, "motion": 1 / (n + 1)} for n in range(5)]
    rows += [{"stage": "heads", "step": n, "24": 1.6, "10": 1.5} for n in range(5)]
    rows += [{"stage": "heads", "step": 4, "validation": {"24": [0.5, 0.4], "10": [0.6, None]}}]
    log, out = tmp_path / "log.jsonl", tmp_path / "curve.svg"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    draw_curve(log, out)
    words = [text.text for text in ElementTree.parse(out).iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("24") >= 2 and words.count("10") >= 2 and "motion" in words


def test_a_lead_is_only_a_lead_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    even = {variant: rng.random(400) < 0.9 for variant in ("24", "10", "uncropped")}
    ahead = even | {"10": np.ones(400, bool)}
    assert not judge_variants([even, even]).ten_win
    study = judge_variants([ahead, ahead])
    assert study.ten_win and study.lead["10 - 24"][0] == pytest.approx(1 - even["24"].mean())
    assert "**win**" in variant_study_table({"rough": study})
    assert set(study.lead) == {"10 - 24", "10 - uncropped", "24 - uncropped"}
