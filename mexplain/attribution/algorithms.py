"""The algorithms behind the methods of attribution, by Captum wherever it has them.

Captum loads a plotting library, so it is imported where it is used: the hub starts a second sooner.

Captum's own random methods draw from the process's global random state, which other threads share; here points and
noise come from a generator of each call, and Captum computes the gradients.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.coalition_table import coalition_members, shapley_values
from mexplain.attribution.integrated_gradients import IntegrationRequest, integrate, is_complete
from mexplain.attribution.recogniser_target import RecogniserTarget
from mexplain.attribution.target import AttributionTarget

# Bounds memory: 4 clips of 12 frames of 112 px at once take about 0.2 GB.
_PIXELS_AT_ONCE = 4 * 12 * 112 * 112
# Points of a path that are tried first, and at once.
_FEW_STEPS, _PATH_BATCH = 14, 4


@dataclass(frozen=True)
class MethodOutput:
    """The output of a method, over pixels or over blocks.

    ``pixels`` is at the resolution of the frames or of the trunk's features. ``blocks`` holds a value for each scored
    block, or for each frame and block, and ``outside`` the value of the rest of the picture. ``steps`` is the number of
    points or clips that the network was run on. ``coalition_logits`` are the logits of all classes for every set of
    blocks that move, in the order of ``mexplain.attribution.coalition_table``, where a method looked at all of them.
    """

    pixels: Float[Tensor, "t h w"] | None = None
    blocks: Float[Tensor, "t m"] | Float[Tensor, "m"] | None = None
    outside: float = 0.0
    steps: int = 1
    coalition_logits: Float[Tensor, "b k"] | None = None


def integrated_gradients(target: BlockTarget, most_steps: int) -> MethodOutput:
    """Integrate gradients along the straight path from the baseline to the clip, at ``most_steps`` points at most."""
    return integrated_gradients_together([target], most_steps)[0]


def integrated_gradients_together(targets: Sequence[BlockTarget], most_steps: int) -> list[MethodOutput]:
    """Integrate gradients for several targets; of this package's network, the trunk runs once for all variants."""
    own = [target for target in targets if isinstance(target, AttributionTarget)]
    if len(own) < len(targets):
        return [_sampled_integral(target, most_steps) for target in targets]
    return _integrals_of_network(own, most_steps)


def _sampled_integral(target: BlockTarget, most_steps: int) -> MethodOutput:
    """Integrate gradients of any network by Captum, at more and more points until they add up."""
    from captum.attr import IntegratedGradients

    values, steps = torch.zeros_like(target.frames), 0
    # Not ``range``: each try doubles the one before.
    while steps < most_steps:
        steps = min(max(_FEW_STEPS, 2 * steps), most_steps)
        values = IntegratedGradients(target.score, multiply_by_inputs=True).attribute(
            target.frames, target.baseline, n_steps=steps, internal_batch_size=_PATH_BATCH
        )
        if is_complete(float(values.double().sum()) - target.difference, target.difference):
            break
    return MethodOutput(values.detach()[0].sum(1), steps=steps)


def _integrals_of_network(targets: Sequence[AttributionTarget], most_steps: int) -> list[MethodOutput]:
    clips: dict[tuple[int, int], AttributionTarget] = {}
    places: list[tuple[str, int]] = []
    by_variant: dict[str, dict[int, AttributionTarget]] = {}
    for target in targets:
        # Targets of one clip share its memory.
        key = target.frames.data_ptr(), target.baseline.data_ptr()
        clips.setdefault(key, target)
        places.append((target.variant, list(clips).index(key)))
        by_variant.setdefault(target.variant, {})[places[-1][1]] = target
    if not clips:
        return []
    requests = {}
    for variant, rows in by_variant.items():
        # Where a variant has no target of some clip, that of another takes its row, and the result is not used.
        whole = [rows.get(row, next(iter(rows.values()))) for row in range(len(clips))]
        requests[variant] = IntegrationRequest(
            boxes=torch.stack([target.boxes for target in whole]),
            class_indices=[target.class_index for target in whole],
            differences=[target.difference for target in whole],
        )
    gradients = integrate(
        targets[0].model,
        torch.cat([clip.frames for clip in clips.values()]),
        torch.cat([clip.baseline for clip in clips.values()]),
        requests,
        most_steps,
    )
    return [MethodOutput(gradients[variant].maps[row], steps=gradients[variant].steps[row]) for variant, row in places]


def gradient_shap(target: BlockTarget, samples: int) -> MethodOutput:
    """Compute expected gradients: at a random point of each of ``samples`` equal parts of the path."""
    offsets = torch.rand(samples, generator=torch.Generator().manual_seed(0))
    shares = ((torch.arange(samples) + offsets) / samples).tolist()
    points = [torch.lerp(target.baseline, target.frames, share) for share in shares]
    change = target.frames - target.baseline
    return MethodOutput((_mean_gradient(target, points) * change)[0].sum(1), steps=samples)


def saliency(target: BlockTarget) -> MethodOutput:
    """Compute the absolute slope of the logit at each pixel."""
    return MethodOutput(_mean_gradient(target, [target.frames])[0].sum(1).abs())


def smoothgrad(target: BlockTarget, samples: int, noise: float) -> MethodOutput:
    """Compute the absolute mean slope over copies of the clip with Gaussian noise of deviation ``noise`` (0..1)."""
    generator = torch.Generator().manual_seed(0)
    shape = target.frames.shape
    clip = target.frames
    points = [clip + noise * torch.randn(shape, generator=generator).to(clip) for _ in range(samples)]
    return MethodOutput(_mean_gradient(target, points)[0].sum(1).abs(), steps=samples)


def input_x_gradient(target: BlockTarget) -> MethodOutput:
    """Multiply each pixel's change from the baseline by the slope of the logit at the clip."""
    from captum.attr import InputXGradient

    change = (target.frames - target.baseline).requires_grad_()
    values = InputXGradient(lambda moved: target.score(target.baseline + moved)).attribute(change)
    return MethodOutput(values.detach()[0].sum(1))


def grad_cam(target: AttributionTarget | RecogniserTarget) -> MethodOutput:
    """Compute Grad-CAM on the change of the network's features from the baseline, in each frame, both signs kept."""
    from captum.attr import LayerGradCam

    class FromChange(nn.Module):
        # Captum hooks a layer: a new one, so that the network, which threads share, has no hooks.
        def __init__(self) -> None:
            super().__init__()
            self.change = nn.Identity()

        def forward(self, features: Tensor) -> Tensor:
            change = self.change((features - target.baseline_features)[0])
            return target.logits_of_features(target.baseline_features + change)

    network = FromChange()
    maps = LayerGradCam(network, network.change).attribute(
        target.features.detach().requires_grad_(), target.class_index
    )
    # Captum takes the mean slope of a channel's cells; the sum has the scale of a logit, whatever the grid.
    scaled = maps.detach()[:, 0] * math.prod(target.features.shape[-2:])
    return MethodOutput(scaled if isinstance(target, AttributionTarget) else _over_pixels(scaled, target.frames))


def _over_pixels(maps: Float[Tensor, "u h w"], frames: Float[Tensor, "1 t 3 s s"]) -> Float[Tensor, "t s s"]:
    """Spread maps of any time and size over the pixels of all frames; the sum is kept, but for rounding of places."""
    size = (frames.shape[1], *frames.shape[-2:])
    shares: Tensor = nn.functional.interpolate(maps[None, None], size, mode="nearest")[0, 0]
    return shares * (maps.numel() / shares.numel())


def occlusion(target: BlockTarget, frames: int, cells: int, stride: int) -> MethodOutput:
    """Compute the fall of the logit when a window of space and time is held still, spread over its cells."""
    from captum.attr import Occlusion

    t, grid = target.frames.shape[1], target.grid
    window = (min(frames, t), min(cells, grid[0]), min(cells, grid[1]))
    scale = target.frames.shape[-1] // grid[-1]

    def score(moving: Tensor) -> Tensor:
        held = (1 - moving).repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        return target.logits_with_pixels_held(held)[:, target.class_index]

    with torch.no_grad():
        values = Occlusion(score).attribute(
            target.frames.new_ones(1, t, *grid),
            sliding_window_shapes=window,
            strides=(window[0], min(stride, window[1]), min(stride, window[2])),
            perturbations_per_eval=16,
        )
    return MethodOutput(values[0] / math.prod(window))


def block_ablation(target: BlockTarget) -> MethodOutput:
    """Compute the fall of the logit when one block, or the picture outside of all blocks, is held still."""
    count = len(target.scored_boxes) + 1
    alone = target.logits_with_blocks_moving(1 - torch.eye(count).to(target.frames))[:, target.class_index]
    values = target.logits[target.class_index] - alone
    return MethodOutput(blocks=values[:-1], outside=float(values[-1]), steps=count)


def shapley(target: BlockTarget, permutations: int, exact_up_to: int) -> MethodOutput:
    """Compute Shapley values of the blocks while the rest of the picture moves: exact for few blocks, else sampled.

    ``outside`` is the change of the logit when only the picture outside of all blocks moves.
    """
    players = len(target.scored_boxes)
    rest = target.frames.new_ones(1, 1)
    coalitions = target.coalitions()

    def logits(moving: Tensor) -> Tensor:
        return coalitions(torch.cat([moving, rest.expand(len(moving), 1)], dim=1)).double()

    def value(moving: Tensor) -> Tensor:
        return logits(moving)[:, target.class_index]

    if target.tries_all_sets and players <= exact_up_to:
        table = logits(coalition_members(players, rest.device))
        return MethodOutput(
            blocks=shapley_values(table[:, target.class_index]).float(),
            outside=float(table[0, target.class_index] - target.baseline_logits[target.class_index]),
            steps=2**players,
            coalition_logits=table,
        )
    empty = float(value(rest.new_zeros(1, players))[0])
    outside = empty - float(target.baseline_logits[target.class_index])
    from captum.attr import ShapleyValueSampling

    sampler = ShapleyValueSampling(value)
    sampler.permutation_generator = _antithetic_orders
    with torch.no_grad():
        values = sampler.attribute(rest.new_ones(1, players), n_samples=permutations, perturbations_per_eval=players)[0]
    return MethodOutput(blocks=values.float(), outside=outside, steps=permutations * players)


def attention(target: BlockTarget) -> MethodOutput:
    """Compute each block's mean gate over the frames, as a sum of shares of the frames."""
    gates = target.attention_weights
    return _gate_output(target, gates / len(gates))


def attention_x_gradient(target: AttributionTarget) -> MethodOutput:
    """Multiply each gate by the slope of the logit there."""
    from captum.attr import InputXGradient

    gain = torch.ones_like(target.attention_weights)[None].requires_grad_()
    values = InputXGradient(lambda g: target.head_output(target.features, g).logits[:, target.class_index]).attribute(
        gain
    )
    return _gate_output(target, values.detach()[0])


def _gate_output(target: BlockTarget, values: Float[Tensor, "t n"]) -> MethodOutput:
    if len(target.boxes):
        return MethodOutput(blocks=values)
    size = target.frames.shape[-1]
    return MethodOutput(values[:, :, None].expand(-1, size, size) / size**2)


def exact_shapley(value: Callable[[Tensor], Tensor], players: int, device: torch.device) -> Float[Tensor, "m"]:
    """Compute each player's mean contribution over all orders; ``value`` maps coalitions (b, m) to their values."""
    return shapley_values(value(coalition_members(players, device)))


def _antithetic_orders(players: int, count: int) -> Iterator[list[int]]:
    """Yield random orders, each followed by its reverse, which lowers the variance of their mean."""
    rng = np.random.default_rng(0)
    for number in range(count):
        if number % 2 == 0:
            order = rng.permutation(players).tolist()
        yield order if number % 2 == 0 else order[::-1]


def _mean_gradient(target: BlockTarget, points: list[Tensor]) -> Float[Tensor, "1 t 3 s s"]:
    from captum.attr import Saliency

    total = torch.zeros_like(target.frames)
    size = max(1, _PIXELS_AT_ONCE // target.frames[0, :, 0].numel())
    for start in range(0, len(points), size):
        batch = torch.cat(points[start : start + size]).requires_grad_()
        total += Saliency(target.score).attribute(batch, abs=False).detach().sum(0, keepdim=True)
    return total / len(points)
