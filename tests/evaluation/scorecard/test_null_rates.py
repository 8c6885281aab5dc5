import pytest

from mexplain.evaluation.intervals import wilson
from mexplain.evaluation.scorecard.known_clips import load_known_clips
from mexplain.evaluation.scorecard.null_rates import (
    RANDOM_ORDERS,
    SHUFFLED_MOTION,
    null_rates,
    null_rates_table,
)
from mexplain.evaluation.scorecard.reference_maps import GUESSES, RANDOM_WEIGHTS

pytestmark = pytest.mark.slow


def test_of_500_orders_that_know_nothing_at_most_one_in_twenty_passes_each_check(checkpoint):
    rates = null_rates(checkpoint.model, load_known_clips(count=10).clips, draws=25, variants=("10",))["10"]
    assert set(rates) == {RANDOM_ORDERS, SHUFFLED_MOTION, *GUESSES} - {RANDOM_WEIGHTS}
    assert set(rates["motion"]) == {"deletion", "insertion", "single_deletion", "infidelity", "attention"}
    for key in rates["motion"]:
        meaningless = [rates[row][key] for row in (RANDOM_ORDERS, SHUFFLED_MOTION)]
        rows = sum(found.clips for found in meaningless)
        assert rows == 500
        low, _ = wilson(round(sum(found.share * found.clips for found in meaningless)), rows)
        assert low <= 0.05, (key, meaningless)
        # An even map ranks no block.
        assert rates["face"][key].share == rates["uniform"][key].share == 0
    # What moved is not what the network uses, but it is no order of chance.
    assert rates["motion"]["deletion"].share > 0.2
    table = null_rates_table({"10": rates}).splitlines()
    assert len(table) == 1 + len(rates) and table[0].split()[:3] == ["variant", "scores", "rows"]
