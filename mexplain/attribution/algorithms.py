"""Ways to share an answer out among pixels or blocks; Captum does it wherever it can.

Captum loads a plotting library, so it is imported where it is used: the first page is up a second sooner.

Captum's own random methods draw from the process's global random state, which other threads share; here points and
noise come from a generator of the call's own, and Captum takes the gradients.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mexplain.attribution.integrated_gradients import IntegrationRequest, integrate
from mexplain.attribution.target import AttributionTarget

# Bounds memory: 4 clips of 12 frames of 112 px at once take about 0.2 GB.
_PIXELS_AT_ONCE = 4 * 12 * 112 * 112


@dataclass(frozen=True)
class MethodOutput:
    """What a method found, in one of two forms.

    ``pixels`` is signed, at the resolution of the frames or of the trunk's features. ``blocks`` holds a value for each
    player, or for each frame and player, and ``outside`` what falls on none. ``steps`` counts the points looked at.
    """

    pixels: Float[Tensor, "t h w"] | None = None
    blocks: Float[Tensor, "t m"] | Float[Tensor, "m"] | None = None
    outside: float = 0.0
    steps: int = 1


def integrated_gradients(target: AttributionTarget, most_steps: int) -> MethodOutput:
    """Return gradients along the straight path from the baseline, in stretches; see ``path``."""
    return integrated_gradients_together([target], most_steps)[0]


def integrated_gradients_together(targets: Sequence[AttributionTarget], most_steps: int) -> list[MethodOutput]:
    """Return the same for several targets of one network; its trunk runs once for all variants of a clip."""
    clips: dict[tuple[int, int], AttributionTarget] = {}
    place: list[tuple[str, int]] = []
    by_variant: dict[str, dict[int, AttributionTarget]] = {}
    for target in targets:
        # Questions of one clip hold the same memory.
        key = target.frames.data_ptr(), target.baseline.data_ptr()
        clips.setdefault(key, target)
        place.append((target.variant, list(clips).index(key)))
        by_variant.setdefault(target.variant, {})[place[-1][1]] = target
    if not clips:
        return []
    asked = {}
    for variant, rows in by_variant.items():
        # A variant that is not asked about some clip gets the answer of another's place, which nobody looks at.
        whole = [rows.get(row, next(iter(rows.values()))) for row in range(len(clips))]
        asked[variant] = IntegrationRequest(
            torch.stack([q.boxes for q in whole]), [q.class_index for q in whole], [q.difference for q in whole]
        )
    found = integrate(
        targets[0].model,
        torch.cat([clip.frames for clip in clips.values()]),
        torch.cat([clip.baseline for clip in clips.values()]),
        asked,
        most_steps,
    )
    return [MethodOutput(found[variant].maps[row], steps=found[variant].steps[row]) for variant, row in place]


def gradient_shap(target: AttributionTarget, samples: int) -> MethodOutput:
    """Return expected gradients: at a random point in each of ``samples`` equal parts of the path, times the change."""
    spread = torch.rand(samples, generator=torch.Generator().manual_seed(0))
    shares = ((torch.arange(samples) + spread) / samples).tolist()
    points = [torch.lerp(target.baseline, target.frames, share) for share in shares]
    change = target.frames - target.baseline
    return MethodOutput((_mean_gradient(target, points) * change)[0].sum(1), steps=samples)


def saliency(target: AttributionTarget) -> MethodOutput:
    """Return the size of the logit's slope at each pixel."""
    return MethodOutput(_mean_gradient(target, [target.frames])[0].sum(1).abs())


def smoothgrad(target: AttributionTarget, samples: int, noise: float) -> MethodOutput:
    """Return the size of the slope averaged over copies of the clip with normal noise (0..1 of the brightness)."""
    generator = torch.Generator().manual_seed(0)
    shape = target.frames.shape
    clip = target.frames
    points = [clip + noise * torch.randn(shape, generator=generator).to(clip) for _ in range(samples)]
    return MethodOutput(_mean_gradient(target, points)[0].sum(1).abs(), steps=samples)


def input_x_gradient(target: AttributionTarget) -> MethodOutput:
    """Return each pixel's change since the baseline times the slope there."""
    from captum.attr import InputXGradient

    change = (target.frames - target.baseline).requires_grad_()
    values = InputXGradient(lambda moved: target.score(target.baseline + moved)).attribute(change)
    return MethodOutput(values.detach()[0].sum(1))


def grad_cam(target: AttributionTarget) -> MethodOutput:
    """Return Grad-CAM on the trunk's features since the baseline, for each frame, both signs kept."""
    from captum.attr import LayerGradCam

    class FromChange(nn.Module):
        # Captum hooks a layer: this one is the call's own, the network's are left alone.
        def __init__(self) -> None:
            super().__init__()
            self.change = nn.Identity()

        def forward(self, features: Tensor) -> Tensor:
            change = self.change((features - target.baseline_features)[0])
            return target.head_output(target.baseline_features + change).logits

    whole = FromChange()
    found = LayerGradCam(whole, whole.change).attribute(target.features.detach().requires_grad_(), target.class_index)
    # Captum takes the mean slope of a channel's cells; their sum keeps the scale of a logit, whatever the grid.
    return MethodOutput(found.detach()[:, 0] * math.prod(target.features.shape[-2:]))


def occlusion(target: AttributionTarget, frames: int, cells: int, stride: int) -> MethodOutput:
    """Return how far the logit falls when a window of space and time is held still, shared among the window's cells."""
    from captum.attr import Occlusion

    t, _, *grid = target.features.shape[1:]
    window = (min(frames, t), min(cells, grid[0]), min(cells, grid[1]))
    with torch.no_grad():
        values = Occlusion(lambda keep: target.logits_with_cells_held(1 - keep)[:, target.class_index]).attribute(
            target.features.new_ones(1, t, *grid),
            sliding_window_shapes=window,
            strides=(window[0], min(stride, window[1]), min(stride, window[2])),
            perturbations_per_eval=16,
        )
    return MethodOutput(values[0] / math.prod(window))


def block_ablation(target: AttributionTarget) -> MethodOutput:
    """Return the fall of the logit when one block, or all that lies in none, is held still."""
    count = len(target.scored_boxes) + 1
    alone = target.logits_with_blocks_moving(1 - torch.eye(count).to(target.frames))[:, target.class_index]
    values = target.logits[target.class_index] - alone
    return MethodOutput(blocks=values[:-1], outside=float(values[-1]), steps=count)


def shapley(target: AttributionTarget, permutations: int, exact_up_to: int) -> MethodOutput:
    """Return Shapley values of the blocks, given that all that lies in none moves: exact for few blocks, else sampled.

    What the rest of the picture says when no block moves is credited to none of them.
    """
    players = len(target.scored_boxes)
    rest = target.frames.new_ones(1, 1)

    def worth(keep: Tensor) -> Tensor:
        return target.logits_with_blocks_moving(torch.cat([keep, rest.expand(len(keep), 1)], dim=1))[
            :, target.class_index
        ].double()

    nobody = float(worth(rest.new_zeros(1, players))[0])
    outside = nobody - float(target.baseline_logits[target.class_index])
    if 0 < len(target.boxes) <= exact_up_to:
        return MethodOutput(
            blocks=exact_shapley(worth, players, rest.device).float(), outside=outside, steps=2**players
        )
    from captum.attr import ShapleyValueSampling

    sampler = ShapleyValueSampling(worth)
    sampler.permutation_generator = _both_ways
    with torch.no_grad():
        values = sampler.attribute(rest.new_ones(1, players), n_samples=permutations, perturbations_per_eval=players)[0]
    return MethodOutput(blocks=values.float(), outside=outside, steps=permutations * players)


def attention(target: AttributionTarget) -> MethodOutput:
    """Return the weight that the gates gave each block, averaged over the frames by adding up shares of them."""
    gates = target.attention_weights
    return _by_gate(target, gates / len(gates))


def attention_x_gradient(target: AttributionTarget) -> MethodOutput:
    """Return each gate's weight times the logit's slope there."""
    from captum.attr import InputXGradient

    gain = torch.ones_like(target.attention_weights)[None].requires_grad_()
    values = InputXGradient(lambda g: target.head_output(target.features, g).logits[:, target.class_index]).attribute(
        gain
    )
    return _by_gate(target, values.detach()[0])


def _by_gate(target: AttributionTarget, values: Float[Tensor, "t n"]) -> MethodOutput:
    if len(target.boxes):
        return MethodOutput(blocks=values)
    size = target.frames.shape[-1]
    return MethodOutput(values[:, :, None].expand(-1, size, size) / size**2)


def exact_shapley(worth: Callable[[Tensor], Tensor], players: int, device: torch.device) -> Float[Tensor, "m"]:
    """Return each player's mean contribution over all orders; ``worth`` tells what many coalitions are worth."""
    coalitions = torch.arange(2**players, device=device)
    member = (coalitions[:, None] >> torch.arange(players, device=device)) & 1
    value = worth(member.float())
    size = member.sum(1)
    shares = [1 / (players * math.comb(players - 1, k)) for k in range(players)]
    weight = torch.tensor(shares, dtype=torch.float64, device=device)
    return torch.stack(
        [
            (weight[size[without]] * (value[without + (1 << player)] - value[without])).sum()
            for player in range(players)
            for without in (coalitions[member[:, player] == 0],)
        ]
    )


def _both_ways(players: int, count: int) -> Iterator[list[int]]:
    """Yield random orders, each followed by its reverse: what one finds first, the other finds last."""
    rng = np.random.default_rng(0)
    for number in range(count):
        if number % 2 == 0:
            order = rng.permutation(players).tolist()
        yield order if number % 2 == 0 else order[::-1]


def _mean_gradient(target: AttributionTarget, points: list[Tensor]) -> Float[Tensor, "1 t 3 s s"]:
    from captum.attr import Saliency

    total = torch.zeros_like(target.frames)
    for start in range(0, len(points), _at_once(target)):
        some = torch.cat(points[start : start + _at_once(target)]).requires_grad_()
        total += Saliency(target.score).attribute(some, abs=False).detach().sum(0, keepdim=True)
    return total / len(points)


def _at_once(target: AttributionTarget) -> int:
    return max(1, _PIXELS_AT_ONCE // target.frames[0, :, 0].numel())
