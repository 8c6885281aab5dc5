import pytest

from mexplain.evaluation.loso.metrics import confusion_of, score_classes


def test_scores_are_those_worked_out_by_hand():
    # Class a: 3 of 4 right and 1 more called a; b: 1 of 2 right, 1 more called b; c: 1 of 1, 0 more; d: none there.
    truth, said = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 0, 1, 2]
    found = score_classes(confusion_of(truth, said, 4), ("a", "b", "c", "d"))
    assert found.confusion == ((3, 1, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert found.accuracy == pytest.approx(5 / 7)
    # F1: 2*3/(2*3+1+1), 2*1/(2*1+1+1), 1.
    assert found.uf1 == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found.uar == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found.absent == ("d",) and found.clips == 7
    # F1 and recall part company where answers are lopsided: a gets 2*2/(4+2), b 0.
    lopsided = score_classes(confusion_of([0, 0, 1, 1], [0, 0, 0, 0], 2), ("a", "b"))
    assert lopsided.uf1 == pytest.approx((2 / 3) / 2) and lopsided.uar == 0.5 and lopsided.accuracy == 0.5
