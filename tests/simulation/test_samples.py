"""The clips that ship: their cause is known, and the shipped network finds it."""

import json

import pytest
from support.paths import SAMPLES

from mexplain.explain.explain import explain
from mexplain.records import ExplainRequest

pytestmark = pytest.mark.slow


def test_four_samples_ship_with_captions_and_truth() -> None:
    names = sorted(path.name for path in SAMPLES.glob("*.mp4"))
    assert names == ["disgust.mp4", "happiness.mp4", "repression.mp4", "surprise.mp4"]
    assert set(json.loads((SAMPLES / "samples.json").read_text())) == set(names)
    assert all((SAMPLES / name).with_suffix(".truth.json").is_file() for name in names)
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 3e6


@pytest.mark.parametrize("name", ["happiness", "disgust", "surprise", "repression"])
def test_the_cause_is_found(name: str, checkpoint) -> None:
    report = explain(SAMPLES / f"{name}.mp4", checkpoint, ExplainRequest(methods=()))
    truth = json.loads((SAMPLES / f"{name}.truth.json").read_text())["block_energy"]
    assert [variant.label for variant in report.variants] == [name] * 3
    for variant in report.variants:
        if variant.variant in truth:
            attention = {block.name: sum(block.attention or ()) for block in variant.blocks}
            energy = truth[variant.variant]
            first = max(attention, key=attention.__getitem__)
            assert energy[first] >= 0.5 * max(energy.values()), f"{variant.variant}: {first}"


def test_a_smile_is_happy_because_of_the_mouth(checkpoint) -> None:
    report = explain(SAMPLES / "happiness.mp4", checkpoint, ExplainRequest(variants=("10",)))
    scores = {block.name: block.attribution["integrated_gradients"] for block in report.variants[0].blocks}
    assert max(scores, key=scores.__getitem__) in {"mouth corner left", "mouth corner right", "chin", "nose"}
