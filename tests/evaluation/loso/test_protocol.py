import pytest
from support.loso import planted_sample

from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.loso.protocol import (
    PROTOCOLS,
    assign,
    check_leak,
    default_protocol,
    objective_class,
)
from mexplain.model.config import CASME2_LABELS


def test_a_subjects_own_clips_may_share_frames():
    samples = [planted_sample(subject, clip) for subject, clip in (("1", "a"), ("1", "b"), ("2", "c"))]
    digests = [("x", "y"), ("y", "z"), ("p", "q")]
    check_leak(samples, digests, train=[2], held_out=[0, 1])
    with pytest.raises(DatasetError, match=r"Frame 1.png of the left-out subject casme2/2, clip c, .* clip b of"):
        check_leak(samples, [("x", "y"), ("y", "q"), ("p", "q")], train=[0, 1], held_out=[2])


def test_protocols_make_the_classes_that_were_published():
    def classes(protocol, dataset, *labels):
        of = PROTOCOLS[protocol].class_of
        return [of(planted_sample(label=label, dataset=dataset)) for label in labels]

    assert classes("casme2_5", "casme2", *CASME2_LABELS, "fear", "sadness") == [*CASME2_LABELS, None, None]
    assert classes("megc2019", "casme2", *CASME2_LABELS, "fear", "sadness") == [
        *("positive", "negative", "surprise", "negative", None, None, None),
    ]
    negatives = ("anger", "contempt", "disgust", "fear", "sadness")
    assert classes("megc2019", "samm", *negatives, "happiness", "surprise", "others") == [
        *(*["negative"] * 5, "positive", "surprise", None),
    ]
    assert classes("megc2019", "smic", "negative", "positive", "surprise") == ["negative", "positive", "surprise"]
    for units, expected in (
        *(((6, 12), "I"), ((2, 1), "II"), ((4,), "III"), ((9,), "IV"), ((15, 17), "V"), ((1, 2, 4), "VI")),
        *(((14,), "VII"), ((), None)),
    ):
        assert objective_class(planted_sample(units=units)) == expected
    assert [default_protocol(given) for given in (("casme2",), ("smic", "samm"), ("dfme",), ("casme2", "dfme"))] == [
        *("casme2_5", "megc2019", "as_coded", "as_coded"),
    ]


def test_protocols_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match="classes megc2019 are for casme2, samm, smic; got dfme"):
        assign("megc2019", [planted_sample(dataset="dfme")])
    with pytest.raises(SettingError, match=r"classes must be one of casme2_5, .*; got 'seven'"):
        assign("seven", [])
    with pytest.raises(DatasetError, match="2 clips of 1 subjects and 2 classes"):
        assign("casme2_5", [planted_sample(clip="a"), planted_sample(clip="b", label="surprise")])
    task = assign(
        "casme2_5", [planted_sample(), planted_sample("2", "b", "surprise"), planted_sample("2", "c", "fear")]
    )
    assert task.left_out == {("casme2", "fear"): 1} and task.truth == (0, 2)
    assert task.people == (("casme2", "1"), ("casme2", "2")) and task.split(("casme2", "2")) == ((0,), (1,))
