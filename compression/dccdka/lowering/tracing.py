"""A network's operators in order, by torch.fx, and the check that they are all that the network does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from dccdka.datasets import Normalization
from dccdka.lowering.errors import LoweringError


def network_input(images: NDArray[np.uint8], normalization: Normalization) -> Tensor:
    """What the float network sees of uint8 images [n, c, h, w]."""
    return (torch.from_numpy(images.astype(np.float32)) - normalization.zero) * normalization.scale


def trace(module: nn.Module) -> fx.GraphModule:
    """The traced network; LoweringError if its operators depend on values."""
    try:
        return fx.symbolic_trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise LoweringError(
            f"{type(module).__name__} cannot be traced: its forward depends on values ({error}); use fixed control flow"
        ) from error


def check_trace(module: nn.Module, network: fx.GraphModule, inputs: Tensor) -> None:
    """LoweringError unless the traced network gives the module's outputs.

    torch.fx reads x += y as x + y, which is wrong where x is used again under another name.
    """
    with torch.no_grad():
        same = torch.allclose(module(inputs.clone()), network(inputs.clone()), equal_nan=True)
    if not same:
        raise LoweringError(
            f"{type(module).__name__} changes values in place that are used elsewhere; write x = x + y for x += y"
        )
