"""Parameters and buffers of a network from a safetensors file; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn


class WeightsError(ValueError):
    """A file does not hold the weights of a network; the message names the file and the tensor."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill the model with the parameters and buffers of a safetensors file, which must have just those.

    Raises WeightsError naming the file and the first tensor that is missing, unknown, of another shape or not finite.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: not a safetensors file that can be read: {error}; write one with"
            " safetensors.torch.save_file(model.state_dict(), FILE)"
        ) from error
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in given:
            raise WeightsError(f"{path}: has no {name}, which the network needs; is it of another network?")
        if given[name].shape != tensor.shape:
            raise WeightsError(
                f"{path}: {name} has the shape {list(given[name].shape)}, the network's {list(tensor.shape)}"
            )
        if given[name].is_floating_point() and not bool(torch.isfinite(given[name]).all()):
            raise WeightsError(f"{path}: {name} holds values that are not finite; the network did not train well")
    unknown = sorted(set(given) - set(wanted))
    if unknown:
        raise WeightsError(f"{path}: has {unknown[0]}, which the network does not; is it of another network?")
    model.load_state_dict(given)
