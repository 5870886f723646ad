"""Each candidate's loss is the distillation loss of its recipe."""

from __future__ import annotations

import pytest
import torch

from dccdka.distillation import distillation_loss
from dccdka.recipe import Recipe
from dccdka.stacked.loss import StackedLoss

RECIPES = [Recipe(4, 0.5, 4, 4, alpha=0.3), Recipe(1, 0.5, 4, 4, loss="t_squared"), Recipe(20, 0.5, 4, 4, loss="sum")]


@pytest.mark.parametrize("teacher_shape", [(6, 5), (2, 6, 5)], ids=["one teacher", "ensemble"])
def test_losses_are_those_of_the_recipes(teacher_shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, 5, generator=generator)
    teacher = 3 * torch.randn(teacher_shape, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    losses = StackedLoss(RECIPES, torch.device("cpu"))(logits.flatten(1), teacher, labels)
    expected = [distillation_loss(logits[:, n], teacher, labels, recipe) for n, recipe in enumerate(RECIPES)]
    torch.testing.assert_close(losses, torch.stack(expected))
