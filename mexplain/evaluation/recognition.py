"""Recognition accuracy and attention hits on simulated clips."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from mexplain.evaluation.intervals import wilson
from mexplain.media.progress import track
from mexplain.model.config import ModelConfig
from mexplain.model.device import exact_convolutions
from mexplain.model.network import Head, MicroExpressionNet
from mexplain.simulation.sampling import Mixture
from mexplain.simulation.synthesizer import Synthesizer

ABLATION = "10, frames only"


@dataclass(frozen=True)
class RecognitionScore:
    """Scores of one variant.

    ``accuracy`` and ``attention_hits`` are shares of clips with 95 % Wilson intervals; a hit is a clip in which the
    block with most attention (mean over the frames) moves at least half as strongly (mean squared motion) as the
    strongest; ``chance`` is the mean share of blocks that do. ``confusion`` counts true label by predicted.
    """

    clips: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    attention_hits: float | None
    attention_interval: tuple[float, float] | None
    chance: float | None
    confusion: tuple[tuple[int, ...], ...]


def ablation_config(config: ModelConfig) -> ModelConfig:
    """Return the same sizes without the onset difference."""
    return replace(config, onset_difference=False)


@exact_convolutions()
@torch.inference_mode()
def score_recognition(
    model: MicroExpressionNet, ablation: Head | None, source: Synthesizer, mixture: Mixture, *, clips: int, seed: int
) -> dict[str, RecognitionScore]:
    """Return the scores of each head on that many clips, and of the frames-only head where there is one."""
    labels = len(model.config.labels)
    heads = dict(model.heads.items()) | ({ABLATION: ablation} if ablation is not None else {})
    confusion = {name: np.zeros((labels, labels), int) for name in heads}
    hits: dict[str, list[Float[np.ndarray, "b"]]] = {name: [] for name in heads}
    chance: dict[str, list[Float[np.ndarray, "b"]]] = {name: [] for name in heads}
    for start in track(range(0, clips, 25), "batches of simulated clips"):
        batch = source.batch(min(25, clips - start), model.config.frames, mixture, seed * 1_000_003 + start)
        features = model.encode(batch.frames)
        for name, head in heads.items():
            variant = "10" if name == ABLATION else name
            output = head(features, batch.boxes[variant])
            expressive = (batch.labels >= 0).cpu().numpy()
            truth, predicted = batch.labels.cpu().numpy()[expressive], output.logits.argmax(1).cpu().numpy()[expressive]
            np.add.at(confusion[name], (truth, predicted), 1)
            energy = batch.energy[variant].cpu().numpy()[expressive]
            if energy.shape[1]:
                moving = energy >= 0.5 * energy.max(1, keepdims=True)
                first = output.attention_weights.float().mean(1).argmax(1).cpu().numpy()[expressive]
                hits[name].append(moving[np.arange(len(first)), first])
                chance[name].append(moving.mean(1))
    return {name: _summary(confusion[name], hits[name], chance[name]) for name in heads}


def _summary(confusion: np.ndarray, hits: list[np.ndarray], chance: list[np.ndarray]) -> RecognitionScore:
    count, right = int(confusion.sum()), int(np.trace(confusion))
    landed = np.concatenate(hits) if hits else None
    return RecognitionScore(
        clips=count,
        accuracy=right / count,
        accuracy_interval=wilson(right, count),
        attention_hits=None if landed is None else float(landed.mean()),
        attention_interval=None if landed is None else wilson(int(landed.sum()), len(landed)),
        chance=float(np.concatenate(chance).mean()) if chance else None,
        confusion=tuple(map(tuple, confusion.tolist())),
    )
