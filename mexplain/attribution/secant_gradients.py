"""How a network's answers change from each point of a way to the next.

A slope at a point says little where many units bend between it and the next point. What enters a unit moves nearly
straight there, so its mean slope is that of a chord, which is known from both ends: nothing is lost at the bends. The
product of all units' mean slopes is what automatic differentiation yields within ``SecantGradients``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# Points of a chord at which a smooth function's slope is looked at, and their weights (Gauss-Legendre).
_NODES, _WEIGHTS = (part.tolist() for part in np.polynomial.legendre.leggauss(3))
# Two values nearer to each other than this have the slope of the middle: their difference is mostly rounding.
_NEAR = 1e-3


class SecantGradients(TorchFunctionMode):
    """Within it what bends is differentiated along its chord to the next point, and not at the point itself.

    The first dimension of all that depends on the way runs over its ``points``, each with as many rows as the others,
    and a gradient of a row is that of the chord that begins there; those of the last point are 0. ReLUs, maxima,
    sigmoids and products are known; what else is not linear has the slope of where it is, and belongs into ``smooth``.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Answer a function that bends with one that is differentiated along chords."""
        rule = _RULES.get(func)
        if rule is not None:
            said = rule(self.points, *args, **(kwargs or {}))
            if said is not None:
                return said
        return func(*args, **(kwargs or {}))


def smooth(function: Callable[[Tensor], Tensor], x: Float[Tensor, "r ..."], points: int) -> Float[Tensor, "r ..."]:
    """Return a smooth function of each row of ``x``; its slopes are the mean of those at three points of each chord."""
    return _Smooth.apply(x, function, len(x) // points)


def between(cuts: Float[Tensor, "r ..."], rows: int, steps: int) -> Float[Tensor, "p ..."]:
    """Return ``steps`` points of each stretch from one cut to the next, drawn straight, and the last cut.

    A point's gradient is shared among all of its stretch. Each cut has as many ``rows``.
    """
    return _Between.apply(cuts, rows, steps)


class _Unit(Function):
    """A function of each number alone, with the slopes of its chords."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: int, unit: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Tensor:
        said, slope = unit(x, rows)
        ctx.save_for_backward(slope)
        return said

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        found = torch.empty_like(gradient)
        torch.mul(gradient[: len(slope)], slope, out=found[: len(slope)])
        found[len(slope) :] = 0
        return found, None, None


class _Maximum(Function):
    """The largest numbers of some places; on a chord one place holds it up to where another overtakes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: int, where: dict) -> Tensor:
        said, places = F.max_pool2d(x, **where, return_indices=True)
        values, at = x.flatten(2), places.flatten(2)
        begin, end = at[:-rows], at[rows:]
        ahead = values[:-rows].gather(2, begin) - values[:-rows].gather(2, end)
        behind = values[rows:].gather(2, end) - values[rows:].gather(2, begin)
        ctx.save_for_backward(at, (ahead / (ahead + behind)).nan_to_num_(1))
        ctx.shape = x.shape
        return said

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        at, share = ctx.saved_tensors
        count, rows = len(share), len(at) - len(share)
        gradient = gradient.flatten(2)[:count]
        first = gradient * share
        found = gradient.new_zeros(ctx.shape).flatten(2)
        found[:count].scatter_add_(2, at[:count], first).scatter_add_(2, at[rows:], gradient - first)
        return found.view(ctx.shape), None, None


class _Product(Function):
    """A product; on a chord each factor meets the mean of the other."""

    @staticmethod
    def forward(ctx: Any, one: Tensor, other: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(one, other)
        ctx.rows = rows
        return one * other

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, found = ctx.rows, []
        one, other = ctx.saved_tensors
        for factor, by in ((one, other), (other, one)):
            # Summed before it is made longer: a gate is one number for many.
            slope = gradient[:-rows] * (by[:-rows] + by[rows:])
            found.append(_ended(slope.sum_to_size(len(slope), *factor.shape[1:]).div_(2), rows))
        return found[0], found[1], None


class _Smooth(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], rows: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.function, ctx.rows = function, rows
        return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        begin, end = x[: -ctx.rows], x[ctx.rows :]
        with torch.enable_grad():
            nodes = torch.cat([torch.lerp(begin, end, (node + 1) / 2) for node in _NODES]).requires_grad_()
            weighed = torch.cat([gradient[: -ctx.rows] * (weight / 2) for weight in _WEIGHTS])
            (slopes,) = torch.autograd.grad(ctx.function(nodes), nodes, weighed)
        slope = slopes.unflatten(0, (len(_NODES), -1)).sum(0)
        return _ended(slope, ctx.rows), None, None


class _Between(Function):
    @staticmethod
    def forward(ctx: Any, cuts: Tensor, rows: int, steps: int) -> Tensor:
        ctx.shape = rows, steps
        begin, end = cuts[:-rows].unflatten(0, (-1, rows)), cuts[rows:].unflatten(0, (-1, rows))
        shares = torch.arange(steps, dtype=cuts.dtype, device=cuts.device).div_(steps)
        points = torch.lerp(begin[:, None], end[:, None], shares.view(-1, *[1] * cuts.ndim))
        return torch.cat([points.flatten(0, 2), cuts[-rows:]])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, steps = ctx.shape
        shared = gradient[:-rows].unflatten(0, (-1, steps, rows)).mean(1).flatten(0, 1)
        return _ended(shared, rows), None, None


def _ended(slopes: Tensor, rows: int) -> Tensor:
    """Return the slopes of all chords, and those of the last point, where none begins."""
    return torch.cat([slopes, torch.zeros_like(slopes[:rows])])


def _bend(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    begin, end = x[:-rows], x[rows:]
    # The share of the way that lies beyond the bend; 0/0 is a value that stays at it.
    share = torch.maximum(begin, end).div_((end - begin).abs_()).clamp_(0, 1).nan_to_num_(0)
    return x.clamp_min(0), share


def _squash(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    said, middle = torch.sigmoid(x), torch.sigmoid((x[rows:] + x[:-rows]) / 2)
    way = x[rows:] - x[:-rows]
    return said, torch.where(way.abs() < _NEAR, middle * (1 - middle), (said[rows:] - said[:-rows]) / way)


def _relu(points: int, x: Tensor, inplace: bool = False) -> Tensor:
    return _Unit.apply(x, len(x) // points, _bend)


def _sigmoid(points: int, x: Tensor) -> Tensor:
    return _Unit.apply(x, len(x) // points, _squash)


def _conv2d(points: int, x: Tensor, weight: Tensor, bias: Tensor | None = None, *more: Any, **named: Any) -> Tensor:
    # Linear; without this all that enters it would be kept, for gradients of its weights.
    return F.conv2d(x, weight.detach(), None if bias is None else bias.detach(), *more, **named)


def _max_pool2d(points: int, x: Tensor, kernel_size: int, stride: int | None = None, **more: Any) -> Tensor:
    more.pop("return_indices", None)
    return _Maximum.apply(x, len(x) // points, {"kernel_size": kernel_size, "stride": stride, **more})


def _mul(points: int, one: Tensor, other: Any) -> Tensor | None:
    # Weights, which are the same at all points, have a dimension less.
    if isinstance(other, Tensor) and one.ndim == other.ndim and len(one) == len(other) and len(one) % points == 0:
        return _Product.apply(one, other, len(one) // points)
    return None


_RULES: dict[Any, Callable] = {
    F.relu: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    torch.sigmoid: _sigmoid,
    F.conv2d: _conv2d,
    F.max_pool2d: _max_pool2d,
    torch.Tensor.mul: _mul,
    torch.mul: _mul,
}
