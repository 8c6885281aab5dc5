import numpy as np

from mexplain.explain.block_game import read_block_game
from mexplain.ui.tabs.what_if import _found
from mexplain.ui.text import render_html


def test_what_if_shows_no_sets_where_none_were_tried():
    html = render_html("flips", flips=[("24 blocks", "Hold a <b> still.")], games=[])
    assert "Hold a &lt;b&gt; still." in html and "minimal" not in html


def test_what_if_shows_every_minimal_set():
    logits = [[0.0, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]
    game = read_block_game("shapley", np.array(logits), 0, 0, ("yes", "no"), ("left", "right"))
    html = _found([("10 blocks", "Hold both.")], [("10 blocks", game)])
    assert "Every minimal set of 10 blocks" in html and html.count("<li>") == 1
    assert "<dd>left and right</dd>" in html and "<dd>left; right</dd>" in html
    assert "Either left or right alone is enough" in html
