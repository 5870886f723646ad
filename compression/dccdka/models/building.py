"""From the name of a model in a study to a fresh module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dccdka.function_reference import FunctionReferenceError, call_function, in_one_line
from dccdka.models.zoo import NETWORKS


class ModelError(Exception):
    """A model cannot be built, or does not fit the data; the message names the model and what to do."""


def build_model(spec: str, *, width: int | None = None, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained model for images of image_shape (c, h, w): a name of NETWORKS, or "module:function".

    width: channels of the first layer, to which all others keep the published proportion; None is the published one.
    The efficientnets and mobilenetv2 round channels to multiples of 8. A function is called with width, image_shape
    and classes as keywords and returns an nn.Module that gives logits [n, classes]. Initial weights come from torch's
    global generator: seed it first. Raises ModelError.
    """
    if width is not None and width < 1:
        raise ModelError(f"model {spec!r}: width must be at least 1, got {width}")
    if ":" in spec:
        return _build_users_model(spec, width, image_shape, classes)
    network = NETWORKS.get(spec)
    if network is None:
        names = ", ".join(f'"{name}"' for name in NETWORKS)
        raise ModelError(f'model {spec!r} is unknown: use "module:function", or one of {names}')
    if width is None:
        width = network.width
    if network.fixed and (width, image_shape, classes) != (network.width, network.image_shape, network.classes):
        raise ModelError(
            f"model {spec!r}: the benchmark's is for images of shape {network.image_shape}, {network.classes} outputs "
            f"and width {network.width}, not {image_shape}, {classes} and {width}; use {network.similar}"
        )
    if min(image_shape[1:]) < network.smallest_side:
        side = network.smallest_side
        raise ModelError(
            f"model {spec!r}: images must have at least {side}x{side} pixels, these have "
            f"{image_shape[1]}x{image_shape[2]}; enlarge them or use {network.similar}"
        )
    try:
        return network.build(width, image_shape, classes)
    except (RuntimeError, MemoryError) as error:  # torch's, where memory does not suffice
        raise ModelError(
            f"model {spec!r}: cannot be built with width {width} ({in_one_line(error)}); take a smaller width"
        ) from error


def _build_users_model(spec: str, width: int | None, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    try:
        model = call_function(spec, width=width, image_shape=image_shape, classes=classes)
    except FunctionReferenceError as error:
        raise ModelError(f"model {error}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {spec!r}: must return a torch.nn.Module, returned {type(model).__name__}")
    try:
        with torch.no_grad():
            logits = model.eval()(torch.zeros(1, *image_shape))
    except Exception as error:  # a user's own code: whatever it raises is its fault, and told as such
        raise ModelError(f"model {spec!r}: fails on an image of shape {image_shape}: {in_one_line(error)}") from error
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"model {spec!r}: must give logits, a tensor of shape [n, {classes}], gave {type(logits).__name__}"
        )
    if tuple(logits.shape) != (1, classes):
        raise ModelError(f"model {spec!r}: must give logits of shape [n, {classes}], gave {list(logits.shape)}")
    return model.train()
