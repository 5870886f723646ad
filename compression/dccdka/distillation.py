"""What the student learns from: the teacher's softened probabilities and the labels (Eqs 2, 12-15)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from dccdka.recipe import Recipe


def soft_targets(teacher_logits: Tensor, temperature: float) -> Tensor:
    """Eq. 2, softmax(z_t/T): probabilities [n, classes] of logits [n, classes] or [members, n, classes].

    The targets of an ensemble are the mean of its members' softened probabilities (Hinton et al., arXiv:1503.02531).
    """
    probabilities = F.softmax(teacher_logits.detach() / temperature, dim=-1)
    return probabilities.mean(0) if probabilities.ndim == 3 else probabilities


def soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Eq. 13: H(softmax(z_t/T), softmax(z_s/T)), the mean over a batch; student [n, classes], teacher see above."""
    return F.cross_entropy(student_logits / temperature, soft_targets(teacher_logits, temperature))


def loss_weights(recipe: Recipe) -> tuple[float, float]:
    """Weights of the soft loss L1 and the hard loss L2 of a recipe.

    "mix" alpha T^2 and 1 - alpha, as Hinton et al. weigh them: T^2 keeps the soft gradient's size when T changes.
    "t_squared" T^2 and 1. "sum" 1 and 1, the paper's Eq. 15.
    """
    match recipe.loss:
        case "mix":
            return recipe.alpha * recipe.temperature**2, 1 - recipe.alpha
        case "t_squared":
            return recipe.temperature**2, 1.0
        case "sum":
            return 1.0, 1.0


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Loss of a batch, weighted as the recipe says: L1 is Eq. 13, L2 Eq. 14 with Eq. 12.

    student_logits [n, classes], labels int64 [n]; teacher_logits [n, classes], of an ensemble [members, n, classes].
    """
    soft_weight, hard_weight = loss_weights(recipe)
    soft = soft_cross_entropy(student_logits, teacher_logits, recipe.temperature)
    hard = F.cross_entropy(student_logits, labels)
    return soft_weight * soft + hard_weight * hard
