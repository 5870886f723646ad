"""A teacher that is a torch network, or an ensemble of them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dccdka.datasets import Dataset, Normalization
from dccdka.evaluation import NetworkError, require_logits
from dccdka.teachers.teacher import FixedTeacher, TeacherError


class NetworkTeacher(FixedTeacher):
    """One trained network, or several, whose softened probabilities are averaged (Hinton et al., arXiv:1503.02531)."""

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


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill the model with the parameters and buffers of a safetensors file, which must have just those.

    Raises TeacherError naming the file and the first tensor that is missing, unknown, of another shape or not finite.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TeacherError(f"{path}: not a safetensors file that can be read: {error}") from error
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in given:
            raise TeacherError(f"{path}: has no {name}, which the network needs; is it of another network?")
        if given[name].shape != tensor.shape:
            raise TeacherError(
                f"{path}: {name} has the shape {list(given[name].shape)}, the network's {list(tensor.shape)}"
            )
        if given[name].is_floating_point() and not bool(torch.isfinite(given[name]).all()):
            raise TeacherError(f"{path}: {name} holds values that are not finite; the network did not train well")
    unknown = sorted(set(given) - set(wanted))
    if unknown:
        raise TeacherError(f"{path}: has {unknown[0]}, which the network does not; is it of another network?")
    model.load_state_dict(given)
