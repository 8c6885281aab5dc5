import copy
import json
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch

from mexplain.errors import FaceError, SettingError
from mexplain.evaluation.recognition import score_recognition, wilson
from mexplain.evaluation.robustness import score_robustness
from mexplain.evaluation.spotting import MICRO_KIND, SpottedRecording, best_floor, count_matches
from mexplain.face.mesh import mean_shape
from mexplain.model.config import NUISANCE_UNITS, PRESETS, UNITS
from mexplain.model.network import build_model
from mexplain.records import Moment
from mexplain.simulation.events import Window, draw_event, draw_window, sample_at_frame_rate
from mexplain.simulation.faces import CROP_PX, SPLITS, FaceSet, load_faces, split_of
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.sampling import EYES, FULL, JAW, MICRO, NUISANCE_ONLY, PARTS, PROBE, SHIFTED, Mixture
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.learning_curves import draw_curve
from mexplain.training.loop import BatchPlans, TrainingRun, train, train_heads
from mexplain.training.model_card import robustness_table
from mexplain.training.schedule import schedule_for
from mexplain.training.variant_study import judge_variants, variant_study_table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Four blurry patterns with the mean face's landmarks: enough to move about."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 220, (4, 22, 22, 3)).astype(np.float32)
    crops = np.stack([cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC) for crop in coarse])
    points = np.repeat(mean_shape()[None], 4, axis=0)
    return FaceSet(crops.clip(0, 255).astype(np.uint8), points, tuple(f"a/{i}.jpg" for i in range(4)))


@pytest.fixture(scope="module")
def source(faces: FaceSet) -> Synthesizer:
    return Synthesizer(faces, PRESETS["lite"], CPU)


def test_people_are_split_by_name_alone() -> None:
    names = [f"folder/{number:04d}.jpg" for number in range(4000)]
    shares = {split: sum(split_of(name) == split for name in names) / len(names) for split in SPLITS}
    assert shares["train"] == pytest.approx(0.80, abs=0.02)
    assert shares["validation"] == pytest.approx(0.08, abs=0.02)
    assert shares["test"] == pytest.approx(0.12, abs=0.02)


def test_splits_share_nobody(faces: FaceSet) -> None:
    parts = [set(faces.split(split).names) for split in SPLITS]
    assert set.union(*parts) == set(faces.names)
    assert sum(map(len, parts)) == len(faces)


def test_a_folder_without_photos_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FaceError, match="holds no photos"):
        load_faces([tmp_path], 2.8)


def test_labels_do_not_share_combinations() -> None:
    seen = [aus for coding in CASME2_CODING.values() for aus in coding.combinations]
    assert len(seen) == len(set(seen))


def test_the_same_seed_gives_the_same_batch(source: Synthesizer) -> None:
    one, same, other = (source.batch(3, 4, MICRO, seed).frames for seed in (5, 5, 6))
    # A sum's last bit depends on where memory lies, and may tip a pixel to the next of its 256 levels.
    assert (one - same).abs().max() <= 1.01 / 255
    assert (one != same).float().mean() < 1e-4
    assert (one - other).abs().mean() > 0.05


def test_a_batch_is_what_the_network_takes(source: Synthesizer) -> None:
    batch = source.batch(3, 12, MICRO, 0)
    assert batch.frames.shape == (3, 12, 3, 112, 112)
    assert float(batch.frames.min()) >= 0
    assert float(batch.frames.max()) <= 1
    assert {variant: tuple(boxes.shape) for variant, boxes in batch.boxes.items()} == {
        "24": (3, 24, 4),
        "10": (3, 10, 4),
        "uncropped": (3, 0, 4),
    }


def test_without_nuisance_an_empty_clip_is_still(source: Synthesizer) -> None:
    batch = source.batch(4, 6, Mixture(nuisance=0.0, empty=1.0), 0)
    assert (batch.labels == -1).all()
    assert torch.equal(batch.frames, batch.frames[:, :1].expand_as(batch.frames))
    assert batch.motion.abs().max() < 1e-5


def test_motion_peaks_at_the_intensity(source: Synthesizer) -> None:
    batch = source.batch(16, 24, Mixture((0.1, 0.1), wide=0.0, nuisance=0.0, empty=0.0), 0)
    peak = batch.motion.norm(dim=2).amax((1, 2, 3))
    assert batch.intensity_iod.tolist() == pytest.approx([0.1] * 16)
    # In the mean shape's unit a person's own inter-ocular distance is about 1, and frames may miss the apex.
    assert peak.median() == pytest.approx(0.1, rel=0.15)


def test_blocks_that_move_have_energy(source: Synthesizer) -> None:
    batch = source.batch(32, 4, PROBE, 1)
    most, chin_raiser = batch.units.amax((2, 3)), UNITS.index(17)
    most[:, [UNITS.index(unit) for unit in NUISANCE_UNITS]] = 0
    chin = [i for i in range(32) if most[i, chin_raiser] > 0 and (most[i] > 0).sum() == 1]
    assert chin
    assert all(int(batch.energy["10"][i].argmax()) == 9 for i in chin)


def test_the_frames_show_the_motion(source: Synthesizer) -> None:
    """Warping the first frame by the motion that is said to be true gives the later frame."""
    from mexplain.simulation.warp import sample_bilinear

    batch = source.batch(6, 8, Mixture((0.1, 0.1), wide=0.0, nuisance=0.0, empty=0.0), 2)
    first, moved = batch.frames[:, 0], batch.motion * 40
    ticks = torch.arange(112) + 0.5
    here = torch.stack(torch.meshgrid(ticks, ticks, indexing="ij")[::-1])
    expected = sample_bilinear(first, here - moved)
    still = (first[:, None] - batch.frames).abs().mean()
    assert (expected - batch.frames).abs().mean() < 0.25 * still


def test_wilson_interval() -> None:
    low, high = wilson(96, 100)
    assert low < 0.96 < high
    assert (round(low, 3), round(high, 3)) == (0.902, 0.984)


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


def test_scores_count_every_clip(checkpoint, source: Synthesizer) -> None:
    scores = score_recognition(checkpoint.model, None, source, PROBE, clips=6, seed=1)
    assert set(scores) == {"24", "10", "uncropped"}
    assert all(value.clips == 6 and np.array(value.confusion).sum() == 6 for value in scores.values())
    assert scores["uncropped"].attention_hits is None
    assert 0 < scores["10"].chance < 1


def test_clips_without_an_expression_have_none(source: Synthesizer) -> None:
    batch = source.batch(6, 6, NUISANCE_ONLY, 3)
    assert (batch.labels == -1).all() and not batch.expression.any() and batch.nuisance.amax() > 0.005
    expressive = [UNITS.index(unit) for unit in UNITS if unit not in NUISANCE_UNITS]
    assert not batch.units[:, expressive].any() and batch.units.any()


def test_clips_that_begin_too_late_have_no_label(source: Synthesizer) -> None:
    batch = source.batch(8, 8, Mixture(late=1.0, empty=0.0), 3)
    assert (batch.labels == -1).all() and (batch.intensity_iod > 0).all()
    assert (batch.course[:, 0] > batch.course[:, -1]).all()


def test_lids_and_jaw_move_as_far_as_they_are_told(source: Synthesizer) -> None:
    parts = np.zeros((2, PARTS, 478, 2), np.float32)
    parts[0, EYES.start], parts[1, JAW] = FULL[45, "left"], FULL[26, "left"]
    points, ticks = torch.from_numpy(source.landmarks[:2]), torch.linspace(-1.4, 1.9, 300)
    field = source._field(np.random.default_rng(0), points, parts, np.ones(2, np.float32), ticks, ticks, shifted=False)
    moved = field.square().sum(2).sqrt().amax((2, 3))
    told = torch.from_numpy(np.linalg.norm(parts, axis=-1).max(-1))
    assert torch.allclose(moved, told, rtol=1e-3)


def test_orders_are_the_same_whoever_draws_them(faces: FaceSet, checkpoint, tmp_path: Path) -> None:
    run = TrainingRun(schedule_for("lite", 2, 2), 0, CPU, tmp_path, faces, faces)

    def drawn(processes: int) -> list[list[np.ndarray]]:
        orders = BatchPlans(run, checkpoint.model, 1, lambda step: (2, 3 + step), MICRO)
        orders.processes = processes
        return [[clip_plan.courses for clip_plan in order.clip_plans] for order in orders.from_step(1, 4)]

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


def test_shifted_clips_move_otherwise(source: Synthesizer) -> None:
    plain, shifted = (source.batch(1, 4, mixture, 1) for mixture in (PROBE, SHIFTED))
    assert torch.equal(plain.labels, shifted.labels)
    assert (plain.expression - shifted.expression).abs().amax() > 0.005


@pytest.mark.parametrize(("loose_s", "before"), [(0.0, 0.0), (0.3, 0.3)])
def test_windows_are_cut_as_told(loose_s: float, before: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        event = draw_event(rng, CASME2_CODING["happiness"])
        window = draw_window(rng, event, 0.5, loose_s)
        assert -before <= window.start_s <= 0 and 0 <= window.end_s - event.offset_s <= before and not window.late


def test_events_rise_and_fall() -> None:
    rng = np.random.default_rng(1)
    for coding in CASME2_CODING.values():
        event = draw_event(rng, coding)
        assert 0 < event.apex_s <= event.apex_end_s < event.offset_s < 1
        assert event.activation(np.array([-0.1, 0.0, event.apex_s, event.offset_s, 2.0])) == pytest.approx(
            [0, 0, 1, 0, 0]
        )


def test_a_slow_camera_blurs_a_fast_blink() -> None:
    rng = np.random.default_rng(2)
    window = Window(0.0, 0.5)
    spike = np.exp(-0.5 * ((np.arange(96, dtype=np.float32) - 40) / 3) ** 2)[None]
    seen = [float(sample_at_frame_rate(rng, window, spike, 96).max()) for _ in range(30)]
    assert 0 <= min(seen) < 0.9 < max(seen) <= 1


def test_a_lead_is_only_a_lead_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    even = {variant: rng.random(400) < 0.9 for variant in ("24", "10", "uncropped")}
    ahead = even | {"10": np.ones(400, bool)}
    assert not judge_variants([even, even]).ten_win
    study = judge_variants([ahead, ahead])
    assert study.ten_win and study.lead["10 - 24"][0] == pytest.approx(1 - even["24"].mean())
    assert "**win**" in variant_study_table({"rough": study})
    assert set(study.lead) == {"10 - 24", "10 - uncropped", "24 - uncropped"}


def test_found_moments_are_matched_one_to_one() -> None:
    truth = [Moment(1.0, 1.2, 1.4, MICRO_KIND, 1.0), Moment(5.0, 5.2, 5.4, MICRO_KIND, 1.0)]
    twice = [
        Moment(1.0, 1.2, 1.45, MICRO_KIND, 0.9),
        Moment(0.95, 1.2, 1.4, MICRO_KIND, 0.8),
        Moment(5.3, 5.4, 5.7, MICRO_KIND, 0.9),
    ]
    assert count_matches(truth, twice) == 1
    assert count_matches(truth, truth) == 2


def test_carrying_over_is_measured_for_every_variant(checkpoint, source: Synthesizer) -> None:
    found = score_robustness(checkpoint.model, checkpoint.calibration, source, clips=4, seed=1)
    assert set(found) == {"24", "10", "uncropped"}
    table = robustness_table({"carry_over": {"variants": {name: asdict(score) for name, score in found.items()}}})
    assert table.count("\n") == 9 and "0.3 s" in table


def test_of_floors_that_do_as_well_the_highest_is_taken() -> None:
    def moment(start_s: float, score: float) -> Moment:
        return Moment(start_s, start_s + 0.2, start_s + 0.4, MICRO_KIND, score)

    busy = SpottedRecording(
        (moment(1.0, 1.0), moment(5.0, 1.0)), 30.0, (moment(1.0, 0.9), moment(5.0, 0.7), moment(8.0, 0.4))
    )
    quiet = SpottedRecording((), 120.0, (moment(3.0, 0.5),))
    found = best_floor([busy, quiet])
    assert (found.found, found.wrong, found.false_per_2_minutes) == (2, 0, 0)
    assert 0.66 < found.floor < 0.7  # not 0.5, which the false one only just misses
