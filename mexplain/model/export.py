"""The network outside of this package: a head with the trunk as an ONNX file or a ``torch.export`` program.

What is written is read back and asked about a clip, with blocks in other places than those that it was made with.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mexplain.errors import CheckpointError, SettingError
from mexplain.face.blocks import layout
from mexplain.face.mesh import mean_shape
from mexplain.media.files import write_json_file
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.config import ModelConfig
from mexplain.model.network import MicroExpressionNet

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
OUTPUTS = ("logits", "attention_weights", "presence", "units")
# The most by which a written network may differ from the one it was made of, in logits.
MOST_DIFFERENCE = 1e-4
_OPSET = 18


@dataclass(frozen=True)
class ExportedHead:
    """A written network: its file, and by how much its outputs differ at most from those of the network here."""

    path: Path
    variant: str
    difference: float


class _OneHead(nn.Module):
    """Trunk and one head, from tensors to a tuple of tensors."""

    def __init__(self, model: MicroExpressionNet, variant: str) -> None:
        super().__init__()
        self.model, self.variant = model, variant

    def forward(self, frames: Tensor, boxes: Tensor | None = None) -> tuple[Tensor, ...]:
        """Run the head; where it has no blocks, ``boxes`` are left out."""
        corners = frames.new_zeros(len(frames), 0, 4) if boxes is None else boxes
        return tuple(self.model(frames, {self.variant: corners})[self.variant])


@torch.no_grad()
def export_head(checkpoint: Checkpoint, variant: str, folder: Path, kind: str) -> ExportedHead:
    """Write one head as ``VARIANT.onnx`` or ``VARIANT.pt2``, with what its input and output mean in ``VARIANT.json``.

    ``kind`` is a key of ``FORMATS``. What is written takes one clip ``frames`` (1, t, 3, s, s), aligned RGB in 0..1,
    the onset first, and, where the variant has blocks, their corners ``boxes`` (1, n, 4) in pixels; its outputs are
    ``OUTPUTS``.

    Raises ``SettingError`` for an unknown format or variant, ``CheckpointError`` where what was written answers
    otherwise by more than ``MOST_DIFFERENCE``.
    """
    if kind not in FORMATS:
        raise SettingError(f"Format must be one of {', '.join(FORMATS)}; got {kind!r}.")
    model, config = checkpoint.model, checkpoint.model.config
    model.head(variant)
    # A copy, for exporters put their own tensors into layers while they look on.
    one = _OneHead(copy.deepcopy(model), variant).eval()
    path = folder / f"{variant}{FORMATS[kind]}"
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Exporters warn of what is checked below.
        warnings.simplefilter("ignore")
        ask = {"onnx": _write_onnx, "torch": _write_program}[kind](one, _example(config, variant, 0), path)
    other = _example(config, variant, 1)
    expected = _OneHead(model, variant)(*other)
    pairs = zip(ask(other), expected, strict=True)
    difference = max(float((found - right).abs().max()) for found, right in pairs)
    if difference > MOST_DIFFERENCE:
        path.unlink()
        raise CheckpointError(f"{path.name} answers otherwise than the network by {difference:.2g}; it is not kept.")
    write_json_file(folder / f"{variant}.json", _description(checkpoint, variant))
    return ExportedHead(path, variant, difference)


def _write_onnx(one: _OneHead, example: tuple[Tensor, ...], path: Path) -> Callable[[tuple[Tensor, ...]], list[Tensor]]:
    import onnxruntime

    names = ["frames", "boxes"][: len(example)]
    torch.onnx.export(
        one, example, str(path), input_names=names, output_names=list(OUTPUTS), opset_version=_OPSET, dynamo=False
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def ask(inputs: tuple[Tensor, ...]) -> list[Tensor]:
        fed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return [torch.from_numpy(output) for output in session.run(None, fed)]

    return ask


def _write_program(
    one: _OneHead, example: tuple[Tensor, ...], path: Path
) -> Callable[[tuple[Tensor, ...]], list[Tensor]]:
    torch.export.save(torch.export.export(one, example), path)
    program = torch.export.load(path).module()
    return lambda inputs: list(program(*inputs))


def _example(config: ModelConfig, variant: str, seed: int) -> tuple[Tensor, ...]:
    """Return a clip of noise and blocks of a mean face, which lies elsewhere for each seed."""
    generator = torch.Generator().manual_seed(seed)
    size = config.image_size
    frames: Float[Tensor, "1 t 3 s s"] = torch.rand(1, config.frames, 3, size, size, generator=generator)
    if not len(layout(variant)):
        return (frames,)
    mesh = (mean_shape() / config.crop_iod + np.array([0.5, 0.3 + 0.05 * seed], np.float32)) * size
    return frames, torch.from_numpy(layout(variant).boxes(mesh.astype(np.float32)))[None]


def _description(checkpoint: Checkpoint, variant: str) -> dict[str, object]:
    config = checkpoint.model.config
    known = asdict(config)
    return {
        "variant": variant,
        "checkpoint_sha256": checkpoint.sha256,
        **{key: known[key] for key in ("labels", "units", "frames", "image_size", "crop_iod")},
        "blocks": list(layout(variant).names),
        "outputs": list(OUTPUTS),
    }
