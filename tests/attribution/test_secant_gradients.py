"""A secant's slope is the change from one end to the other: nothing is lost in between."""

from threading import Thread

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mexplain.attribution.secant_gradients import SecantGradients, interpolate, smooth
from mexplain.model.conv_stack import conv_stack


def stack(*layers):
    torch.manual_seed(0)
    return conv_stack(3, layers)[0].eval().double()


def path(points, *shape):
    """Random points, each of two rows."""
    return torch.randn(points * 2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def explained(function, x, points):
    """The change of a function by its secant's slope, and its change, for each segment."""
    x = x.clone().requires_grad_()
    with SecantGradients(points):
        said = function(x)
    weight = torch.randn(said.shape[1:], dtype=said.dtype, generator=torch.Generator().manual_seed(2))
    (slope,) = torch.autograd.grad((said * weight).sum(), x)
    assert not slope[-2:].any()
    with torch.no_grad():
        assert torch.allclose(said, function(x))
        changes = (function(x)[2:] - function(x)[:-2]) * weight
    return (slope[:-2] * (x[2:] - x[:-2])).flatten(1).sum(1), changes.flatten(1).sum(1)


@pytest.mark.parametrize("layers", [("8/2", "8", "6"), ("8", "pool", "6"), ("pool", "8", "6/2")])
def test_a_stack_carries_all_of_a_change(layers):
    assert torch.allclose(*explained(stack(*layers), path(4, 3, 16, 16), 4))


@pytest.mark.parametrize(
    "function",
    [
        nn.ReLU(inplace=True),
        F.relu,
        torch.sigmoid,
        nn.MaxPool2d(2),
        lambda x: F.max_pool2d(x, 2, ceil_mode=True),
        lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
        lambda x: x * x[:, :1],
        lambda x: torch.sigmoid(3 * x) * F.relu(x - 1),
    ],
)
def test_whatever_bends_carries_all_of_a_change(function):
    found, expected = explained(lambda x: function(x.clone()), path(5, 4, 7, 7), 5)
    assert expected.abs().min() > 0 and torch.allclose(found, expected)


def test_what_is_smooth_carries_nearly_all_of_a_change():
    x = (0.3 * path(6, 5, 8)).requires_grad_()
    lstm = nn.LSTM(8, 4, batch_first=True, bidirectional=True).double()
    said = smooth(lambda part: lstm(part)[0].sum((1, 2)), x, 6)
    (slope,) = torch.autograd.grad(said.sum(), x)
    assert torch.allclose((slope[:-2] * (x[2:] - x[:-2])).sum((1, 2)), said[2:] - said[:-2], atol=1e-3)


@pytest.mark.parametrize("layers", [("8/2", "8", "6"), ("8", "pool", "6")])
def test_between_equal_points_the_slope_is_that_of_the_point(layers):
    net, x = stack(*layers), path(1, 3, 16, 16)
    plain = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(plain).square().sum(), plain)
    both = torch.cat([x, x]).requires_grad_()
    with SecantGradients(2):
        out = net(both)
        said = out * out
    (found,) = torch.autograd.grad(said.sum(), both)
    assert torch.allclose(found[:2], expected)


def test_points_are_drawn_straight_between_the_ends_and_share_their_slope():
    ends = path(3, 4).requires_grad_()
    points = interpolate(ends, 2, 5).unflatten(0, (11, 2))
    at_ends = ends.detach().unflatten(0, (3, 2))
    assert torch.equal(points[[0, 5, 10]], at_ends)
    assert torch.allclose(points[6] - points[5], (at_ends[2] - at_ends[1]) / 5)
    (slope,) = torch.autograd.grad((points * torch.arange(11.0)[:, None, None]).sum(), ends)
    assert torch.allclose(slope[:, 0], torch.tensor([2.0, 2, 7, 7, 0, 0], dtype=torch.float64))


def test_outside_and_in_other_threads_nothing_is_changed():
    x = torch.tensor([-1.0, 1.0], requires_grad=True)
    slopes = []

    def slope():
        slopes.append(torch.autograd.grad(F.relu(x).sum(), x)[0])

    with SecantGradients(2):
        other = Thread(target=slope)
        other.start()
        other.join()
        slope()
    slope()
    assert [found.tolist() for found in slopes] == [[0, 1], [0.5, 0], [0, 1]]


def test_weights_keep_what_enters_them_for_no_gradient():
    conv = nn.Conv2d(3, 4, 3)
    with SecantGradients(2):
        said = conv(torch.randn(4, 3, 8, 8, requires_grad=True))
    said.sum().backward()
    assert conv.weight.grad is None and conv.bias.grad is None
