from dataclasses import replace

import numpy as np
import pytest
import torch
from support.hand_made import make_report
from support.targets import build_target

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.coalition_table import coalition_members
from mexplain.explain.block_game import block_game_sentence, play_block_game, read_block_game
from mexplain.explain.explain import explain
from mexplain.face.blocks import LAYOUTS
from mexplain.records import ExplainRequest
from mexplain.report import block_sets, wording
from mexplain.report.json_export import to_json

BLOCKS = LAYOUTS["10"].names


def game(rule):
    """A game of ten blocks whose answer is "yes" where a rule holds of the names of those that move."""
    members = coalition_members(10, torch.device("cpu")).numpy() > 0
    yes = np.array([float(rule({BLOCKS[i] for i in np.flatnonzero(moving)})) for moving in members])
    return read_block_game("shapley", np.stack([yes, 1 - yes], 1), 0, 0, ("yes", "no"), BLOCKS)


LEFT, RIGHT, NOSE = "mouth corner left", "mouth corner right", "nose"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            lambda moving: LEFT in moving or RIGHT in moving,
            "Either mouth corner right or mouth corner left alone is enough for “yes”. Holding one block still does "
            "not change the answer; holding mouth corner right and mouth corner left still does.",
        ),
        (
            lambda moving: LEFT in moving and NOSE in moving,
            "No block alone is enough for “yes”: at least 2 have to move.",
        ),
        (lambda moving: NOSE in moving, ""),
        (
            lambda moving: True,
            "No set of blocks takes “yes” away when it is held still: no block has to move for it.",
        ),
        (
            lambda moving: len(moving) >= 7,
            "No block alone is enough for “yes”: at least 7 have to move. Holding one block still does not change the "
            f"answer; holding {', '.join(BLOCKS[:3])} and {BLOCKS[3]} still does, and so do 209 other sets.",
        ),
        (
            lambda moving: len(moving) >= 1,
            "Any of 10 blocks alone is enough for “yes”. Holding one block still does not change the answer; "
            f"holding {', '.join(BLOCKS[:9])} and {BLOCKS[9]} still does.",
        ),
        (
            lambda moving: bool({LEFT, NOSE} & moving),
            "Either nose or mouth corner left alone is enough for “yes”. Holding one block still does not change the "
            "answer; holding nose and mouth corner left still does.",
        ),
    ],
)
def test_the_sentence_says_where_single_blocks_mislead(rule, sentence):
    assert block_game_sentence(game(rule)) == sentence


def test_what_if_lists_the_smallest_sets():
    either = game(lambda moving: LEFT in moving or RIGHT in moving)
    (flip, held), (enough, moving) = block_sets.minimal_sets_of(either)
    assert (flip, held) == ("Held still, takes “yes” away", f"{RIGHT} and {LEFT}")
    assert (enough, moving) == ("As long as it moves, keeps “yes”", f"{RIGHT}; {LEFT}")
    said = block_sets.additive(either)
    assert "67 % of how" in said and "partly do the same (-1.00 logits)" in said
    many = block_sets.minimal_sets_of(game(lambda moving: len(moving) >= 9))
    assert many[0][1].endswith("; and 39 more")
    assert block_sets.additive(game(lambda moving: True)) == ""


def test_trust_of_the_method_alone_tells_it(report):
    variant = next(v for v in report[0].variants if v.variant == "10")
    (method,) = variant.trust
    either = game(lambda moving: LEFT in moving or RIGHT in moving)
    assert "Either mouth corner" not in wording.trust(replace(variant, block_game=either), method)
    assert "Either mouth corner" in wording.trust(replace(variant, block_game=replace(either, method=method)), method)


def test_json_has_the_game_where_there_is_one():
    report = make_report()
    assert to_json(report)["variants"][0]["block_game"] is None
    one = replace(report.variants[0], block_game=game(lambda moving: LEFT in moving or RIGHT in moving))
    found = to_json(replace(report, variants=(one,)))["variants"][0]["block_game"]
    assert found["flipping"] == [[RIGHT, LEFT]] and found["sufficing"] == [[RIGHT], [LEFT]]
    assert found["blocks"] == list(BLOCKS) and np.array(found["interactions"]).shape == (10, 10)
    assert found["sentence"].startswith("Either mouth corner") and found["additive_share"] == pytest.approx(2 / 3)


@pytest.mark.slow
@pytest.mark.usefixtures("lightly_tested")
def test_exact_shapley_values_come_with_the_game(person_path, checkpoint):
    request = ExplainRequest(
        methods=("block_ablation", "shapley"), variants=("10", "24"), start_s=0.2, end_s=0.7, device="cpu"
    )
    ten, many = explain(person_path, checkpoint, request).variants
    if ten.variant != "10":
        ten, many = many, ten
    assert many.block_game is None
    found = ten.block_game
    assert found.method == "shapley" and found.target == found.answer == max(ten.logits, key=ten.logits.get)
    assert found.blocks == tuple(block.name for block in ten.blocks)


def test_playing_all_sets_agrees_with_the_method(checkpoint, smile):
    frames = torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    labels = checkpoint.model.config.labels
    played = play_block_game(target, labels)
    attribution = attribute_target(target, "shapley")
    read = read_block_game(
        "shapley", attribution.coalition_logits, target.class_index, target.class_index, labels, BLOCKS
    )
    assert played == read
    assert play_block_game(build_target(checkpoint.model, "24", frames, smile.landmarks_xy), labels) is None
