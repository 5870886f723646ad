"""The teacher of a study: its logits for the whole training set are stored once, or it learns beside each student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from dccdka.datasets import Dataset
from dccdka.progress import Progress
from dccdka.recipe import Recipe
from dccdka.teachers import (
    FixedTeacher,
    NetworkTeacher,
    OnnxTeacher,
    ParallelTeacher,
    StoredLogits,
    Teacher,
    TeacherError,
)
from dccdka.training import DivergedError, train_teacher
from dccdka.weights import WeightsError, load_weights
from harness.config import StudyConfig
from harness.config.study import TeacherConfig
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.search.preparation import network, resumed, training_config

Say = Callable[[str], None]
OnProgress = Callable[[Progress], None]


def check_teacher(config: StudyConfig, dataset: Dataset, folder: StudyFolder) -> None:
    """Raises UsageError for what of the trainings and the teacher cannot work with this data; nothing is trained."""
    training_config(config.training, config, dataset, "training")
    teacher = config.teacher
    stored = folder.logits.exists()  # then the teacher's files are not needed any more
    try:
        if teacher.onnx is not None and not stored:
            _onnx(teacher).check(dataset)
        elif teacher.parallel or not stored:
            _networks(config, dataset)
    except (TeacherError, WeightsError) as error:
        raise UsageError(f"teacher: {error}") from None
    if teacher.onnx is None and teacher.weights is None and not teacher.parallel:
        training_config(teacher.training, config, dataset, "teacher.training")


def prepare_teacher(
    config: StudyConfig, dataset: Dataset, folder: StudyFolder, on_progress: OnProgress, say: Say
) -> None:
    """Leaves teacher and logits in the folder; does nothing when they are there, or with a teacher that learns beside.

    Raises UsageError when the teacher cannot teach this data, or diverges.
    """
    check_teacher(config, dataset, folder)
    try:
        if not config.teacher.parallel and not folder.logits.exists():
            teacher = _fixed_teacher(config, dataset, folder, on_progress, say)
            augmentation = config.training.augmentation
            StoredLogits.compute(teacher, dataset, augmentation=augmentation, device=config.compute, path=folder.logits)
    except (TeacherError, WeightsError) as error:
        raise UsageError(f"teacher: {error}") from None


def teacher_of(config: StudyConfig, dataset: Dataset, folder: StudyFolder, recipe: Recipe) -> Teacher:
    """What a candidate of this recipe learns from, once `prepare_teacher` is done."""
    if config.teacher.parallel:
        return ParallelTeacher(*_networks(config, dataset), recipe=recipe if config.teacher.compressed else None)
    return StoredLogits.load(folder.logits)


def _fixed_teacher(
    config: StudyConfig, dataset: Dataset, folder: StudyFolder, on_progress: OnProgress, say: Say
) -> FixedTeacher:
    teacher = config.teacher
    if teacher.onnx is not None:
        say(f"storing what {teacher.onnx} says of the training images")
        return _onnx(teacher)
    if teacher.weights is not None:
        say(f"storing what the teacher of {teacher.weights} says of the training images")
        return NetworkTeacher(*_networks(config, dataset))
    of_all = "the teacher" if teacher.members == 1 else f"the teacher's {teacher.members} members"
    say(f"training {of_all} for {teacher.training.epochs} epoch(s)")
    members = [_trained(config, dataset, folder, number, on_progress) for number in range(teacher.members)]
    saved = members[0] if len(members) == 1 else nn.ModuleList(members)
    save_file({name: tensor.contiguous() for name, tensor in saved.state_dict().items()}, folder.teacher)
    for number in range(teacher.members):
        folder.checkpoint(f"teacher{number}").unlink(missing_ok=True)
    return NetworkTeacher(*members)


def _trained(
    config: StudyConfig, dataset: Dataset, folder: StudyFolder, number: int, on_progress: OnProgress
) -> nn.Module:
    seed = config.seed + number

    def train(checkpoint: Path) -> nn.Module:
        model = network(config.teacher, dataset, seed)
        settings = training_config(config.teacher.training, config, dataset, "teacher.training", seed=seed)
        train_teacher(model, dataset, settings, on_progress, checkpoint=checkpoint)
        return model

    try:
        return resumed(folder.checkpoint(f"teacher{number}"), train)
    except DivergedError as error:
        raise UsageError(f"teacher.training: {error}") from None


def _onnx(teacher: TeacherConfig) -> OnnxTeacher:
    assert teacher.onnx is not None  # asked for by both callers
    return OnnxTeacher(teacher.onnx, mean=teacher.mean, deviation=teacher.deviation, output=teacher.output)


def _networks(config: StudyConfig, dataset: Dataset) -> list[nn.Module]:
    teacher = config.teacher
    networks = [network(teacher, dataset, config.seed + number) for number in range(teacher.members)]
    if teacher.weights is not None:
        load_weights(networks[0], teacher.weights)
    return networks
