"""The distillation loss equals its formula, written out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dccdka.distillation import distillation_loss, soft_targets
from dccdka.recipe import Recipe

STUDENT = [[1.0, -0.5, 0.25], [0.0, 2.0, -1.0]]
TEACHER = [[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]]
OTHER_TEACHER = [[-1.0, 3.0, 0.0], [0.0, 0.0, 4.0]]
LABELS = [0, 2]
T = 3.0


def softmax(logits: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(z / temperature) for z in logits]
    return [e / sum(exponentials) for e in exponentials]


def cross_entropy(targets: list[list[float]]) -> float:
    rows = [
        -sum(p * math.log(q) for p, q in zip(target, softmax(student, T), strict=True))
        for student, target in zip(STUDENT, targets, strict=True)
    ]
    return sum(rows) / len(rows)


def soft_by_hand() -> float:
    return cross_entropy([softmax(row, T) for row in TEACHER])


def hard_by_hand() -> float:
    return sum(-math.log(softmax(s, 1)[label]) for s, label in zip(STUDENT, LABELS, strict=True)) / len(LABELS)


def loss(teacher: Any = TEACHER, **options: Any) -> Tensor:
    recipe = Recipe(T, 0.5, 4, 4, **options)
    return distillation_loss(torch.tensor(STUDENT), torch.tensor(teacher), torch.tensor(LABELS), recipe)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alpha_mixes_the_soft_loss_times_t_squared_with_the_hard_one(alpha: float) -> None:
    expected = alpha * T**2 * soft_by_hand() + (1 - alpha) * hard_by_hand()
    assert float(loss(alpha=alpha)) == pytest.approx(expected, rel=1e-5)


def test_the_papers_loss_is_the_sum_as_it_is_whatever_alpha() -> None:
    assert float(loss(loss="sum", alpha=0.9)) == pytest.approx(soft_by_hand() + hard_by_hand(), rel=1e-5)


def test_the_soft_loss_may_be_scaled_by_t_squared_alone() -> None:
    assert float(loss(loss="t_squared")) == pytest.approx(T**2 * soft_by_hand() + hard_by_hand(), rel=1e-5)


def test_an_ensemble_teaches_the_mean_of_its_softened_probabilities_not_of_its_logits() -> None:
    means = [
        [(p + q) / 2 for p, q in zip(softmax(a, T), softmax(b, T), strict=True)]
        for a, b in zip(TEACHER, OTHER_TEACHER, strict=True)
    ]
    expected = cross_entropy(means) + hard_by_hand()
    assert float(loss([TEACHER, OTHER_TEACHER], loss="sum")) == pytest.approx(expected, rel=1e-5)
    of_mean_logits = torch.tensor([TEACHER, OTHER_TEACHER]).mean(0)
    assert not torch.allclose(soft_targets(torch.tensor([TEACHER, OTHER_TEACHER]), T), soft_targets(of_mean_logits, T))


def test_nothing_flows_back_to_the_teacher() -> None:
    teacher = torch.tensor(TEACHER, requires_grad=True)
    student = torch.tensor(STUDENT, requires_grad=True)
    distillation_loss(student, teacher, torch.tensor(LABELS), Recipe(T, 0.5, 4, 4)).backward()
    assert teacher.grad is None
    assert student.grad is not None
