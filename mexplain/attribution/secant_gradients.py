"""Mean slopes along a path, by DeepLIFT's rescale rule on each segment of it.

Where many units are nonlinear, the slope at a point says little about the change up to the next point. A unit's input
moves nearly straight between the two, so its mean slope is that of the secant, (f(b) - f(a)) / (b - a), which is known
from both ends. Within ``SecantGradients`` automatic differentiation multiplies these mean slopes instead of slopes at
points (Shrikumar et al. 2017 do the same from a reference to an input at once), so nothing is lost at the kinks.
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

# Points of a segment at which a smooth function is differentiated, and their weights (Gauss-Legendre quadrature).
_NODES, _WEIGHTS = (part.tolist() for part in np.polynomial.legendre.leggauss(3))
# Values nearer to each other than this get the slope at their middle: their difference is mostly rounding.
_NEAR = 1e-3


class SecantGradients(TorchFunctionMode):
    """A context in which nonlinear functions are differentiated by secants from each point of a path to the next.

    The first dimension of each tensor that depends on the path runs over its ``points``, each with the same number of
    rows; a row's gradient is that of the segment that begins there, and 0 at the last point. There are rules for ReLU,
    max-pooling, sigmoid and products. Other nonlinear functions keep their slopes at the points: wrap them in
    ``smooth``.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace functions that have a rule."""
        rule = _RULES.get(func)
        if rule is not None:
            output = rule(self.points, *args, **(kwargs or {}))
            if output is not None:
                return output
        return func(*args, **(kwargs or {}))


def smooth(function: Callable[[Tensor], Tensor], x: Float[Tensor, "r ..."], points: int) -> Float[Tensor, "r ..."]:
    """Apply a smooth function to each row of ``x``; its mean slope over a segment comes from three points of it."""
    apply: Callable[..., Tensor] = _Smooth.apply
    return apply(x, function, len(x) // points)


def interpolate(ends: Float[Tensor, "r ..."], rows: int, steps: int) -> Float[Tensor, "p ..."]:
    """Interpolate ``steps`` points in each segment from one end to the next; the last end comes last.

    Each end has the same number of ``rows``. A segment's gradient is the mean of those of its points.
    """
    apply: Callable[..., Tensor] = _Interpolate.apply
    return apply(ends, rows, steps)


class _Elementwise(Function):
    """A function of each number alone, with the slopes of its secants."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: int, function: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Tensor:
        output, slopes = function(x, rows)
        ctx.save_for_backward(slopes)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        result = torch.empty_like(gradient)
        torch.mul(gradient[: len(slopes)], slopes, out=result[: len(slopes)])
        result[len(slopes) :] = 0
        return result, None, None


class _MaxPool(Function):
    """Max-pooling; over a segment one place has the maximum up to where the value of another overtakes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: int, window: dict[str, Any]) -> Tensor:
        output, indices = F.max_pool2d(x, **window, return_indices=True)
        values, places = x.flatten(2), indices.flatten(2)
        start, end = places[:-rows], places[rows:]
        lead = values[:-rows].gather(2, start) - values[:-rows].gather(2, end)
        lag = values[rows:].gather(2, end) - values[rows:].gather(2, start)
        ctx.save_for_backward(places, (lead / (lead + lag)).nan_to_num_(1))
        ctx.shape = x.shape
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        places, share = ctx.saved_tensors
        count, rows = len(share), len(places) - len(share)
        gradient = gradient.flatten(2)[:count]
        before = gradient * share
        result = gradient.new_zeros(ctx.shape).flatten(2)
        result[:count].scatter_add_(2, places[:count], before).scatter_add_(2, places[rows:], gradient - before)
        return result.view(ctx.shape), None, None


class _Product(Function):
    """A product; over a segment each factor is multiplied by the mean of the other."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.rows = rows
        return a * b

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, slopes = ctx.rows, []
        a, b = ctx.saved_tensors
        for factor, other in ((a, b), (b, a)):
            # Summed before it is padded: a gate is one number for many.
            slope = gradient[:-rows] * (other[:-rows] + other[rows:])
            slopes.append(_pad_last(slope.sum_to_size(len(slope), *factor.shape[1:]).div_(2), rows))
        return slopes[0], slopes[1], None


class _Smooth(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], rows: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.function, ctx.rows = function, rows
        return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        start, end = x[: -ctx.rows], x[ctx.rows :]
        with torch.enable_grad():
            nodes = torch.cat([torch.lerp(start, end, (node + 1) / 2) for node in _NODES]).requires_grad_()
            weighted = torch.cat([gradient[: -ctx.rows] * (weight / 2) for weight in _WEIGHTS])
            (slopes,) = torch.autograd.grad(ctx.function(nodes), nodes, weighted)
        slope = slopes.unflatten(0, (len(_NODES), -1)).sum(0)
        return _pad_last(slope, ctx.rows), None, None


class _Interpolate(Function):
    @staticmethod
    def forward(ctx: Any, ends: Tensor, rows: int, steps: int) -> Tensor:
        ctx.shape = rows, steps
        start, end = ends[:-rows].unflatten(0, (-1, rows)), ends[rows:].unflatten(0, (-1, rows))
        shares = torch.arange(steps, dtype=ends.dtype, device=ends.device).div_(steps)
        points = torch.lerp(start[:, None], end[:, None], shares.view(-1, *[1] * ends.ndim))
        return torch.cat([points.flatten(0, 2), ends[-rows:]])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, steps = ctx.shape
        mean = gradient[:-rows].unflatten(0, (-1, steps, rows)).mean(1).flatten(0, 1)
        return _pad_last(mean, rows), None, None


def _pad_last(slopes: Tensor, rows: int) -> Tensor:
    """Append zeros for the last point, at which no segment begins."""
    return torch.cat([slopes, torch.zeros_like(slopes[:rows])])


def _relu_secant(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    start, end = x[:-rows], x[rows:]
    # The share of the segment above 0; 0/0 is an input that stays at 0.
    share = torch.maximum(start, end).div_((end - start).abs_()).clamp_(0, 1).nan_to_num_(0)
    return x.clamp_min(0), share


def _sigmoid_secant(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    output, middle = torch.sigmoid(x), torch.sigmoid((x[rows:] + x[:-rows]) / 2)
    change = x[rows:] - x[:-rows]
    return output, torch.where(change.abs() < _NEAR, middle * (1 - middle), (output[rows:] - output[:-rows]) / change)


def _relu(points: int, x: Tensor, inplace: bool = False) -> Tensor:
    apply: Callable[..., Tensor] = _Elementwise.apply
    return apply(x, len(x) // points, _relu_secant)


def _sigmoid(points: int, x: Tensor) -> Tensor:
    apply: Callable[..., Tensor] = _Elementwise.apply
    return apply(x, len(x) // points, _sigmoid_secant)


def _conv2d(points: int, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
    # Linear; but its input would be kept for gradients of its weights.
    return F.conv2d(x, weight.detach(), None if bias is None else bias.detach(), *args, **kwargs)


def _max_pool2d(points: int, x: Tensor, kernel_size: int, stride: int | None = None, **kwargs: Any) -> Tensor:
    kwargs.pop("return_indices", None)
    apply: Callable[..., Tensor] = _MaxPool.apply
    return apply(x, len(x) // points, {"kernel_size": kernel_size, "stride": stride, **kwargs})


def _mul(points: int, a: Tensor, b: Any) -> Tensor | None:
    # Weights, which are the same at all points, have a dimension less.
    if isinstance(b, Tensor) and a.ndim == b.ndim and len(a) == len(b) and len(a) % points == 0:
        apply: Callable[..., Tensor] = _Product.apply
        return apply(a, b, len(a) // points)
    return None


_RULES: dict[Any, Callable[..., Tensor | None]] = {
    F.relu: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    torch.sigmoid: _sigmoid,
    F.conv2d: _conv2d,
    F.max_pool2d: _max_pool2d,
    torch.Tensor.mul: _mul,
    torch.mul: _mul,
}
