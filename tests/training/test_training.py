import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.errors import SettingError
from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.config import PRESETS
from mexplain.model.network import build_model
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import MICRO
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.batches import Batches, BatchRecipe, BatchSize
from mexplain.training.head_batch import HeadBatch, HeadBatchMaker
from mexplain.training.learning_curves import draw_curve
from mexplain.training.loop import train, train_heads
from mexplain.training.request import TrainingRequest
from mexplain.training.schedule import schedule_for
from mexplain.training.stage import TrainingRun
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
    with pytest.raises(SettingError, match="trunk"):
        TrainingRequest(faces=(Path("a"),), out=Path("b"), macro_steps=0, init="random")
    with pytest.raises(SettingError, match="minutes"):
        TrainingRequest(faces=(Path("a"),), out=Path("b"), minutes=0.0)
    with pytest.raises(SettingError, match="clips"):
        TrainingRequest(faces=(Path("a"),), out=Path("b"), clips=1)
    for share, init in ((1.0, "c"), (0.5, None), (0.5, "random"), (-0.1, "c")):
        with pytest.raises(SettingError, match="share"):
            TrainingRequest(faces=(Path("a"),), out=Path("b"), init=init, init_share=share)
    with pytest.raises(SettingError, match="folder"):
        TrainingRequest(faces=(), out=Path("b"))


def test_weights_that_were_trained_before_take_smaller_steps() -> None:
    new = TrainingRequest(faces=(Path("a"),), out=Path("b"), batch=40).schedule
    heads = TrainingRequest(faces=(Path("a"),), out=Path("b"), batch=40, init="c", macro_steps=0).schedule
    assert heads.micro_rate < new.micro_rate / 2 and heads.fixed_norms and not new.fixed_norms
    assert (heads.macro_steps, heads.micro_steps) == (0, new.micro_steps)


def test_training_stops_and_goes_on_as_if_it_had_not(faces: FaceSet, tmp_path: Path) -> None:
    def run(folder: str, heads: int) -> TrainingRun:
        plan = replace(schedule_for("lite", 2, heads, batch=2), short_frames=3)
        return TrainingRun(plan, 0, CPU, tmp_path / folder, faces, faces)

    whole, *_ = train(run("whole", 4), "lite")
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
    resumed, *_ = train(stopped, "lite")
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


def test_batches_are_the_same_whoever_makes_them(faces: FaceSet) -> None:
    make = HeadBatchMaker(Synthesizer(faces, PRESETS["lite"], CPU), 0.5)
    recipe = BatchRecipe(PRESETS["lite"].labels, len(faces), MICRO, 0, BatchSize(2, 4, 6).at, make)

    def made(cores: int) -> list[HeadBatch]:
        batches = Batches(recipe, CPU)
        batches.cores = cores
        return list(batches.from_step(1, 4))

    here, elsewhere = made(1), made(2)
    assert [batch.frames.shape[:2] for batch in here] == [(2, 4), (2, 4), (2, 6)]
    for one, other in zip(here, elsewhere, strict=True):
        assert torch.equal(one.frames, other.frames)
        assert torch.allclose(one.targets.classes, other.targets.classes, atol=1e-5)


def test_a_process_started_anew_makes_the_same_batches(faces: FaceSet) -> None:
    recipe = BatchRecipe(
        PRESETS["lite"].labels,
        len(faces),
        MICRO,
        0,
        BatchSize(2, 3, 3).at,
        HeadBatchMaker(Synthesizer(faces, PRESETS["lite"], CPU), 0.5),
    )
    batches = pickle.loads(pickle.dumps(Batches(recipe, CPU)))
    here, there = Batches(recipe, CPU)[0], batches[0]
    assert torch.equal(here.frames, there.frames)


def test_heads_that_go_on_keep_norms_and_are_averaged(faces: FaceSet, tmp_path: Path) -> None:
    model = build_model("lite").eval()
    before = {name: value.clone() for name, value in model.named_buffers()}
    plan = replace(schedule_for("lite", 1, 3, batch=2), short_frames=3, fixed_norms=True, averaging=0.5, check_every=2)
    plan = replace(plan, check_clips=2)
    assert train_heads(TrainingRun(plan, 0, CPU, tmp_path, faces, faces), model, None) == 3
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    state = torch.load(tmp_path / "heads.state.pt", weights_only=True)
    name = "10.classify.weight"
    assert torch.equal(model.heads["10"].classify.weight, state["average"][f"module.{name}"])
    assert not torch.equal(state["module"][name], state["average"][f"module.{name}"])
    # What was scored meanwhile can be loaded, and training went on from its own weights.
    assert load_checkpoint(tmp_path).model.variants == model.variants
    scores = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines() if "validation" in line]
    assert [line["step"] for line in scores] == [1] and set(scores[0]["false"]) == set(model.variants)


def test_heads_that_went_on_are_mixed_with_those_before(faces: FaceSet, tmp_path: Path) -> None:
    before = build_model("lite")
    plan = replace(schedule_for("lite", 0, 2, batch=2, trained_before=True), short_frames=3)

    def trained(share: float) -> dict[str, torch.Tensor]:
        run = TrainingRun(replace(plan, init_share=share), 0, CPU, tmp_path / str(share), faces, faces)
        return train(run, "lite", (before, None)).model.state_dict()

    new, mixed = trained(0.0), trained(0.25)
    for name, value in before.state_dict().items():
        if value.is_floating_point():
            # Both are rounded to 8 bits.
            assert torch.allclose(mixed[name], 0.25 * value + 0.75 * new[name], rtol=2**-7, atol=1e-4), name
            assert torch.equal(new[name], new[name].bfloat16().float()) or not name.startswith("heads")
    assert any(not torch.equal(mixed[name], value) for name, value in new.items())


def test_a_limit_of_time_ends_the_heads_early(faces: FaceSet, tmp_path: Path) -> None:
    plan = replace(schedule_for("lite", 1, 10_000, batch=1), short_frames=2)
    steps = train_heads(TrainingRun(plan, 0, CPU, tmp_path, faces, faces, limit_s=0.5), build_model("lite"), None)
    assert 1 <= steps < 1000


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
