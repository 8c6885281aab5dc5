import json
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from mexplain.attribution.registry import METHODS
from mexplain.cli.bench_explanations import CLIPS_TO_SHIP
from mexplain.errors import CheckpointError, SettingError
from mexplain.evaluation.scorecard import metrics
from mexplain.evaluation.scorecard.bench import run_scorecard
from mexplain.evaluation.scorecard.estimates import collect_hold, collect_scores, collect_slices, estimate
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips, load_known_clips
from mexplain.evaluation.scorecard.plots import scorecard_figure, scorecard_page
from mexplain.evaluation.scorecard.reference_maps import GUESSES, RANDOM_WEIGHTS, reference_maps
from mexplain.evaluation.scorecard.runner import ScorecardRun
from mexplain.evaluation.scorecard.sanity_checks import STAGES, coarse, mirrored, randomised, summary
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.face.blocks import LAYOUTS
from mexplain.face.mesh import mean_shape
from mexplain.model.checkpoint import SHIPPED
from mexplain.model.config import PRESETS
from mexplain.model.scorecard import Estimate, Scorecard, read_scorecard

pytestmark = pytest.mark.slow

SIZE = 100
CPU = torch.device("cpu")


def area(rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros((SIZE, SIZE), bool)
    found[rows, columns] = True
    return found


MOVING = area(slice(20, 30), slice(20, 30))
FACE = area(slice(10, 60), slice(10, 60))


@pytest.fixture(scope="module")
def shipped() -> KnownClips:
    return load_known_clips(count=2)


def test_the_peak_must_lie_where_the_face_moves():
    there = MOVING.astype(float)
    assert metrics.pointing(there, MOVING) == 1
    assert metrics.pointing(there.T[::-1].copy(), MOVING) == 0
    # One loud pixel is not what one sees.
    loud = there.copy()
    loud[80, 80] = 1.5
    assert metrics.pointing(loud, MOVING) == 1


def test_what_is_everywhere_alike_gets_what_chance_gets():
    flat = np.full((SIZE, SIZE), 0.3)
    assert metrics.pointing(flat, MOVING) == pytest.approx(MOVING.mean())
    assert metrics.rank_accuracy(flat, MOVING) == pytest.approx(MOVING.mean())
    assert metrics.mass(flat, MOVING) == pytest.approx(MOVING.mean())
    energy = np.array([1.0, 0.9, 0.1, 0.0, 0.2])
    assert metrics.block_pointing(np.ones(5), energy) == pytest.approx(0.4)
    assert metrics.auroc(np.ones(5), energy) == 0.5
    course = np.array([0, 0, 0, 0.5, 1, 0.5, 0, 0, 0, 0])
    assert metrics.timing(np.ones(10), course) == pytest.approx(0.4)
    assert metrics.ranking(np.ones((2, SIZE, SIZE)), np.arange(5.0)).tolist() == [0] * 5


def test_mass_counts_only_what_speaks_for_the_class():
    attribution = np.zeros((2, SIZE, SIZE))
    attribution[0, 25, 25], attribution[1, 25, 25] = 3.0, -3.0
    attribution[0, 50, 50], attribution[0, 90, 90] = 2.0, 1.0
    found = metrics.measure_all(
        attribution,
        np.array([1.0, 0.0]),
        moving=MOVING,
        face=FACE,
        disturbed=area(slice(45, 55), slice(45, 55)),
        energy=np.array([1.0, 0.0]),
        course=np.array([0.0, 1.0]),
        tells_when=False,
    )
    assert found["mass"] == pytest.approx(3 / 6)
    assert found["mass_ratio"] == pytest.approx(3 / 6 / (100 / 2500))
    assert found["nuisance_mass"] == pytest.approx(2 / 6)
    assert found["off_face"] == pytest.approx(1 / 6)
    assert found["timing"] is None
    assert metrics.mass(np.zeros((SIZE, SIZE)), MOVING) is None


def test_rank_accuracy_looks_at_as_many_pixels_as_move():
    values = np.zeros((SIZE, SIZE))
    values[20:30, 20:25] = 2.0  # half of them
    values[70:75, 70:80] = 1.0  # and as many elsewhere
    assert metrics.rank_accuracy(values, MOVING) == pytest.approx(0.5)
    assert metrics.rank_accuracy(MOVING.astype(float), MOVING) == 1


@pytest.mark.parametrize(
    ("scores", "expected"), [([3.0, 2.0, 1.0], 1.0), ([1.0, 2.0, 3.0], 0.0), ([2.0, 2.0, 1.0], 0.75), ([2, 3, 1], 0.5)]
)
def test_block_auroc(scores, expected):
    assert metrics.auroc(np.array(scores, float), np.array([1.0, 0.1, 0.2])) == expected


def test_block_auroc_needs_blocks_of_both_kinds():
    assert metrics.auroc(np.ones(3), np.ones(3)) is None


@pytest.mark.parametrize(("peak", "expected"), [(0, 0), (1, 1), (3, 1), (5, 1), (6, 0)])
def test_timing_allows_a_frame(peak, expected):
    # Begins in frame 2, is strongest in frame 4.
    course = np.array([0, 0.01, 0.2, 0.6, 1.0, 0.7, 0.3, 0.0])
    assert metrics.timing(np.eye(8)[peak], course) == expected


def test_the_shipped_clips_are_balanced_over_people():
    known = load_known_clips()
    assert len(known) == 200
    people = [clip.person for clip in known]
    assert len(set(people[:69])) == 69 == len(set(people))
    assert {clip.label for clip in known} == set(range(5))
    with pytest.raises(SettingError, match="200 known clips"):
        load_known_clips(count=201)


def test_what_is_known_fits_the_clip(shipped):
    for clip in shipped:
        assert clip.frames.shape == (12, 112, 112, 3)
        assert 0.015 < clip.expression.max() < 0.11
        assert clip.moving.any() and clip.moving.mean() < 0.3
        assert (clip.moving & clip.face).sum() > 0.5 * clip.moving.sum()
        assert not (clip.disturbed & clip.moving).any()
        assert clip.aus
        # The blocks that move are where the pixels move.
        strongest = clip.boxes("10")[clip.energy("10").argmax()].round().astype(int).clip(0, 112)
        assert clip.moving[strongest[1] : strongest[3], strongest[0] : strongest[2]].any()


def test_shipped_clips_are_the_same_again_and_can_be_rendered_without_parts(shipped):
    again = load_known_clips(count=1)
    assert again.sha256 == shipped.sha256
    assert np.array_equal(again.clips[0].frames, shipped.clips[0].frames)
    clip = shipped.clips[1]
    assert np.array_equal(clip.recipe.game("10").clip, clip.frames)
    assert np.array_equal(clip.recipe.unit_game().clip, clip.frames)


def test_a_network_that_sees_more_of_a_face_gets_the_clips_that_wide(shipped):
    known = load_known_clips(1, PRESETS["paper"])
    assert known.source.startswith("shipped, borders repeated from 3.1")
    assert (known.clips[0].person, known.clips[0].label) == (shipped.clips[0].person, shipped.clips[0].label)


def test_guesses_get_what_chance_gets(shipped):
    for clip in shipped:
        found = {}
        for key, (values, scores) in reference_maps(clip, "10", 0).items():
            truth = {name: getattr(clip, name) for name in ("moving", "face", "disturbed", "course")}
            energy = clip.energy("10")
            found[key] = metrics.measure_all(values, scores, energy=energy, tells_when=True, **truth)
        assert set(found) == set(GUESSES) - {RANDOM_WEIGHTS}
        assert found["motion"]["block_pointing"] == found["motion"]["timing"] == 1
        assert found["uniform"]["auroc"] == 0.5
        assert found["uniform"]["mass"] == pytest.approx(clip.moving.mean(), rel=1e-3)
        assert found["uniform"]["pointing"] == pytest.approx(clip.moving.mean(), rel=1e-3)
        assert found["face"]["off_face"] == 0
        inside = (clip.moving & clip.face).sum() / clip.moving.sum()
        assert found["face"]["mass_ratio"] == pytest.approx(inside, rel=1e-3)
        assert found["random"]["mass"] == pytest.approx(clip.moving.mean(), rel=0.05)


def test_a_persons_clips_are_drawn_together():
    values = [0.0] * 20 + [1.0] * 20
    alone = estimate(values, [f"{i}" for i in range(40)])
    two = estimate(values, ["a"] * 20 + ["b"] * 20)
    assert alone and two
    assert alone.mean == two.mean == 0.5
    assert (two.low, two.high) == (0.0, 1.0)
    assert 0.3 < alone.low < 0.4 and 0.6 < alone.high < 0.7
    assert estimate([None, None], ["a", "b"]) is None
    assert estimate([None, 1.0], ["a", "b"]) == Estimate(1.0, 1.0, 1.0, 1)


def test_random_weights_go_in_from_the_top(checkpoint, shipped):
    model, clips = checkpoint.model, shipped.clips
    first, second, third = (randomised(model, stage, 0, clips[0]) for stage in STAGES)
    for name, value in model.state_dict().items():
        if value.dtype != torch.float32 or "running" in name or value.ndim < 2:
            continue
        top = ".classify." in name or ".lstm." in name
        assert torch.equal(value, first.state_dict()[name]) == (not top), name
        assert torch.equal(value, second.state_dict()[name]) == (not name.startswith("heads.")), name
        assert not torch.equal(value, third.state_dict()[name]), name
    # Fresh batch norms pass on what the next layer can tell apart.
    boxes = {"10": torch.from_numpy(LAYOUTS["10"].boxes(np.stack([clip.landmarks_xy for clip in clips])))}
    logits = third(torch.stack([clip.input(CPU) for clip in clips]), boxes)["10"].logits
    assert float((logits[0] - logits[1]).abs().max()) > 1e-4
    assert not third.training


def test_the_mirror_image_has_mirrored_landmarks():
    points = mean_shape() * 40 + 50
    boxes = LAYOUTS["10"].boxes(points)
    flipped = LAYOUTS["10"].boxes(mirrored(points, SIZE))[list(LAYOUTS["10"].mirror_of)]
    np.testing.assert_allclose(flipped[:, [0, 2]], SIZE - boxes[:, [2, 0]], atol=3)
    np.testing.assert_allclose(mirrored(mirrored(points, SIZE), SIZE), points, atol=1e-3)


def test_the_coarse_map_averages():
    values = np.zeros((2, 112, 112))
    values[:, :8, 8:16] = 1
    grid = coarse(values).reshape(14, 14)
    assert np.argwhere(grid).tolist() == [[0, 1]]
    assert np.ptp(coarse(np.ones((2, 112, 112)))) == 0


def test_a_method_fails_by_its_map_or_its_blocks():
    def row(maps, blocks):
        found = {"maps": maps, "blocks": blocks, "target_sensitivity": 1.0, "mirror": 1.0}
        return {"variants": {"10": {"m": found}}}

    assert summary([row([1, 0, 0.5], [0, 0, 0.0]), row([1, 0, 0.2], [0, 0, 0])], "10", "m")["fails_randomisation"]
    assert not summary([row([1, 1, 0.2], [1, 1, -0.4])], "10", "m")["fails_randomisation"]
    blocks_only = summary([row(None, [1, 1, 0.1])], "10", "m")
    assert blocks_only["maps"] is None
    assert not blocks_only["fails_randomisation"]


@pytest.fixture(scope="module")
def bench(checkpoint, shipped, tmp_path_factory):
    return ScorecardRun(
        checkpoint.model,
        checkpoint.sha256,
        shipped,
        tmp_path_factory.mktemp("bench"),
        CPU,
        methods=("saliency", "attention"),
        variants=("10", "uncropped"),
        sanity_clips=1,
    )


def test_a_run_that_was_cut_off_goes_on(bench, monkeypatch):
    rows, checks = bench.measure()
    assert [row["clip"] for row in rows] == [0, 1]
    assert len(checks) == 1
    path = bench.out / "clips.jsonl"
    whole = path.read_text()
    path.write_text(whole[: len(whole) - 40])  # in the middle of the second line
    scored = []
    original = ScorecardRun._score
    monkeypatch.setattr(ScorecardRun, "_score", lambda self, n, *rest: scored.append(n) or original(self, n, *rest))
    again, _ = bench.measure()
    assert scored == [1]
    assert again[0] == rows[0]
    assert again[1]["variants"]["10"]["methods"]["attention"]["auroc"] == pytest.approx(
        rows[1]["variants"]["10"]["methods"]["attention"]["auroc"]
    )
    assert [json.loads(line)["clip"] for line in path.read_text().splitlines()] == [0, 1]


def test_runs_of_different_things_do_not_mix(bench):
    bench.measure()
    with pytest.raises(SettingError, match="another --out"):
        replace(bench, methods=("saliency",)).measure()


def test_one_weight_for_the_whole_picture_points_nowhere(bench):
    rows, checks = bench.measure()
    found = rows[0]["variants"]["uncropped"]["methods"]["attention"]
    assert found["auroc"] == 0.5
    assert found["mass"] == pytest.approx(bench.known.clips[0].moving.mean(), rel=1e-3)
    assert checks[0]["variants"]["uncropped"]["attention"]["target_sensitivity"] == 0
    assert checks[0]["variants"]["10"]["attention"]["target_sensitivity"] == 0
    assert checks[0]["variants"]["10"]["attention"]["blocks"][0] == 1


def test_the_command_writes_a_scorecard(tmp_path, checkpoint, monkeypatch):
    options = {"checkpoint": SHIPPED, "clips": 2, "out": tmp_path, "faces": [], "device": "cpu"}
    few = {"methods": ("grad_cam", "attention"), "variants": ("10",), "sanity_clips": 1}
    # Of two clips nothing can be exposed, so no head is taught a shortcut.
    monkeypatch.setattr("mexplain.evaluation.scorecard.bench.shortcut_tests", None)
    text = markdown(run_scorecard(**options, **few))
    assert "Planted shortcuts: not tested" in text
    assert "| Grad-CAM |" in text
    assert "*Uniform*" in text
    written = Scorecard.from_json((tmp_path / "scorecard.json").read_text())
    assert (written.clips, written.people, written.source) == (2, 2, "shipped")
    assert set(written.scores["10"]) == {"grad_cam", "attention", *GUESSES}
    assert written.scores["10"]["grad_cam"]["game_pearson"].count == 2
    assert written.hold["10"]["r2"].mean > 0.5
    assert {"faint", "strong"} & set(written.slices["10"])
    assert Scorecard.from_json(written.to_json()) == written
    assert markdown(written) == text
    assert read_scorecard(tmp_path, checkpoint.sha256) == written
    assert read_scorecard(tmp_path, "of other weights") is None
    assert read_scorecard(tmp_path / "nowhere", checkpoint.sha256) is None
    assert (tmp_path / "scorecard.html").read_text() == scorecard_page(written)
    (tmp_path / "scorecard.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a scorecard"):
        read_scorecard(tmp_path, checkpoint.sha256)


@pytest.mark.parametrize(("clips", "message"), [(0, "at least 1"), (201, "200 known clips")])
def test_impossible_numbers_are_refused(clips, message, tmp_path):
    with pytest.raises(SettingError, match=message):
        run_scorecard(checkpoint=SHIPPED, clips=clips, out=tmp_path, faces=[], device="cpu")


def hand_made_scorecard() -> Scorecard:
    rows = [
        {
            "clip": i,
            "person": f"{i}",
            "variants": {
                "10": {
                    "right": True,
                    "methods": {
                        "saliency": {"auroc": 0.6, "mass_ratio": 1.2, "pointing": 0.4, "game_top": 0.8},
                        "grad_cam": {"auroc": 0.9, "mass_ratio": 2.2, "pointing": 0.7, "game_top": 0.5},
                        "face": {"auroc": 0.5, "mass_ratio": 1.0, "pointing": 0.2, "game_top": 0.3},
                        "motion": {"auroc": 1.0, "mass_ratio": 3.0, "pointing": 1.0, "game_top": 0.4},
                    },
                    "game": {"held": [0.1 * i, 1.0, 2.0], "logits": [0.0, 1.0, 2.0]},
                }
            },
            "slices": ["faint"],
        }
        for i in range(3)
    ]
    scores, accuracy = collect_scores(rows)
    stages = dict.fromkeys(STAGES, 0.5)
    failing = {"clips": 1, "maps": stages, "blocks": stages, "target_sensitivity": 0.2, "mirror": 0.9}
    sanity = {"10": {"saliency": {**failing, "fails_randomisation": True}}}
    measured = {"slices": collect_slices(rows), "hold": collect_hold(rows)}
    return Scorecard("ab" * 32, 3, 3, "shipped", 0, scores, sanity, ("saliency",), None, accuracy, **measured)


@pytest.mark.parametrize(("asks", "order"), [("moved", ["Grad", "Sal"]), ("used", ["Sal", "Grad"])])
def test_the_figure_orders_methods_and_marks_failures(asks, order):
    figure = scorecard_figure(hand_made_scorecard(), "10", asks)
    assert isinstance(figure, go.Figure)
    texts = [note.text for note in figure.layout.annotations]
    names = [text for text in texts if text.startswith(("Grad", "Sal", "<i>"))]
    assert [name[: len(start)] for name, start in zip(names, order, strict=False)] == order
    assert "fails" in names[order.index("Sal")] and "fails" not in names[order.index("Grad")]
    assert "Whole face" in names[2]
    hollow = [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert hollow and all(list(trace.y) == [order.index("Sal")] for trace in hollow)
    with pytest.raises(SettingError, match="variant"):
        scorecard_figure(hand_made_scorecard(), "24", asks)
    with pytest.raises(SettingError, match="asks"):
        scorecard_figure(hand_made_scorecard(), "10", "wants")


def test_what_the_network_uses_comes_first():
    made = hand_made_scorecard()
    text = markdown(made)
    assert text.index("### What the network uses") < text.index("| Saliency | 0.80") < text.index("### What moved")
    assert "R2 0.967" in text and "6 coalitions" in text
    assert "| Method | faint (3) |" in text
    assert scorecard_page(made).index("what the network uses") < scorecard_page(made).index("what moved")


def test_scorecards_of_the_first_version_say_what_moved():
    values = json.loads(hand_made_scorecard().to_json())
    assert values["schema_version"] == 2
    old = {key: value for key, value in values.items() if key not in ("slices", "hold")}
    read = Scorecard.from_json(json.dumps({**old, "schema_version": 1}))
    assert read.hold == read.slices == {}
    for methods in read.scores.values():
        for score in methods.values():
            del score["game_top"]
    assert "network uses" not in markdown(read) and "network uses" not in scorecard_page(read)
    with pytest.raises(CheckpointError, match="schema_version 2, got 3"):
        Scorecard.from_json(json.dumps({**old, "schema_version": 3}))


def test_a_known_clip_counts_its_areas_from_its_motion(shipped):
    clip = shipped.clips[0]
    expression = np.zeros((112, 112), np.float32)
    expression[50:60, 50:60], expression[50:55, 60:70] = 0.02, 0.015
    nuisance = np.full((112, 112), 0.004, np.float32)
    nuisance[:20] = 0.02
    made = KnownClip(clip.frames, clip.landmarks_xy, 0, "a", expression, nuisance, clip.course, ())
    assert made.moving.sum() == 150
    assert made.disturbed.sum() == 20 * 112
    still = replace(made, nuisance=np.full((112, 112), 0.004, np.float32))
    assert not still.disturbed.any()


def test_the_shipped_scorecard_is_about_the_shipped_weights_and_marks_what_fails(checkpoint):
    scorecard = read_scorecard(SHIPPED, checkpoint.sha256)
    assert scorecard is not None
    assert scorecard.clips >= CLIPS_TO_SHIP and scorecard.people >= 50 and scorecard.source == "shipped"
    assert set(scorecard.fails) == {method.key for method in METHODS.values() if method.fails_randomisation}
    assert all(set(METHODS) <= set(methods) for methods in scorecard.scores.values())
    best = {
        key: max(scorecard.scores["10"][method][key].mean for method in METHODS if method not in scorecard.fails)
        for key in ("pointing", "mass_ratio", "auroc")
    }
    assert best["pointing"] >= 0.85 and best["mass_ratio"] >= 3 and best["auroc"] >= 0.9
    assert scorecard.scores["10"]["integrated_gradients"]["gap_ok"].mean >= 0.95
