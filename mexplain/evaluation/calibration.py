"""How sure a network may say it is: temperatures and thresholds fitted on validation people, checked on others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.media.progress import track
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
from mexplain.records import Calibration
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE, SHIFTED, Mixture
from mexplain.simulation.synthesizer import Synthesizer

# What calibration must hold for: training's own clips and shifted ones, steady and shaky, and as many without an event.
FITTED_ON: tuple[Mixture, ...] = (
    PROBE,
    SHIFTED,
    replace(SHIFTED, nuisance=0.5),
    NUISANCE_ONLY,
    NUISANCE_ONLY,
    replace(NUISANCE_ONLY, nuisance=0.5),
)
PLAIN_IOD = 0.03  # what moves less may well be overlooked
BINS = 10
_AT_ONCE = 25


@dataclass(frozen=True)
class Answers:
    """What every variant said of some simulated clips; ``labels`` are -1 where there is no expression."""

    labels: Int[np.ndarray, "n"]
    intensity_iod: Float[np.ndarray, "n"]
    logits: dict[str, Float[np.ndarray, "n k"]]
    presence: dict[str, Float[np.ndarray, "n"]]


@dataclass(frozen=True)
class Reliability:
    """How often answers given with some probability were right: expected calibration error, and a row for each bin.

    A bin holds the mean probability of its answers, the share of them that were right, and their number.
    """

    error: float
    bins: tuple[tuple[float, float, int], ...]


@exact_convolutions()
@torch.inference_mode()
def predict_simulated(
    model: MicroExpressionNet, source: Synthesizer, mixture: Mixture, *, clips: int, seed: int
) -> Answers:
    """Return what a network says of that many clips of a mixture."""
    labels, intensity = [], []
    logits: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    presence: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    for start in track(range(0, clips, _AT_ONCE), "batches of simulated clips"):
        batch = source.batch(min(_AT_ONCE, clips - start), model.config.frames, mixture, seed * 1_000_003 + start)
        for variant, output in model(batch.frames, batch.boxes).items():
            logits[variant].append(output.logits.float().cpu())
            presence[variant].append(output.presence.float().cpu())
        labels.append(batch.labels.cpu().numpy())
        intensity.append(batch.intensity_iod.cpu().numpy())
    return Answers(
        np.concatenate(labels),
        np.concatenate(intensity),
        {variant: torch.cat(parts).numpy() for variant, parts in logits.items()},
        {variant: torch.cat(parts).numpy() for variant, parts in presence.items()},
    )


def join_answers(parts: list[Answers]) -> Answers:
    """Return several sets of answers as one."""
    return Answers(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.intensity_iod for part in parts]),
        {v: np.concatenate([part.logits[v] for part in parts]) for v in parts[0].logits},
        {v: np.concatenate([part.presence[v] for part in parts]) for v in parts[0].presence},
    )


def fit_calibration(answers: Answers) -> dict[str, Calibration]:
    """Return each variant's calibration.

    The temperature makes the classes of clips with an expression as likely as they are right (Guo et al., ICML 2017),
    a logistic curve does so for presence; "none" begins where clips with and without an expression are mistaken
    equally often; events fainter than ``PLAIN_IOD`` are not counted.
    """
    return {variant: _fit(answers, variant) for variant in answers.logits}


def _fit(answers: Answers, variant: str) -> Calibration:
    there = answers.labels >= 0
    logits = torch.from_numpy(answers.logits[variant][there]).double()
    labels = torch.from_numpy(answers.labels[there]).long()
    raw = torch.from_numpy(answers.presence[variant]).double()
    present = torch.from_numpy(there).double()
    log_temperature = torch.zeros(1, dtype=torch.double, requires_grad=True)
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    _minimise(lambda: F.cross_entropy(logits / log_temperature.exp(), labels), [log_temperature])
    _minimise(lambda: F.binary_cross_entropy_with_logits(line[0] * raw + line[1], present), [line])
    scale, shift = line.tolist()
    fitted = Calibration(float(log_temperature.exp().detach()), scale, shift)
    sure = fitted.presence(answers.presence[variant])
    plain = there & (answers.intensity_iod >= PLAIN_IOD)
    steps = np.quantile(sure, np.linspace(0, 1, 400))
    wrong = [max((sure[~there] >= step).mean(), (sure[plain] < step).mean()) for step in steps]
    return replace(fitted, none_below=float(steps[int(np.argmin(wrong))]))


def _minimise(loss, weights: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(weights, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def class_accuracy(answers: Answers, variant: str) -> float:
    """Return the share of clips with an expression whose most probable class is right."""
    there = answers.labels >= 0
    return float((answers.logits[variant].argmax(1) == answers.labels)[there].mean())


def called_none(answers: Answers, variant: str, calibration: Mapping[str, Calibration]) -> float:
    """Return the share of clips of which a variant says that there is no expression."""
    found = calibration[variant]
    return float((found.presence(answers.presence[variant]) < found.none_below).mean())


def reliability(answers: Answers, variant: str, calibration: Mapping[str, Calibration]) -> Reliability:
    """Return how far the probabilities of the given answers can be taken at their word."""
    there = answers.labels >= 0
    shares = calibration[variant].classes(answers.logits[variant][there])
    sure, right = shares.max(1), shares.argmax(1) == answers.labels[there]
    number = (sure * BINS).astype(int).clip(0, BINS - 1)
    bins = [
        (float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in (number == k for k in range(BINS))
        if inside.any()
    ]
    return Reliability(float(sum(abs(p - share) * count for p, share, count in bins) / len(sure)), tuple(bins))
