import json

import numpy as np
import pytest
import torch

from mexplain.cli.main import main
from mexplain.errors import SettingError
from mexplain.face.blocks import layout
from mexplain.model.export import FORMATS, MOST_DIFFERENCE, OUTPUTS, export_head

pytestmark = pytest.mark.slow
VARIANTS = ("24", "10", "uncropped")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_written_network_answers_as_this_one_does(checkpoint, smile, tmp_path, variant, kind):
    if kind == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    made = export_head(checkpoint, variant, tmp_path, kind)
    assert made.path == tmp_path / f"{variant}{FORMATS[kind]}" and made.difference < MOST_DIFFERENCE
    frames = torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float()[None] / 255
    boxes = torch.from_numpy(layout(variant).boxes(smile.landmarks_xy))[None]
    with torch.no_grad():
        expected = checkpoint.model(frames, {variant: boxes})[variant]
    inputs = (frames, boxes) if len(layout(variant)) else (frames,)
    if kind == "onnx":
        session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
        assert [output.name for output in session.get_outputs()] == list(OUTPUTS)
        given = [each.name for each in session.get_inputs()]
        found = session.run(None, {name: value.numpy() for name, value in zip(given, inputs, strict=True)})
    else:
        found = [output.detach().numpy() for output in torch.export.load(made.path).module()(*inputs)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=MOST_DIFFERENCE)
    described = json.loads((tmp_path / f"{variant}.json").read_text())
    assert described["labels"] == list(checkpoint.model.config.labels)
    assert described["blocks"] == list(layout(variant).names) and described["checkpoint_sha256"] == checkpoint.sha256


def test_what_cannot_be_written_is_told(checkpoint, tmp_path):
    with pytest.raises(SettingError, match="Format must be one of onnx, torch; got 'tflite'"):
        export_head(checkpoint, "10", tmp_path, "tflite")
    with pytest.raises(SettingError, match="This network has heads for"):
        export_head(checkpoint, "12", tmp_path, "torch")


def test_the_command_says_how_much_they_differ(tmp_path, capsys):
    assert main(["export", "--out", str(tmp_path), "--variant", "10", "--format", "torch"]) == 0
    assert "10.pt2: differs from the network by" in capsys.readouterr().out
    assert main(["export", "--out", str(tmp_path), "--format", "tflite"]) == 2
    assert "Format must be one of onnx, torch or all" in capsys.readouterr().err
