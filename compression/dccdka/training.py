"""Trains a teacher on labels, and a student by distillation while it is pruned, clustered and quantised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dccdka.batches import Batches
from dccdka.collaborative import Collaboration, CompressedModel
from dccdka.datasets import Dataset, Normalization, Split
from dccdka.distillation import distillation_loss
from dccdka.learning_rate import learning_rate_factor
from dccdka.progress import OnProgress, Progress, ignore_progress
from dccdka.recipe import Recipe

EVALUATION_BATCH = 256
# The loss is looked at this often: each look waits for the GPU, and a loss that is not a number stays so.
REPORT_INTERVAL = 10
TEACHER_WARM_UP = 0.2

BeforeStep = Callable[[int], None]
# (logits [n, classes], labels int64 [n], indices of the images in the training split int64 [n]) -> loss
BatchLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class DivergedError(Exception):
    """The loss became infinite or not a number; the message names the step."""


class TrainingConfigError(ValueError):
    """A training cannot be run as configured; the message names the field."""


@dataclass(frozen=True)
class TrainingConfig:
    """epochs: passes over the training split. learning_rate: Adam's at the peak. device: "cpu", "cuda" or "auto"."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise TrainingConfigError(f"epochs: must be at least 1, got {self.epochs}")
        if self.batch_size < 2:
            raise TrainingConfigError(f"batch_size: must be at least 2, got {self.batch_size}")
        if not 0 < self.learning_rate < math.inf:
            raise TrainingConfigError(f"learning_rate: must be above 0, got {self.learning_rate}")
        if self.device not in ("cpu", "cuda", "auto"):
            raise TrainingConfigError(f'device: must be "cpu", "cuda" or "auto", got {self.device!r}')
        if self.device == "cuda" and not torch.cuda.is_available():
            raise TrainingConfigError('device: "cuda" is not available here; use "cpu" or "auto"')


def resolve_device(device: str) -> torch.device:
    """The device of "cpu", "cuda" or "auto" (the GPU if there is one)."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def train_teacher(
    model: nn.Module, dataset: Dataset, config: TrainingConfig, on_progress: OnProgress = ignore_progress
) -> None:
    """Train the model in place on the labels (Eq. 12) and leave it in eval mode, on the CPU. Raises DivergedError."""

    def loss_of(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels)

    batches = _training_batches(dataset, config)
    model.to(batches.labels.device)

    def factor(step: int, steps: int) -> float:
        return learning_rate_factor(step, steps, warm_up=TEACHER_WARM_UP, decay_begin=TEACHER_WARM_UP)

    _fit(model, batches, config, loss_of, factor, lambda step: None, on_progress)
    model.cpu().eval()


def teacher_logits(model: nn.Module, dataset: Dataset, *, device: str = "auto") -> NDArray[np.float32]:
    """The teacher's logits [n, classes] for the training split in its order; the temperature is applied later."""
    outputs = [logits for logits, _ in _evaluate(model, dataset.train, dataset.normalization, device)]
    return torch.cat(outputs).cpu().numpy().astype(np.float32)


def accuracy(model: nn.Module, split: Split, normalization: Normalization, *, device: str = "auto") -> float:
    """Share of a split that the float module classifies correctly."""
    correct = sum(
        int((logits.argmax(1) == labels).sum()) for logits, labels in _evaluate(model, split, normalization, device)
    )
    return correct / len(split.labels)


def compress(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    logits: NDArray[np.float32],
    config: TrainingConfig,
    on_progress: OnProgress = ignore_progress,
) -> CompressedModel:
    """Train the student `model` by distillation from the teacher's stored logits, compressing it by the recipe.

    logits: float32 [n_train, classes] of `teacher_logits`. The model is trained in place and becomes the result's
    module, on the CPU. Raises DivergedError.
    """
    if logits.shape != (len(dataset.train.labels), dataset.classes):
        raise ValueError(f"logits: expected [{len(dataset.train.labels)}, {dataset.classes}], got {list(logits.shape)}")
    batches = _training_batches(dataset, config)
    device = batches.labels.device
    teacher = torch.from_numpy(logits).to(device)
    model.to(device)
    schedule = recipe.schedule
    collaboration = Collaboration(model, recipe, steps=config.epochs * batches.per_epoch)

    def loss_of(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return distillation_loss(logits, teacher[indices], labels, recipe.temperature, recipe.alpha)

    def factor(step: int, steps: int) -> float:
        return learning_rate_factor(step, steps, warm_up=schedule.warm_up, decay_begin=schedule.pruning_end)

    _fit(model, batches, config, loss_of, factor, collaboration.before_step, on_progress)
    model.cpu()
    return collaboration.finalize()


def _training_batches(dataset: Dataset, config: TrainingConfig) -> Batches:
    return Batches(dataset.train, dataset.normalization, config.batch_size, resolve_device(config.device))


def _fit(
    model: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    loss_of: BatchLoss,
    factor: Callable[[int, int], float],
    before_step: BeforeStep,
    on_progress: OnProgress,
) -> None:
    """The optimiser steps of one training, by Adam; the same on the CPU for the same seed and number of threads."""
    steps = config.epochs * batches.per_epoch
    generator = torch.Generator().manual_seed(config.seed)
    # Quantisation noise draws from the global generator of the device.
    torch.manual_seed(config.seed)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    step = 0
    for epoch in range(config.epochs):
        for indices, images, labels in batches.shuffled(generator):
            before_step(step)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * factor(step, steps)
            loss = loss_of(model(images), labels, indices)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
            step += 1
            if step % REPORT_INTERVAL == 0 or step == steps:
                _report(Progress(step, steps, epoch, loss.item()), on_progress)
    _require_finite(model, steps)


def _require_finite(model: nn.Module, step: int) -> None:
    # The last loss was finite before the last step; what that step made of the weights no loss has seen.
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DivergedError(f"training diverged: {name} is not finite after step {step}; lower the learning rate")


def _report(progress: Progress, on_progress: OnProgress) -> None:
    if not math.isfinite(progress.loss):
        where = f"at step {progress.step} of {progress.steps}"
        raise DivergedError(f"training diverged: loss is {progress.loss} {where}; lower the learning rate")
    on_progress(progress)


@torch.no_grad()
def _evaluate(model: nn.Module, split: Split, normalization: Normalization, device: str) -> list[tuple[Tensor, Tensor]]:
    """Logits and labels of each batch of a split, in order; leaves the model in eval mode, on the CPU."""
    target = resolve_device(device)
    model.eval().to(target)
    batches = Batches(split, normalization, EVALUATION_BATCH, target)
    results = [(model(images), labels) for images, labels in batches.in_order()]
    model.cpu()
    return results
