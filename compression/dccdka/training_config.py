"""How a training is run, whatever it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from dccdka.augmentation import Augmentation
from dccdka.kinds import kind_of

Device = Literal["cpu", "cuda", "auto"]
Autocast = Literal["none", "bf16", "fp16"]


class TrainingConfigError(ValueError):
    """A training cannot be run as configured; the message names the field."""


@dataclass(frozen=True)
class TrainingConfig:
    """epochs: passes over the training split. learning_rate: Adam's at the peak. device: "auto" is the GPU if any.

    augmentation: which variants of the images are shown (dccdka.augmentation). autocast: the type that convolutions
    and matrix products are computed in. compile: let torch.compile make the network's forward and backward pass; the
    first steps then take half a minute, which pays for long trainings. checkpoint_every: seconds between the
    checkpoints of a training that was given a file for them.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.01
    seed: int = 0
    device: Device = "auto"
    augmentation: Augmentation = "none"
    autocast: Autocast = "none"
    compile: bool = False
    checkpoint_every: float = 60.0

    def __post_init__(self) -> None:
        for field, least in (("epochs", 1), ("batch_size", 2), ("seed", 0)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
                raise TrainingConfigError(f"{field}: must be a whole number, {least} or more, got {value!r}")
        for field in ("learning_rate", "checkpoint_every"):
            value = getattr(self, field)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TrainingConfigError(f"{field}: must be a number, got {value!r}")
        if not 0 < self.learning_rate < math.inf:
            raise TrainingConfigError(f"learning_rate: must be above 0, got {self.learning_rate}")
        if not isinstance(self.compile, bool):
            raise TrainingConfigError(f"compile: must be True or False, got {self.compile!r}")
        for field, choices in (("augmentation", Augmentation), ("autocast", Autocast)):
            if getattr(self, field) not in get_args(choices):
                raise TrainingConfigError(
                    f"{field}: must be one of {', '.join(get_args(choices))}, got {getattr(self, field)!r}"
                )
        if resolve_device(self.device).type == "cpu" and self.autocast == "fp16":
            raise TrainingConfigError('autocast: "fp16" is for GPUs; on the CPU use "bf16" or "none"')
        if not self.checkpoint_every >= 0:
            raise TrainingConfigError(f"checkpoint_every: must be 0 or more seconds, got {self.checkpoint_every}")

    def steps(self, images: int) -> int:
        """Optimiser steps of a training on so many images. Raises TrainingConfigError when they are not one batch."""
        if images < self.batch_size:
            raise TrainingConfigError(f"batch_size: {self.batch_size} is more than the {images} training images")
        return self.epochs * (images // self.batch_size)


def require_training(config: object, what: str) -> None:
    """Raises TrainingConfigError for anything but a TrainingConfig; what: the argument's name in messages."""
    if not isinstance(config, TrainingConfig):
        raise TrainingConfigError(
            f"{what}: must be a TrainingConfig, is {kind_of(config)}; give dccdka.TrainingConfig(epochs=.., ..)"
        )


def resolve_device(device: str) -> torch.device:
    """The device of "cpu", "cuda" or "auto" (the GPU if there is one). Raises TrainingConfigError for any other."""
    if device not in get_args(Device):
        raise TrainingConfigError(f"device: must be one of {', '.join(get_args(Device))}, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingConfigError('device: "cuda" is not available here; use "cpu" or "auto"')
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)
