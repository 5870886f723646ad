"""Trains a teacher on labels, and a student by distillation while it is pruned, clustered and quantised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dccdka.arguments import AnyData, AnyTeacher, as_dataset, as_teacher
from dccdka.batches import Batch, Batches
from dccdka.checkpoint import Checkpoint, CheckpointError
from dccdka.collaborative import CompressedModel, require_feasible
from dccdka.datasets import Dataset
from dccdka.distillation import distillation_loss
from dccdka.divergence import DivergedError
from dccdka.evaluation import NetworkError, accuracy, require_trainable
from dccdka.fitting import fit
from dccdka.integer_form import require_integer_form
from dccdka.learner import Learner, abandoned_on_failure
from dccdka.network_fingerprint import network_fingerprint
from dccdka.progress import OnProgress, ignore_progress
from dccdka.recipe import Recipe
from dccdka.teachers import NetworkTeacher, ParallelTeacher, StoredLogits, TeacherError, Training
from dccdka.teachers.stored import split_sha256
from dccdka.training_config import TrainingConfig, TrainingConfigError, require_training, resolve_device

__all__ = [
    "AnyTeacher",
    "CheckpointError",
    "DivergedError",
    "NetworkError",
    "TrainingConfig",
    "TrainingConfigError",
    "accuracy",
    "compress",
    "resolve_device",
    "teacher_logits",
    "train_teacher",
]

_DEFAULT = TrainingConfig()
# What of a configuration a training may go on with changed: it touches no result on the same device.
_FREE = ("device", "checkpoint_every")


def train_teacher(
    model: nn.Module,
    dataset: AnyData,
    config: TrainingConfig,
    on_progress: OnProgress = ignore_progress,
    *,
    checkpoint: str | Path | None = None,
) -> None:
    """Train the model in place on the labels (Eq. 12) and leave it in eval mode, on the CPU.

    The training's seed is given to torch's global generator, too. dataset, checkpoint: as data and checkpoint of
    `compress`. Raises DatasetError, TrainingConfigError, NetworkError, CheckpointError, DivergedError; the model is
    left as `compress` leaves it then.
    """
    require_training(config, "config")
    dataset = as_dataset(dataset, config.seed)
    steps = config.steps(len(dataset.train.labels))
    require_trainable(model, dataset, "model")
    file = _checkpoint(checkpoint, model, dataset, config, {"kind": "labels alone"})
    if file is not None:
        file.check()
    batches = _training_batches(dataset, config)
    learner = Learner("the network", model, config, batches.labels.device, steps)
    with abandoned_on_failure([learner]):
        fit(learner, batches, _loss_of_labels, config, on_progress, checkpoint=file)
    model.cpu().eval()


def teacher_logits(model: nn.Module, dataset: Dataset, *, device: str = "auto") -> NDArray[np.float32]:
    """The teacher's logits [n, classes] for the training split in its order; the temperature is applied later."""
    values: NDArray[np.float32] = StoredLogits.compute(NetworkTeacher(model), dataset, device=device).values[0, 0]
    return values


def compress(
    model: nn.Module,
    data: AnyData,
    recipe: Recipe,
    teacher: AnyTeacher = None,
    *,
    training: TrainingConfig = _DEFAULT,
    checkpoint: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    lowered: bool = True,
) -> CompressedModel:
    """Train the student `model`, any module that gives logits [n, classes], while the recipe compresses it.

    data: a Dataset, or what `load_dataset` takes. teacher: a trained network, a list of them (an ensemble), logits
    [n_train, classes] or [members, n_train, classes] as a tensor or a float32 array, one of `dccdka.teachers`, or None
    to learn from the labels alone. The model is trained in place and becomes the result's module, on the CPU. The
    training's seed is given to torch's global generator, too.

    checkpoint: a file that the training's state is saved to now and then, and at the end; where it exists, the training
    goes on from it, on the CPU to the same bits as one that was not interrupted. Remove it when it is not needed.

    lowered: the result is meant for `lower`, so a network that has no integer form is refused before it is trained.

    Raises, before anything is trained: DatasetError, RecipeError, TrainingConfigError, NetworkError, LoweringError,
    TeacherError, CheckpointError (also where none could be saved); and DivergedError, which names step and layer.
    Whatever ends a training early, also Ctrl-C, the model is plain afterwards and on the CPU, and can be given again,
    with the checkpoint or without. Its weights are then those that it had come to: after DivergedError the diverged
    ones, so make the network anew.
    """
    require_training(training, "training")
    dataset = as_dataset(data, training.seed)
    steps = training.steps(len(dataset.train.labels))
    require_trainable(model, dataset, "model")
    require_feasible(model, recipe)
    if lowered:
        require_integer_form(model, dataset, recipe)
    chosen = as_teacher(teacher)
    if isinstance(chosen, ParallelTeacher) and model in chosen.networks:
        raise TeacherError("teacher: is the student itself, which cannot learn beside itself; give another network")
    file = _checkpoint(checkpoint, model, dataset, training, {"kind": "student", "recipe": recipe.to_dict()})
    if file is not None:
        # What the teacher knows is found out from all the images, which may take long: all else is looked at before.
        file.check(later=("teacher",))
    batches = _training_batches(dataset, training)
    device = batches.labels.device
    lessons = chosen.prepare(Training(dataset, training, device, steps)) if chosen is not None else None

    def loss_of(logits: Tensor, batch: Batch, step: int) -> Tensor:
        if lessons is None:
            return _loss_of_labels(logits, batch, step)
        return distillation_loss(logits, lessons.logits(batch, step), batch.labels, recipe)

    learners = [*lessons.learners] if lessons is not None else []
    with abandoned_on_failure(learners):
        if file is not None:
            teaching = lessons.fingerprint if lessons is not None else None
            file = replace(file, fingerprint={**file.fingerprint, "teacher": teaching})
            file.check()
        learner = Learner("the student", model, training, device, steps, recipe)
        beside = tuple(learners)
        learners.append(learner)
        fit(learner, batches, loss_of, training, on_progress, beside=beside, checkpoint=file)
        if lessons is not None:
            lessons.end()
        assert learner.collaboration is not None  # made for the recipe
        compressed = learner.collaboration.finalize()
    model.cpu()
    return compressed


def _loss_of_labels(logits: Tensor, batch: Batch, step: int) -> Tensor:
    return F.cross_entropy(logits, batch.labels)


def _training_batches(dataset: Dataset, config: TrainingConfig) -> Batches:
    device = resolve_device(config.device)
    return Batches(dataset.train, dataset.normalization, config.batch_size, device, config.augmentation)


def _checkpoint(
    path: str | Path | None, model: nn.Module, dataset: Dataset, config: TrainingConfig, who: Mapping[str, object]
) -> Checkpoint | None:
    if path is None:
        return None
    settings = {name: value for name, value in vars(config).items() if name not in _FREE}
    device = resolve_device(config.device).type
    about = {**who, "training": settings, "device": device, "data": split_sha256(dataset.train)}
    return Checkpoint(Path(path), {**about, **network_fingerprint(model, dataset.image_shape)})
