"""Networks as teachers: checked against the data, alone or as an ensemble."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dccdka.datasets import Dataset
from dccdka.recipe import Recipe
from dccdka.teachers import NetworkTeacher, TeacherError
from dccdka.training import TrainingConfig, compress

Network = Callable[[int], nn.Module]


def test_an_ensemble_answers_member_by_member(tiny: Dataset, network: Network) -> None:
    members = [network(seed).eval() for seed in range(3)]
    images = torch.randn(5, 1, 28, 28)
    answer = NetworkTeacher(*members).answer(images, tiny.normalization)
    assert answer.shape == (3, 5, 10)
    torch.testing.assert_close(answer[2], members[2](images))


def test_a_teacher_of_other_classes_is_refused_by_its_number(tiny: Dataset, network: Network) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(784, 7))
    with pytest.raises(TeacherError, match=r"teacher 1: must give logits of shape \[n, 10\], gives \[2, 7\]"):
        compress(network(0), tiny, Recipe(2, 0.5, 8, 4), [network(1), other], training=TrainingConfig(batch_size=16))


@pytest.mark.parametrize("teacher", [[], "resnet8", [1, 2]], ids=str)
def test_what_is_no_teacher_is_refused(tiny: Dataset, network: Network, teacher: object) -> None:
    with pytest.raises(TeacherError, match=r"teacher: (must be a module, a list of |the list of networks is empty)"):
        compress(network(0), tiny, Recipe(2, 0.5, 8, 4), teacher, training=TrainingConfig(batch_size=16))  # type: ignore[arg-type]
