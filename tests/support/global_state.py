"""What explaining must leave as it was, besides weights and inputs."""

from typing import Any

import numpy as np
import torch


def state_of(model: torch.nn.Module) -> tuple[Any, ...]:
    """Modes, hooks and gradients of a network, global flags of PyTorch, and the states of all random generators."""
    modules, weights = list(model.modules()), list(model.parameters())
    hooks = [
        len(value)
        for module in modules
        for name, value in vars(module).items()
        if "hooks" in name and value is not None
    ]
    flags = [
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
        torch.get_default_dtype(),
        torch.get_num_threads(),
    ]
    name, numbers, *place = np.random.get_state()
    on_gpus = [each.tolist() for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    chance = torch.get_rng_state().tolist(), on_gpus, name, numbers.tolist(), place
    modes = [module.training for module in modules]
    return modes, hooks, [(weight.requires_grad, weight.grad) for weight in weights], flags, chance
