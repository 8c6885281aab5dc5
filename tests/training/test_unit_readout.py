"""The unit readouts of heads, fitted alone."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.paths import ROOT
from support.pattern_faces import pattern_faces, write_pattern_photos
from torch import nn

from mexplain.cli.main import main
from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.config import UNITS
from mexplain.simulation.sampling import PROBE
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.unit_readout import _fit, fit_unit_readout


def test_a_layer_learns_what_activations_are_linear_in() -> None:
    generator = torch.Generator().manual_seed(0)
    courses = torch.randn(4000, 12, generator=generator)
    true = nn.Linear(12, 6)
    # One unit in a hundred moves: a rare one is read as well as the others.
    true.bias.data[0] = -6.0
    activations = true(courses).sigmoid().detach()
    layer = nn.Linear(12, 6)
    _fit(layer, courses, activations)
    assert (layer(courses).sigmoid() - activations).abs().max() < 0.02


@pytest.mark.slow
def test_all_but_the_unit_readouts_stays_and_these_get_better() -> None:
    loaded = load_checkpoint()
    before, model = loaded.model, copy.deepcopy(loaded.model)
    for variant in model.variants:
        nn.init.zeros_(model.head(variant).read_units.weight)
    spoilt = copy.deepcopy(model)
    source = Synthesizer(pattern_faces(), model.config, torch.device("cpu"))
    assert fit_unit_readout(model, source, wanted=1, seed=3) >= 3 * len(UNITS) / 4
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before.state_dict()[name])}
    assert changed == {f"heads.{v}.read_units.{part}" for v in model.variants for part in ("weight", "bias")}
    assert not any(module._forward_pre_hooks for module in model.modules())
    batch = source.batch(8, model.config.frames, PROBE, 5)
    errors = []
    for net in (spoilt, model):
        with torch.no_grad():
            seen = net(batch.frames, batch.boxes)["10"].units.sigmoid().permute(0, 2, 3, 1)
        errors.append(float(np.abs((seen - batch.units).numpy()).mean()))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.slow
def test_the_command_writes_a_checkpoint_with_fitted_readouts_and_their_thresholds(tmp_path: Path) -> None:
    faces, folder = write_pattern_photos(tmp_path), tmp_path / "checkpoint"
    shutil.copytree(ROOT / "checkpoints", folder)
    assert (
        main(["fit-units", "--checkpoint", str(folder), "--faces", str(faces), "--clips", "1", "--device", "cpu"]) == 0
    )
    before, after = load_checkpoint(), load_checkpoint(folder)
    assert after.sha256 != before.sha256 and after.calibration == before.calibration
    assert (after.moment_floor, after.explanations) == (before.moment_floor, before.explanations)
    weights = after.model.state_dict()
    changed = {name for name, value in before.model.state_dict().items() if not torch.equal(value, weights[name])}
    assert changed and all(".read_units." in name for name in changed)
    assert json.loads((folder / "training.json").read_text())["unit_readout"]["each_unit"] == 1


def test_what_cannot_be_fitted_is_refused_before_work_starts(tmp_path: Path, capsys) -> None:
    faces = write_pattern_photos(tmp_path)
    for checkpoint, clips, said in ((tmp_path / "none", "1", "no folder"), (ROOT / "checkpoints", "0", "at least 1")):
        options = ["--checkpoint", str(checkpoint), "--faces", str(faces), "--clips", clips]
        assert main(["fit-units", *options]) == 2
        assert said in capsys.readouterr().err
