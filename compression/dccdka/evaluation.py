"""What a float network makes of a split: its logits and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dccdka.batches import Batches
from dccdka.datasets import Dataset, DatasetError, Normalization, Split
from dccdka.function_reference import in_one_line
from dccdka.kinds import kind_of
from dccdka.modes import in_eval_mode
from dccdka.training_config import resolve_device

EVALUATION_BATCH = 256


class NetworkError(ValueError):
    """A network does not take the images or give the classes of the data; the message says what it does instead."""


def accuracy(model: nn.Module, split: Split, normalization: Normalization, *, device: str = "auto") -> float:
    """Share of a split that the float module classifies correctly; leaves it in eval mode, on the CPU.

    Raises TrainingConfigError for a device that is not there, NetworkError for what is no module, and DatasetError for
    a split without images.
    """
    _require_module(model, "model")
    target = resolve_device(device)
    if len(split.labels) == 0:
        raise DatasetError("split: has no images, so there is no accuracy; give one that has some")
    correct = torch.zeros((), dtype=torch.int64, device=target)
    for logits, labels in _evaluated(model, split, normalization, target):
        correct += (logits.argmax(1) == labels).sum()
    return int(correct) / len(split.labels)


@torch.no_grad()
def _evaluated(
    model: nn.Module, split: Split, normalization: Normalization, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    model.eval().to(device)
    batches = Batches(split, normalization, EVALUATION_BATCH, device)
    for images, labels in batches.in_order():
        yield model(images), labels
    model.cpu()


def require_trainable(model: nn.Module, dataset: Dataset, what: str) -> None:
    """As `require_logits`, for a network whose parameters are to be trained, and its layers compressed.

    So it must be the network itself, not something wrapped around it, and of float32. Raises NetworkError.
    """
    _require_module(model, what)
    if isinstance(model, torch.jit.ScriptModule):
        raise NetworkError(f"{what}: is a module of torch.jit; give the torch.nn.Module that it was made from")
    if "_orig_mod" in model._modules:
        raise NetworkError(
            f"{what}: is wrapped by torch.compile; give the network itself, model._orig_mod, and compile=True to the"
            " training"
        )
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise NetworkError(f"{what}: is wrapped by {type(model).__name__}; give the network itself, model.module")
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise NetworkError(
                f"{what}: parameter {name} is {parameter.dtype}, must be torch.float32; give model.float(), and"
                ' autocast "bf16" to compute in half precision'
            )
    require_logits(model, dataset, what)


def require_logits(model: nn.Module, dataset: Dataset, what: str) -> None:
    """Run the network on two images, on its device. Raises NetworkError unless it gives logits [2, classes].

    what: the network's name in messages. Its modules' modes stay as they are.
    """
    _require_module(model, what)
    channels, height, width = dataset.image_shape
    parameter = next(model.parameters(), None)
    images = torch.zeros(2, channels, height, width, device=parameter.device if parameter is not None else None)
    try:
        with torch.no_grad(), in_eval_mode(model):
            logits = model(images)
    except Exception as error:  # a user's own network: whatever it raises is its fault, and told as such
        raise NetworkError(f"{what}: fails on images of shape {list(images.shape)}: {in_one_line(error)}") from error
    given = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if given != [2, dataset.classes]:
        raise NetworkError(f"{what}: must give logits of shape [n, {dataset.classes}], gives {given} for n = 2")


def _require_module(model: object, what: str) -> None:
    if not isinstance(model, nn.Module):
        raise NetworkError(f"{what}: must be a torch.nn.Module, is {kind_of(model)}; give the network itself")
