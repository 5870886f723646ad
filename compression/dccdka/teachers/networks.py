"""A teacher that is a torch network, or an ensemble of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dccdka.datasets import Dataset, Normalization
from dccdka.evaluation import NetworkError, require_logits
from dccdka.teachers.teacher import FixedTeacher, TeacherError


class NetworkTeacher(FixedTeacher):
    """One trained network, or several, whose softened probabilities are averaged (Hinton et al., arXiv:1503.02531).

    They are left in eval mode, on the CPU.
    """

    def __init__(self, *networks: nn.Module) -> None:
        if not networks:
            raise TeacherError("teacher: an ensemble needs at least one network")
        self.networks = networks
        self.members = len(networks)

    def check(self, dataset: Dataset) -> None:
        for number, network in enumerate(self.networks):
            try:
                require_logits(network, dataset, "teacher" if self.members == 1 else f"teacher {number}")
            except NetworkError as error:
                raise TeacherError(str(error)) from error

    def move_to(self, device: torch.device) -> None:
        for network in self.networks:
            network.eval().to(device)

    def answer(self, images: Tensor, normalization: Normalization) -> Tensor:
        return torch.stack([network(images) for network in self.networks])
