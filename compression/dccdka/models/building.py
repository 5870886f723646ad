"""From the name of a model in a study to a fresh module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dccdka.function_reference import FunctionReferenceError, call_function, in_one_line
from dccdka.models.resnet8 import ResNet8


class ModelError(Exception):
    """A model cannot be built, or does not fit the data; the message names the model and what to do."""


def build_model(spec: str, *, width: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained model for images of image_shape (c, h, w): "resnet8", or "module:function".

    The function is called with width, image_shape and classes as keywords and returns an nn.Module that gives logits
    [n, classes]. Initial weights come from torch's global generator: seed it first. Raises ModelError.
    """
    if width < 1:
        raise ModelError(f"model {spec!r}: width must be at least 1, got {width}")
    if ":" in spec:
        return _build_users_model(spec, width, image_shape, classes)
    if spec != "resnet8":
        raise ModelError(f'model {spec!r} is unknown: use "resnet8" or "module:function"')
    return ResNet8(width=width, channels=image_shape[0], classes=classes)


def _build_users_model(spec: str, width: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
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
