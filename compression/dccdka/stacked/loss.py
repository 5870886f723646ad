"""The distillation loss of N candidates, each with its own temperature and weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dccdka.distillation import loss_weights
from dccdka.recipe import Recipe
from dccdka.stacked.network import by_candidate


class StackedLoss:
    """dccdka.distillation.distillation_loss for each recipe."""

    def __init__(self, recipes: Sequence[Recipe], device: torch.device) -> None:
        self._temperatures = torch.tensor([[recipe.temperature] for recipe in recipes]).to(device)
        self._soft, self._hard = torch.tensor([loss_weights(recipe) for recipe in recipes]).to(device).unbind(1)

    def __call__(self, logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Losses [N], means over a batch of b: logits [b, N * classes]; the teacher's [b, classes], or of an ensemble
        [members, b, classes]; labels int64 [b]."""
        count = len(self._temperatures)
        of_each = by_candidate(logits, count)  # [b, N, classes]
        targets = F.softmax(teacher_logits.unsqueeze(-2) / self._temperatures, dim=-1)
        if targets.ndim == 4:
            targets = targets.mean(0)
        soft = -(targets * F.log_softmax(of_each / self._temperatures, dim=-1)).sum(-1).mean(0)
        of_label = labels.view(-1, 1, 1).expand(-1, count, 1)
        hard = -F.log_softmax(of_each, dim=-1).gather(2, of_label).mean((0, 2))
        return self._soft * soft + self._hard * hard
