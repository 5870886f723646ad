"""When a training becomes infinite or not a number: at which step, and in which layer it began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized
from torch.utils.hooks import RemovableHandle


class DivergedError(Exception):
    """A training became infinite or not a number; the message names the step and the layer where it began."""


class _Found(Exception):
    """The first layer that is not finite, told out of a forward pass."""


def is_finite(tensor: Tensor) -> bool:
    """Whether every element is finite; of integers always. Waits for the GPU."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def diverged_at(step: int, steps: int, who: str, model: nn.Module, images: Tensor) -> DivergedError:
    """The error for a loss that was not finite at a step, from 0; the model is as it was then and sees that batch."""
    where = first_bad_layer(model, images)
    began = f"{where} is the first that is not finite" if where else "all its layers are finite, its loss is not"
    return DivergedError(f"training diverged at step {step + 1} of {steps}: {who}: {began}; lower the learning rate")


def diverged_after(steps: int, who: str, model: nn.Module) -> DivergedError | None:
    """The error when the last step, which no loss has seen, made weights that are not finite; None when all are."""
    name = first_bad_tensor(model)
    if name is None:
        return None
    plain = name.replace(".parametrizations", "").replace(".original", "")
    return DivergedError(
        f"training diverged: {plain} of {who} is not finite after step {steps}, the last; lower the learning rate"
    )


def first_bad_tensor(model: nn.Module) -> str | None:
    """Name of the first parameter or buffer of the model that is not finite; None when all are."""
    for name, tensor in model.state_dict().items():
        if not is_finite(tensor):
            return name
    return None


def first_bad_layer(model: nn.Module, images: Tensor) -> str | None:
    """What is not finite first, in the order of computation, when the model sees the batch; None when all is finite.

    "the weights of NAME" or "the output of NAME", NAME being a module. Runs the model as it is, in its mode.
    """
    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        # The steps of a compression are modules inside the layer whose weight they make.
        layer, inside, _ = name.partition(".parametrizations")
        if isinstance(module, ParametrizationList):
            handles.append(module.register_forward_hook(_output_hook(layer, "weights")))
        elif not inside:
            handles.append(module.register_forward_pre_hook(_weights_hook(layer)))
            if next(module.children(), None) is None or is_parametrized(module):
                handles.append(module.register_forward_hook(_output_hook(layer, "output")))
    try:
        with torch.no_grad():
            model(images)
    except _Found as found:
        return str(found)
    finally:
        for handle in handles:
            handle.remove()
    return None


def _weights_hook(layer: str) -> Callable[[nn.Module, Any], None]:
    def check(module: nn.Module, inputs: Any) -> None:
        if not all(is_finite(parameter) for parameter in module.parameters(recurse=False)):
            raise _Found(f"the weights of {layer or 'the network'}")

    return check


def _output_hook(layer: str, what: str) -> Callable[[nn.Module, Any, Any], None]:
    def check(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not is_finite(output):
            raise _Found(f"the {what} of {layer or 'the network'}")

    return check
