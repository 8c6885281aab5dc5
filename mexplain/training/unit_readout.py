"""The unit readout, each head's last layer for action units, fitted on clips in which each unit moves as often."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mexplain.evaluation.unit_clips import draw_unit_plans, render_plans, unit_mixture
from mexplain.media.progress import track
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.sampling import LIVELY_MICRO, PROBE, Mixture
from mexplain.simulation.synthesizer import Synthesizer

# Expressions of training are drawn as people show them, so that heads see little of rare units: what parts the lips got
# .07 where it moved. These clips have each unit as often; steady cameras, heads that turn, and faces that speak.
_FAINTEST_IOD = 0.012
READOUT_MIXTURES: tuple[Mixture, ...] = (
    unit_mixture(replace(PROBE, nuisance=0.5), faintest=_FAINTEST_IOD),
    unit_mixture(replace(PROBE, head_turns=0.5, camera=0.5), faintest=_FAINTEST_IOD),
    replace(LIVELY_MICRO, elsewhere=0.5),
)
_ITERATIONS = 200
# Of the weights' difference from those at the start, beside the mean loss of a unit.
_L2_PENALTY = 1e-3


def fit_unit_readout(model: MicroExpressionNet, source: Synthesizer, *, wanted: int, seed: int) -> int:
    """Fit ``read_units`` of each head, all other weights as they are, on ``wanted`` clips of each unit and mixture.

    The layer is linear, so that its loss, binary cross-entropy with the units' activation (0..1) in each frame, has one
    minimum, which L-BFGS finds. Returns the number of clips.
    """
    courses, activations = _courses(model, source, wanted=wanted, seed=seed)
    for variant in track(model.variants, "unit readouts"):
        _fit(model.head(variant).read_units, courses[variant], activations)
    return len(activations) // model.config.frames


@torch.no_grad()
def _courses(
    model: MicroExpressionNet, source: Synthesizer, *, wanted: int, seed: int
) -> tuple[dict[str, Float[Tensor, "n l"]], Float[Tensor, "n o"]]:
    """What each head's unit readout gets in all frames of the clips, and the activations that it should give."""
    config = model.config
    activations = []
    with _inputs_of_readouts(model) as courses:
        for number, mixture in enumerate(READOUT_MIXTURES):
            plans = draw_unit_plans(
                config.labels, len(source.landmarks), config.frames, mixture, wanted=wanted, seed=seed + number
            )
            for batch in render_plans(source, plans, mixture, seed=seed + number, aim="unit readouts"):
                model(batch.frames, batch.boxes)
                activations.append(batch.units.permute(0, 3, 1, 2).flatten(0, 1).flatten(1))
    return {variant: torch.cat(parts).flatten(0, 1) for variant, parts in courses.items()}, torch.cat(activations)


@contextmanager
def _inputs_of_readouts(model: MicroExpressionNet) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what each head's unit readout gets."""
    courses: dict[str, list[Tensor]] = {variant: [] for variant in model.variants}

    def keep(variant: str, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        courses[variant].append(inputs[0])

    hooks = [
        model.head(variant).read_units.register_forward_pre_hook(partial(keep, variant)) for variant in model.variants
    ]
    try:
        yield courses
    finally:
        for hook in hooks:
            hook.remove()


def _fit(layer: nn.Linear, courses: Float[Tensor, "n l"], activations: Float[Tensor, "n o"]) -> None:
    weight, bias = (value.detach().clone().requires_grad_() for value in (layer.weight, layer.bias))
    start = layer.weight.detach().clone()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        fitted = F.binary_cross_entropy_with_logits(F.linear(courses, weight, bias), activations)
        total: Tensor = fitted + _L2_PENALTY * (weight - start).square().sum() / len(weight)
        total.backward()
        return total

    optimiser.step(loss)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
