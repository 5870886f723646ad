"""What the student learns from: the teacher's softened probabilities and the labels (Eqs 2, 12-15)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Eq. 13: H(softmax(z_t/T), softmax(z_s/T)), the mean over a batch of logits [n, classes]; Eq. 2 is the softmax."""
    targets = F.softmax(teacher_logits.detach() / temperature, dim=1)
    return F.cross_entropy(student_logits / temperature, targets)


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float, alpha: float | None
) -> Tensor:
    """Loss of a batch: logits [n, classes], labels int64 [n].

    With alpha: alpha T^2 L1 + (1 - alpha) L2, as Hinton et al. (arXiv:1503.02531) weigh them: T^2 keeps the soft
    gradient's size when T changes. With None: L1 + L2, the paper's Eq. 15. L1 is Eq. 13, L2 Eq. 14 with Eq. 12.
    """
    soft = soft_cross_entropy(student_logits, teacher_logits, temperature)
    hard = F.cross_entropy(student_logits, labels)
    if alpha is None:
        return soft + hard
    return alpha * temperature**2 * soft + (1 - alpha) * hard
