"""A study's teacher: trained, taken from a file, or left to learn beside each student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dccdka.datasets import Dataset, Split, load_dataset
from dccdka.progress import Progress, ignore_progress
from dccdka.recipe import Recipe
from dccdka.teachers import NetworkTeacher, ParallelTeacher, StoredLogits
from harness.config import StudyConfig
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.search.preparation import network
from harness.search.teacher import prepare_teacher, teacher_of

RECIPE = Recipe(2, 0.5, 8, 4)


@pytest.fixture(scope="module", autouse=True)
def _one_torch_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    full = load_dataset("fashion-mnist")
    return replace(full, train=Split(full.train.images[:128], full.train.labels[:128]))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


def study(teacher: dict[str, Any], training: dict[str, Any] | None = None) -> StudyConfig:
    settings = {"epochs": 2, "batch_size": 16}
    trained = {} if teacher.keys() & {"weights", "onnx", "parallel"} else {"training": settings}
    return StudyConfig.model_validate(
        {
            "name": "small",
            "data": {"source": "fashion-mnist"},
            "teacher": {"name": "resnet8", "width": 2, **trained, **teacher},
            "training": {**settings, **(training or {})},
            "candidates": 1,
            "devices": ["d"],
            "target": "d",
            "compute": "cpu",
        }
    )


def prepared(
    config: StudyConfig,
    dataset: Dataset,
    folder: StudyFolder,
    on_progress: Callable[[Progress], None] = ignore_progress,
) -> list[str]:
    said: list[str] = []
    prepare_teacher(config, dataset, folder, on_progress, said.append)
    return said


def test_an_ensemble_is_trained_once_and_its_logits_are_stored_for_every_variant(
    dataset: Dataset, folder: StudyFolder
) -> None:
    config = study({"members": 2}, {"augmentation": "flip"})
    assert prepared(config, dataset, folder) == ["training the teacher's 2 members for 2 epoch(s)"]
    teacher = teacher_of(config, dataset, folder, RECIPE)
    assert isinstance(teacher, StoredLogits)
    assert teacher.values.shape == (2, 2, 128, 10) and teacher.augmentation == "flip"
    assert not np.allclose(teacher.values[0, 0], teacher.values[0, 1])
    assert {name.partition(".")[0] for name in load_file(folder.teacher)} == {"0", "1"}
    assert not list(folder.checkpoints.iterdir())
    assert prepared(config, dataset, folder) == []


def test_a_trained_teacher_serves_another_study_as_weights(dataset: Dataset, folder: StudyFolder) -> None:
    prepared(study({}), dataset, folder)
    first = np.load(folder.logits)
    folder.logits.unlink()
    said = prepared(study({"weights": folder.teacher}), dataset, folder)
    assert said == [f"storing what the teacher of {folder.teacher} says of the training images"]
    assert np.array_equal(np.load(folder.logits), first)


def test_an_interrupted_training_of_the_teacher_goes_on(
    dataset: Dataset, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 16:
            raise KeyboardInterrupt

    clock = iter(range(0, 10**6, 100))  # seconds: a checkpoint is due after every step
    monkeypatch.setattr("dccdka.fitting.time", SimpleNamespace(monotonic=clock.__next__))
    with pytest.raises(KeyboardInterrupt):
        prepared(study({}), dataset, folder, stop)
    assert folder.checkpoint("teacher0").exists()
    seen: list[int] = []
    prepared(study({}), dataset, folder, lambda progress: seen.append(progress.step))
    assert seen == [16]


def test_a_checkpoint_of_other_settings_is_begun_anew(dataset: Dataset, folder: StudyFolder) -> None:
    folder.checkpoints.mkdir()
    folder.checkpoint("teacher0").write_bytes(b"of something else")
    seen: list[int] = []
    prepared(study({}), dataset, folder, lambda progress: seen.append(progress.step))
    assert seen == [10, 16]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_teacher_that_learns_beside_is_made_for_each_student(
    dataset: Dataset, folder: StudyFolder, compressed: bool
) -> None:
    config = study({"parallel": True, "compressed": compressed, "members": 2})
    assert prepared(config, dataset, folder) == []
    assert not folder.logits.exists()
    first, second = (teacher_of(config, dataset, folder, RECIPE) for _ in range(2))
    assert isinstance(first, ParallelTeacher) and isinstance(second, ParallelTeacher)
    assert first.recipe == (RECIPE if compressed else None)
    assert len(first.networks) == 2 and first.networks[0] is not second.networks[0]


@pytest.mark.parametrize(
    ("teacher", "training", "message"),
    [
        ({"weights": "none.safetensors"}, {}, "teacher: none.safetensors: not a safetensors file"),
        ({"weights": "none.safetensors", "parallel": True}, {}, "teacher: none.safetensors: not a safetensors file"),
        ({"onnx": "none.onnx"}, {}, "teacher: none.onnx: no such file"),
        ({}, {"batch_size": 129}, "training.batch_size: 129 is more than the 128 training images"),
        ({}, {"autocast": "fp16"}, 'training.autocast: "fp16" is for GPUs'),
        ({"training": {"batch_size": 500}}, {}, "teacher.training.batch_size: 500 is more than"),
    ],
)
def test_what_cannot_teach_is_told_before_anything_is_trained(
    dataset: Dataset, folder: StudyFolder, teacher: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as told:
        prepared(study(teacher, training), dataset, folder)
    assert str(told.value).startswith(message)


def test_stored_logits_are_those_of_the_saved_teacher(dataset: Dataset, folder: StudyFolder) -> None:
    config = study({})
    prepared(config, dataset, folder)
    saved = network(config.teacher, dataset, 0)
    saved.load_state_dict(load_file(folder.teacher))
    again = StoredLogits.compute(NetworkTeacher(saved), dataset, device="cpu")
    assert np.array_equal(again.values, np.load(folder.logits))
