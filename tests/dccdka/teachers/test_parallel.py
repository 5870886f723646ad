"""A teacher that learns beside its student: as it would alone, while the student learns from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.datasets import Dataset
from dccdka.recipe import LayerRule, Recipe
from dccdka.teachers import ParallelTeacher, TeacherError
from dccdka.training import TrainingConfig, compress, train_teacher

Network = Callable[[int], nn.Module]
CONFIG = TrainingConfig(epochs=3, batch_size=16, device="cpu")
RECIPE = Recipe(2, 0.5, 16, 4)


def test_the_teacher_learns_as_it_would_alone(tiny: Dataset, network: Network) -> None:
    beside, alone = network(1), network(1)
    compress(network(0), tiny, RECIPE, ParallelTeacher(beside), training=CONFIG)
    train_teacher(alone, tiny, CONFIG)
    for (name, got), want in zip(beside.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(got, want), name
    assert not beside.training


def test_the_student_depends_on_its_teacher(tiny: Dataset, network: Network) -> None:
    one, other = (
        compress(network(0), tiny, RECIPE, ParallelTeacher(network(seed)), training=CONFIG) for seed in (1, 2)
    )
    assert any(not np.array_equal(one.layers[name].codes, other.layers[name].codes) for name in one.layers)


def test_it_learns_from_the_variants_and_in_the_type_of_the_student(tiny: Dataset, network: Network) -> None:
    config = replace(CONFIG, augmentation="flip-shift", autocast="bf16")
    beside, alone = network(1), network(1)
    compress(network(0), tiny, RECIPE, ParallelTeacher(beside), training=config)
    train_teacher(alone, tiny, config)
    for (name, got), want in zip(beside.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(got, want), name


def test_networks_that_cannot_learn_beside_the_student_are_refused(tiny: Dataset, network: Network) -> None:
    student, twin = network(0), network(1)
    with pytest.raises(TeacherError, match="is the student itself"):
        compress(student, tiny, RECIPE, ParallelTeacher(twin, student), training=CONFIG)
    with pytest.raises(TeacherError, match="in the ensemble twice"):
        ParallelTeacher(twin, twin)
    wrong = ParallelTeacher(twin, network(2), recipe=replace(RECIPE, layers=(LayerRule("no such layer", bits=8),)))
    with pytest.raises(TeacherError, match=r"^teacher 0: its recipe: layers: the rule for 'no such layer'"):
        compress(student, tiny, RECIPE, wrong, training=CONFIG)


def test_an_ensemble_is_compressed_by_the_same_steps(tiny: Dataset, network: Network) -> None:
    teacher = ParallelTeacher(network(1), network(2), recipe=Recipe(2, 0.8, 4, 3))
    compress(network(0), tiny, RECIPE, teacher, training=CONFIG)
    assert len(teacher.compressed) == 2
    for compressed in teacher.compressed:
        for codes in compressed.layers.values():
            assert np.mean(codes.codes == codes.zero_point) >= 0.8 - 1 / codes.codes.size
            assert len(np.unique(codes.codes)) <= 4 and codes.codes.max() < 8
