"""How large a network is before any compression."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call


def parameter_count(model: nn.Module) -> int:
    """Trainable parameters, as papers count them: batch norm's statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_accumulates(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Of convolutions and linear layers for one image (c, h, w), taps in the padding counted; MLPerf Tiny counts so.

    Nothing is computed: the network runs on shapes alone.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()

    layers = [module for module in model.modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        state = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        with torch.no_grad():
            functional_call(model, state, (torch.empty(1, *image_shape, device="meta"),))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in was_training.items():
            module.training = training
    return total
