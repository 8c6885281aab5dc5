"""Calibration: temperatures and thresholds fitted on simulated clips, and how reliable the probabilities are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.media.progress import track
from mexplain.model.calibration import Calibration
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE, SHIFTED, Mixture
from mexplain.simulation.synthesizer import Synthesizer


def _moving(mixture: Mixture) -> Mixture:
    """The mixture, half of its clips with a head that turns, half with a camera that moves."""
    return replace(mixture, head_turns=0.5, camera=0.5)


_LIVELY = replace(PROBE, lively=1.0, takes="validation")
# What people do before a camera. As many clips have an expression as have none, for nobody knows how often visitors
# show one: a presence of one half then says that what is seen speaks for either alike. A tenth of those without is
# motionless, which no curve of presence can miss, and a third lively, which is what is easily mistaken.
FITTED_ON: tuple[Mixture, ...] = (
    PROBE,
    SHIFTED,
    replace(SHIFTED, nuisance=0.5),
    _moving(PROBE),
    NUISANCE_ONLY,
    replace(NUISANCE_ONLY, nuisance=0.5, still=0.5),
    _moving(NUISANCE_ONLY),
    _moving(_LIVELY),
    replace(_LIVELY, empty=1.0),
)
PLAIN_IOD = 0.03  # fainter motion may be missed
BINS = 10
_AT_ONCE = 25


@dataclass(frozen=True)
class SimulatedPredictions:
    """True labels (-1: no expression) and peaks of simulated clips, and each variant's outputs for them.

    ``units`` is how far, 0..1, each action unit got at most, in any frame and on either side.
    """

    labels: Int[np.ndarray, "n"]
    intensity_iod: Float[np.ndarray, "n"]
    logits: dict[str, Float[np.ndarray, "n k"]]
    presence: dict[str, Float[np.ndarray, "n"]]
    units: dict[str, Float[np.ndarray, "n u"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reliability:
    """Expected calibration error, and a row for each bin of the reliability diagram.

    A bin holds the mean probability of its predictions, the share of them that are right, and their number.
    """

    error: float
    bins: tuple[tuple[float, float, int], ...]


@exact_convolutions()
@torch.inference_mode()
def predict_simulated(
    model: MicroExpressionNet, source: Synthesizer, mixture: Mixture, *, clips: int, seed: int
) -> SimulatedPredictions:
    """Return a network's predictions for ``clips`` clips of a mixture."""
    labels, intensity = [], []
    logits: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    presence: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    units: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}
    for start in track(range(0, clips, _AT_ONCE), "batches of simulated clips"):
        batch = source.batch(min(_AT_ONCE, clips - start), model.config.frames, mixture, seed * 1_000_003 + start)
        for variant, output in model(batch.frames, batch.boxes).items():
            logits[variant].append(output.logits.float().cpu())
            presence[variant].append(output.presence.float().cpu())
            units[variant].append(output.units.float().amax((1, 3)).sigmoid().cpu())
        labels.append(batch.labels.cpu().numpy())
        intensity.append(batch.intensity_iod.cpu().numpy())
    return SimulatedPredictions(
        np.concatenate(labels),
        np.concatenate(intensity),
        {variant: torch.cat(parts).numpy() for variant, parts in logits.items()},
        {variant: torch.cat(parts).numpy() for variant, parts in presence.items()},
        {variant: torch.cat(parts).numpy() for variant, parts in units.items()},
    )


def concatenate_predictions(parts: list[SimulatedPredictions]) -> SimulatedPredictions:
    """Return several sets of predictions as one."""
    return SimulatedPredictions(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.intensity_iod for part in parts]),
        {v: np.concatenate([part.logits[v] for part in parts]) for v in parts[0].logits},
        {v: np.concatenate([part.presence[v] for part in parts]) for v in parts[0].presence},
        {v: np.concatenate([part.units[v] for part in parts]) for v in parts[0].units},
    )


def fit_calibration(predictions: SimulatedPredictions) -> dict[str, Calibration]:
    """Return each variant's calibration.

    The temperature minimises the cross-entropy of classes on clips with an expression (Guo et al., ICML 2017), a
    logistic curve that of presence. The threshold of "none" is where clips with and without an expression are mistaken
    equally often; expressions fainter than ``PLAIN_IOD`` are not counted.
    """
    return {variant: _fit(predictions, variant) for variant in predictions.logits}


def _fit(predictions: SimulatedPredictions, variant: str) -> Calibration:
    expressive = predictions.labels >= 0
    logits = torch.from_numpy(predictions.logits[variant][expressive]).double()
    labels = torch.from_numpy(predictions.labels[expressive]).long()
    raw = torch.from_numpy(predictions.presence[variant]).double()
    present = torch.from_numpy(expressive).double()
    log_temperature = torch.zeros(1, dtype=torch.double, requires_grad=True)
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    minimise(lambda: F.cross_entropy(logits / log_temperature.exp(), labels), [log_temperature])
    minimise(lambda: F.binary_cross_entropy_with_logits(line[0] * raw + line[1], present), [line])
    scale, shift = line.tolist()
    fitted = Calibration(float(log_temperature.exp().detach()), scale, shift)
    presence = fitted.presence(predictions.presence[variant])
    plain = expressive & (predictions.intensity_iod >= PLAIN_IOD)
    steps = np.quantile(presence, np.linspace(0, 1, 400))
    wrong = [max((presence[~expressive] >= step).mean(), (presence[plain] < step).mean()) for step in steps]
    return replace(fitted, none_below=float(steps[int(np.argmin(wrong))]))


def minimise(loss: Callable[[], Tensor], weights: list[Tensor]) -> None:
    """Change weights, which are leaves that need gradients, so that a smooth loss is least (L-BFGS)."""
    optimizer = torch.optim.LBFGS(weights, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def classified_rightly(predictions: SimulatedPredictions, variant: str) -> Bool[np.ndarray, "k"]:
    """Return the correctness of the most probable class, for each clip with an expression."""
    expressive = predictions.labels >= 0
    return np.asarray((predictions.logits[variant].argmax(1) == predictions.labels)[expressive])


def withheld(
    predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]
) -> Bool[np.ndarray, "n"]:
    """Return a mask of the clips for which a variant withholds a label ("none")."""
    fitted = calibration[variant]
    return np.asarray(fitted.presence(predictions.presence[variant]) < fitted.none_below)


def reliability(predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]) -> Reliability:
    """Return the reliability of a variant's class probabilities on clips with an expression."""
    expressive = predictions.labels >= 0
    shares = calibration[variant].classes(predictions.logits[variant][expressive])
    confidence, right = shares.max(1), shares.argmax(1) == predictions.labels[expressive]
    number = (confidence * BINS).astype(int).clip(0, BINS - 1)
    bins = [
        (float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in (number == k for k in range(BINS))
        if inside.any()
    ]
    return Reliability(float(sum(abs(p - share) * count for p, share, count in bins) / len(confidence)), tuple(bins))
