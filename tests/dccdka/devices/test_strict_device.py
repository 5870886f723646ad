"""The stand-in for a GPU refuses what a GPU refuses, and sees what a GPU is waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from .strict_device import NAME, StrictDevice


@pytest.fixture
def ours(strict: StrictDevice) -> Tensor:
    """[[0, 1, 2], [3, 4, 5]], on the device."""
    tensor = torch.arange(6.0).view(2, 3).to(NAME)
    strict.waits.clear()
    return tensor


@pytest.mark.parametrize(
    "mix",
    [
        lambda ours: ours + torch.ones(3),
        lambda ours: torch.cat([ours, torch.ones(2, 3)]),
        lambda ours: ours @ torch.ones(3, 1),
        lambda ours: ours.mul_(torch.ones(2, 3)),
        lambda ours: torch.ones(2, 3).mul_(ours),
        lambda ours: ours.index_select(0, torch.tensor([0])),
        lambda ours: torch.ones(6)[ours.long()],
        lambda ours: torch.where(ours > 0, ours, torch.ones(2, 3)),
        lambda ours: torch.nn.functional.cross_entropy(ours, torch.tensor([0, 1])),
        lambda ours: ours.random_(generator=torch.Generator()),
    ],
)
def test_tensors_and_generators_of_the_cpu_are_refused(ours: Tensor, mix: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RuntimeError, match=r"same device|device type|indices should be either on"):
        mix(ours)


def test_memory_of_the_device_is_no_numpy_array(ours: Tensor) -> None:
    with pytest.raises(TypeError, match="can't convert strict:0 device type tensor to numpy"):
        ours.numpy()


def test_numbers_and_indices_of_the_cpu_are_taken(ours: Tensor) -> None:
    assert (ours * torch.tensor(2.0)).cpu().tolist() == [[0, 2, 4], [6, 8, 10]]
    assert ours[:, torch.tensor([2, 0])].cpu().tolist() == [[2, 0], [5, 3]]


@pytest.mark.parametrize(
    ("look", "wait"),
    [
        (lambda ours: ours.sum().item(), "_local_scalar_dense"),
        (lambda ours: bool(ours.isfinite().all()), "_local_scalar_dense"),
        (lambda ours: ours.cpu(), "copy to the host"),
        (lambda ours: torch.ones(3).to(ours.device), "copy from the host"),
        (lambda ours: torch.tensor([1, 2], device=ours.device), "copy from the host"),
        (lambda ours: ours[ours > 2], "index"),
        (lambda ours: ours.nonzero(), "nonzero"),
        (lambda ours: ours.unique(), "_unique2"),
        (lambda ours: torch.equal(ours, ours), "equal"),
        (lambda ours: ours.repeat_interleave(ours.long().flatten()[:2], dim=0), "repeat_interleave"),
    ],
)
def test_what_a_gpu_is_waited_for_is_noted(
    strict: StrictDevice, ours: Tensor, look: Callable[[Tensor], object], wait: str
) -> None:
    look(ours)
    assert wait in strict.waits


def test_what_stays_on_the_device_is_not_waited_for(strict: StrictDevice, ours: Tensor) -> None:
    weight = torch.ones(3, 2, device=NAME, requires_grad=True)
    torch.where(ours @ weight > 1, 1.0, torch.nan).nan_to_num().mul(weight.sum()).sum().backward()
    torch.ones(3).to(NAME, non_blocking=True)
    assert weight.grad is not None and weight.grad.device.type == NAME
    assert strict.waits == []


def test_it_draws_from_a_generator_of_its_own(strict: StrictDevice) -> None:
    torch.manual_seed(7)
    of_cpu = torch.rand(4)
    torch.manual_seed(7)
    of_device = torch.rand(4, device=NAME)
    assert torch.equal(torch.rand(4), of_cpu)
    assert not torch.equal(of_device.cpu(), of_cpu)
