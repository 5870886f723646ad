"""Networks as teachers: checked against the data, filled from safetensors, never from a pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dccdka.datasets import Dataset
from dccdka.recipe import Recipe
from dccdka.teachers import NetworkTeacher, TeacherError, load_weights
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
    with pytest.raises(TeacherError, match="teacher: must be a module, a list of modules, logits"):
        compress(network(0), tiny, Recipe(2, 0.5, 8, 4), teacher, training=TrainingConfig(batch_size=16))  # type: ignore[arg-type]


def test_weights_come_back_from_their_file(tmp_path: Path, network: Network) -> None:
    saved, fresh = network(1), network(2)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    load_weights(fresh, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(saved.state_dict().values(), fresh.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.bias": None}, "has no 0.bias, which the network needs"),
        ({"0.weight": torch.zeros(4, 1, 5, 5)}, r"0.weight has the shape \[4, 1, 5, 5\], the network's \[4, 1, 3, 3\]"),
        ({"9.weight": torch.zeros(1)}, "has 9.weight, which the network does not"),
        ({"4.bias": torch.full((10,), float("nan"))}, "4.bias holds values that are not finite"),
    ],
    ids=["missing", "shape", "unknown", "nan"],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, network: Network, change: dict[str, torch.Tensor | None], message: str
) -> None:
    state = {**network(1).state_dict(), **change}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "w.safetensors")
    with pytest.raises(TeacherError, match=rf"w\.safetensors: {message}"):
        load_weights(network(2), tmp_path / "w.safetensors")


def test_a_pickled_checkpoint_is_not_opened(tmp_path: Path, network: Network) -> None:
    torch.save(network(1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(TeacherError, match=r"w\.pt: not a safetensors file"):
        load_weights(network(2), tmp_path / "w.pt")
