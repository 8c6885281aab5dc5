from dataclasses import replace

import numpy as np
import pytest
from support.hand_made import METHOD, make_report

from mexplain.errors import SettingError
from mexplain.model.scorecard import read_scorecard
from mexplain.report.comparison import compare_variants, most_divided, strongest
from mexplain.report.wording import compared, method_scores, methods_agree

pytestmark = pytest.mark.slow


def test_shares_ranks_and_difference_maps(report):
    found = compare_variants(report[0], METHOD)
    assert set(found.shares) == {"24", "10", "uncropped"}
    for variant, shares in found.shares.items():
        assert sum(abs(share) for share in shares.values()) == pytest.approx(1, abs=1e-5)
        ranks = found.ranks[variant]
        assert sorted(ranks.values()) == list(range(1, 11))
        assert abs(shares[min(ranks, key=ranks.get)]) == max(abs(share) for share in shares.values())
        assert strongest(found, variant)[0] == min(ranks, key=ranks.get)
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("24", "10"),
        ("24", "uncropped"),
        ("10", "uncropped"),
    ]
    by_name = {v.variant: v.maps[METHOD].sum(axis=0) for v in report[0].variants}
    by_name = {name: whole / np.abs(whole).sum() for name, whole in by_name.items()}
    for pair in found.pairs:
        np.testing.assert_allclose(pair.difference, by_name[pair.first] - by_name[pair.second], atol=1e-6)
        known = report[0].agreement[METHOD].get((pair.first, pair.second))
        assert pair.agreement == known
        assert most_divided(found, pair) in found.shares["10"]


def test_a_method_that_was_not_run_cannot_be_compared(report):
    with pytest.raises(SettingError, match="saliency was not run"):
        compare_variants(report[0], "saliency")


def test_disagreement_is_said_in_a_sentence():
    up, down = np.zeros(10), np.zeros(10)
    up[7], down[2] = 1.0, 1.0
    one = make_report("10", scores=up)
    other = make_report("uncropped", scores=down).variants[0]

    def pooled(values):
        names = [block.name for block in one.variants[0].blocks]
        return {"10": {METHOD: dict(zip(names, values.tolist(), strict=True))}}

    variants = (replace(one.variants[0], pooled=pooled(up)), replace(other, pooled=pooled(down)))
    told = compared(compare_variants(replace(one, variants=variants), METHOD))
    assert "mouth corner right" in told and "inner brow right" in told
    alike = compared(compare_variants(replace(one, variants=(variants[0], replace(other, pooled=pooled(up)))), METHOD))
    assert "same block" in alike


def test_a_method_s_scores_are_those_of_the_scorecard(checkpoint):
    card = read_scorecard(checkpoint.folder, checkpoint.sha256)
    top = 100 * card.scores["24"]["saliency"]["game_top"].mean
    (named, _, random) = method_scores("saliency", card, "24")
    assert named == ("", f"Names the block used most in {top:.0f} of 100 clips.") and random[0] == "no"
    assert method_scores("shapley", card, "10")[-1] == ("yes", "Passes the test with random weights.")
    assert method_scores("shapley", None, "10") == []


def test_a_sentence_says_how_far_methods_agree():
    assert methods_agree({"a": "chin", "b": "nose", "c": "chin"}) == "2 of 3 methods put chin first, 1 nose."
    assert methods_agree({"a": "chin", "b": "chin"}) == "All 2 methods put the same block first: chin."
    assert methods_agree({}) == ""
