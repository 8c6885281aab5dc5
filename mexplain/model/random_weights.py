"""A network of one's own with random numbers for weights: what explanations of it look like, a good one must not."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mexplain.errors import RecogniserError
from mexplain.model.recogniser import CheckedRecogniser


def why_not_randomised(recogniser: CheckedRecogniser) -> str | None:
    """Say why a recogniser cannot have random weights, as the end of a sentence; None where it can."""
    made = recogniser.made
    if not isinstance(made, nn.Module):
        return f"{recogniser.name} is no torch.nn.Module, whose weights could be replaced"
    if not any(parameter.is_floating_point() and parameter.numel() > 1 for parameter in made.parameters()):
        return f"{recogniser.name} has no parameters that could be replaced"
    return None


def randomised_recogniser(
    recogniser: CheckedRecogniser, seed: int, clip: Float[Tensor, "t 3 s s"]
) -> CheckedRecogniser | None:
    """Make a copy of a recogniser whose parameters are drawn anew; None where the copy gives no finite answer.

    Layers that can start afresh (``reset_parameters``) do; any other parameter gets normal numbers of the mean and
    spread that it had. Fresh batch norms get the mean and spread that they meet in ``clip``: as they start out, each
    layer would shrink what it passes on. Raises ``RecogniserError`` where the network cannot be copied, or hangs.
    """

    def make() -> nn.Module:
        fresh: nn.Module = copy.deepcopy(recogniser.made).requires_grad_(False)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            _draw_anew(fresh)
        return fresh

    fresh = recogniser.call(make)
    norms = [module for module in fresh.modules() if isinstance(module, _BatchNorm)]
    try:
        for norm in norms:
            # A mean over all that it meets.
            norm.momentum = None
            norm.train()
        checked = recogniser.with_weights_of(fresh)
        if norms:
            checked.logits(clip[None])
        fresh.eval()
        checked.logits(clip[None])
    except RecogniserError:
        if recogniser.hangs:
            raise
        return None
    return checked


def _draw_anew(network: nn.Module) -> None:
    done: set[int] = set()
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        # A user's own module may have a method of that name that asks for more.
        if callable(reset) and type(module).__module__.startswith("torch.nn."):
            reset()
            done |= {id(parameter) for parameter in module.parameters(recurse=False)}
    for parameter in network.parameters():
        if id(parameter) not in done and parameter.is_floating_point() and parameter.numel() > 1:
            spread, mean = torch.std_mean(parameter)
            parameter.normal_(float(mean), float(spread))
