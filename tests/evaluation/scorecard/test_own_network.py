import json
from functools import cache

import numpy as np
import pytest
from support.recognisers import SPEC, hangs, mouth_reader, noise_maker, spot_reader, weighed_reader

from mexplain.errors import RecogniserError, SettingError
from mexplain.evaluation.scorecard import own_network
from mexplain.evaluation.scorecard.findings import dependence_p_value
from mexplain.evaluation.scorecard.known_clips import ClipRecipe
from mexplain.evaluation.scorecard.own_comparison import compare_recognisers
from mexplain.evaluation.scorecard.own_network import clips_for, run_own_scorecard
from mexplain.model.recogniser import CheckedRecogniser, InputSpec
from mexplain.model.scorecard import Scorecard

CLIPS, METHODS = 12, ("block_ablation", "occlusion")


@pytest.fixture(scope="module", autouse=True)
def rendered_once():
    """Render each clip's games once for all networks, which take the same clips: that is most of the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_network, "clips_for", cache(clips_for))
        for game in (ClipRecipe.game, ClipRecipe.time_game):
            patch.setattr(ClipRecipe, game.__name__, _kept(game))
        yield


def _kept(game):
    # By identity, for arrays have no hash; the recipe is kept beside its game, so that no other gets its id.
    made = {}

    def play(recipe, *arguments):
        key = (id(recipe), *arguments)
        if key not in made:
            made[key] = (recipe, game(recipe, *arguments))
        return made[key][1]

    return play


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The folder and the scorecard of each network."""
    out = tmp_path_factory.mktemp("own")
    return {
        make.__name__: (
            out / make.__name__,
            run_own_scorecard(
                CheckedRecogniser(make(), make.__name__), clips=CLIPS, out=out / make.__name__, methods=METHODS
            ),
        )
        for make in (mouth_reader, spot_reader, noise_maker, weighed_reader)
    }


def test_one_that_reads_a_spot_beside_the_face_is_exposed(scored):
    _, card = scored["spot_reader"]
    said = " ".join(card.findings)
    assert "spot_reader reads what lies beside the face: with all blocks of it held still, 9" in said
    assert "spot_reader does not use the expression" in said
    assert card.scores["spot_reader"]["occlusion"]["pointing"].mean == 0
    # Nothing that moved is owed anything, so that no method can be right about it.
    assert card.scores["spot_reader"]["block_ablation"]["game_top"] is None


def test_one_that_reads_the_mouth_is_not(scored):
    _, card = scored["mouth_reader"]
    said = " ".join(card.findings)
    assert "mouth_reader reads the face: with all blocks of it held still, 0 % (0 to 0)" in said
    assert "does not use" not in said and "mouth_reader does not follow what lies beside the face" in said
    assert card.scores["mouth_reader"]["block_ablation"]["game_top"].mean > 0.9
    assert card.accuracy == {} and "Right answers" not in (scored["mouth_reader"][0] / "scorecard.md").read_text()


def test_noise_is_said_to_know_nothing(scored):
    _, card = scored["noise_maker"]
    assert "noise_maker knows nothing of these expressions" in card.findings[0]
    assert "Asked about the same clip again, noise_maker gives other logits" in card.findings[1]
    assert len(card.findings) == 2


def test_a_scorecard_is_written_and_read_back(scored):
    for folder, card in scored.values():
        assert Scorecard.from_json((folder / "scorecard.json").read_bytes()) == card
        page, table = (folder / "scorecard.html").read_text(), (folder / "scorecard.md").read_text()
        for sentence in card.findings:
            assert sentence in page and f"- {sentence}" in table
        for sentence in card.does_not_apply.values():
            assert sentence in page and f"- {sentence}" in table


def test_references_are_beside_the_methods_or_it_is_said_why_not(scored):
    _, card = scored["weighed_reader"]
    scores, sanity = card.scores["weighed_reader"], card.sanity["weighed_reader"]
    assert {"random", "face", "motion", "random_weights"} < set(scores)
    # It is explained rightly, and its copies with random weights are not.
    assert scores["block_ablation"]["game_top"].mean > 0.9 > 0.8 > scores["random_weights"]["game_top"].mean
    assert sanity["occlusion"]["clips"] == CLIPS and abs(sanity["occlusion"]["blocks"]["everything"]) < 0.3
    assert list(card.does_not_apply) == ["planted_shortcuts"]
    assert card.fails == tuple(method for method in METHODS if sanity[method]["fails_randomisation"])
    table = (scored["weighed_reader"][0] / "scorecard.md").read_text()
    assert "| *Random weights* |" in table and "does not apply, for this network is not trained here" in table
    for name, why in (("mouth_reader", "has no parameters"), ("noise_maker", "is no torch.nn.Module")):
        card = scored[name][1]
        assert f"Random weights: does not apply, for {name} {why}" in card.does_not_apply["random_weights"]
        assert "random_weights" not in card.scores[name] and card.sanity[name]["occlusion"]["blocks"] is None


def test_a_stopped_run_goes_on_and_another_network_is_refused(scored, tmp_path):
    folder, card = scored["mouth_reader"]
    kept = (folder / "clips.jsonl").read_text().splitlines()
    (tmp_path / "run.json").write_bytes((folder / "run.json").read_bytes())
    (tmp_path / "clips.jsonl").write_text("\n".join(kept[:-2]) + "\n")
    again = run_own_scorecard(
        CheckedRecogniser(mouth_reader(), "mouth_reader"), clips=CLIPS, out=tmp_path, methods=METHODS
    )
    assert again.findings == card.findings and len((tmp_path / "clips.jsonl").read_text().splitlines()) == CLIPS
    with pytest.raises(SettingError, match="holds a run of another checkpoint"):
        run_own_scorecard(CheckedRecogniser(spot_reader(), "mouth_reader"), clips=CLIPS, out=tmp_path, methods=METHODS)


def test_few_clips_tell_nothing(tmp_path):
    card = run_own_scorecard(CheckedRecogniser(mouth_reader()), clips=2, out=tmp_path, methods=("block_ablation",))
    assert card.findings == ("2 clips are too few to tell what MouthReader knows or reads: that takes 8.",)


def test_one_that_fails_while_it_is_scored_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_RECOGNISER_S", "1")
    made = mouth_reader()
    checked = CheckedRecogniser(made)
    made.forward = hangs().forward
    with pytest.raises(RecogniserError, match="took longer than 1 s"):
        run_own_scorecard(checked, clips=1, out=tmp_path)


def test_all_networks_see_the_same_faces_and_movements():
    ours, theirs = clips_for(InputSpec(), 6), clips_for(SPEC, 6)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.person, one.label) == (other.person, other.label) and other.frames.shape == (4, 56, 56, 3)
        assert one.expression.max() == pytest.approx(other.expression.max(), rel=1e-4)


@pytest.mark.parametrize("crop_iod", [1.5, 3.5, 6.0])
def test_networks_that_see_more_or_less_of_a_face_see_the_same_movements(crop_iod):
    ours, theirs = clips_for(InputSpec(), 6), clips_for(InputSpec(size=224, crop_iod=crop_iod), 6)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.person, one.label, one.aus) == (other.person, other.label, other.aus)
        assert other.expression.max() == pytest.approx(one.expression.max(), rel=0.05)
        eyes = [float(np.hypot(*(clip.landmarks_xy[468] - clip.landmarks_xy[473]))) for clip in (one, other)]
        assert eyes[1] / 224 == pytest.approx(eyes[0] / 112 * 2.8 / crop_iod, rel=0.02)
    assert ("borders repeated" in theirs.source) == (crop_iod > 3.1) and theirs.sha256 != ours.sha256


@pytest.mark.parametrize("crop_iod", [2.0, 4.2])
def test_one_that_sees_more_or_less_of_a_face_is_judged_alike(crop_iod, tmp_path):
    reader = CheckedRecogniser(mouth_reader(crop_iod), "reader")
    card = run_own_scorecard(reader, clips=8, out=tmp_path, methods=("block_ablation",))
    assert any("reader reads the face: with all blocks of it held still, 0 %" in said for said in card.findings)
    assert card.scores["reader"]["block_ablation"]["game_top"].mean > 0.8


def test_two_networks_differ_by_what_they_read(scored, tmp_path, monkeypatch):
    rows = {}
    for name, (folder, _) in scored.items():
        rows[name] = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]
    monkeypatch.setattr(own_network.OwnRun, "measure", lambda run: rows[run.recogniser.name])
    pair = tuple(CheckedRecogniser(make(), make.__name__) for make in (mouth_reader, spot_reader))
    for name in ("mouth_reader", "spot_reader"):
        (tmp_path / name).mkdir()
    found = compare_recognisers(pair, clips=CLIPS, out=tmp_path, methods=METHODS)
    by_name = {difference.what: difference for difference in found.differences}
    left = by_name["Change left with the face held still"]
    assert left.difference.mean == pytest.approx(left.first.mean - left.second.mean, abs=2e-4)
    assert left.is_told_apart and left.difference.high < -0.8
    assert "Right answers" not in by_name and "Block ablation: Top block" not in by_name
    table = (tmp_path / "comparison.md").read_text()
    assert table == found.to_markdown() and "| mouth_reader | spot_reader | difference |" in table
    assert json.loads((tmp_path / "comparison.json").read_text())["names"] == ["mouth_reader", "spot_reader"]
    with pytest.raises(SettingError, match="mouth_reader was named twice"):
        compare_recognisers((pair[0], pair[0]), clips=CLIPS, out=tmp_path)


def test_answers_depend_on_labels_or_do_not():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 40)
    assert dependence_p_value((labels + 1) % 5, labels) < 0.01
    chance = [dependence_p_value(rng.integers(0, 3, 40), labels) for _ in range(20)]
    assert np.mean(np.array(chance) < 0.05) <= 0.2
