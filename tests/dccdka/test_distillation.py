"""The distillation loss equals its formula, written out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dccdka.distillation import distillation_loss

STUDENT = [[1.0, -0.5, 0.25], [0.0, 2.0, -1.0]]
TEACHER = [[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]]
LABELS = [0, 2]
T = 3.0


def softmax(logits: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(z / temperature) for z in logits]
    return [e / sum(exponentials) for e in exponentials]


def soft_by_hand() -> float:
    rows = [
        -sum(p * math.log(q) for p, q in zip(softmax(t, T), softmax(s, T), strict=True))
        for s, t in zip(STUDENT, TEACHER, strict=True)
    ]
    return sum(rows) / len(rows)


def hard_by_hand() -> float:
    return sum(-math.log(softmax(s, 1)[label]) for s, label in zip(STUDENT, LABELS, strict=True)) / len(LABELS)


def loss(alpha: float | None) -> Tensor:
    return distillation_loss(torch.tensor(STUDENT), torch.tensor(TEACHER), torch.tensor(LABELS), T, alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alpha_mixes_the_soft_loss_times_t_squared_with_the_hard_one(alpha: float) -> None:
    assert float(loss(alpha)) == pytest.approx(alpha * T**2 * soft_by_hand() + (1 - alpha) * hard_by_hand(), rel=1e-5)


def test_without_alpha_it_is_the_papers_unweighted_sum() -> None:
    assert float(loss(None)) == pytest.approx(soft_by_hand() + hard_by_hand(), rel=1e-5)


def test_nothing_flows_back_to_the_teacher() -> None:
    teacher = torch.tensor(TEACHER, requires_grad=True)
    student = torch.tensor(STUDENT, requires_grad=True)
    distillation_loss(student, teacher, torch.tensor(LABELS), T, 0.5).backward()
    assert teacher.grad is None
    assert student.grad is not None
