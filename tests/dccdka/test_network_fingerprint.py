"""A network's fingerprint is that of what it computes: of a twin's the same, of anything else another."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dccdka.models import build_model
from dccdka.network_fingerprint import network_fingerprint

SHAPE = (1, 8, 8)


class Net(nn.Module):
    """activation: of the hidden channels; join: how both branches come together."""

    def __init__(
        self,
        activation: Callable[[Tensor], Tensor] = F.relu,
        join: Callable[[Tensor, Tensor], Tensor] = torch.add,
        stride: int = 1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.activation, self.join = activation, join
        self.one, self.other = (nn.Conv2d(1, 4, 3, stride=stride) for _ in range(2))
        self.norm = nn.BatchNorm2d(4, eps)
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        values = self.join(self.activation(self.one(images)), self.norm(self.other(images)))
        return self.head(values.mean((2, 3)).view(images.shape[0], -1))


def test_weights_mode_and_threads_make_no_other_network() -> None:
    one, other = Net(), Net()
    expected = network_fingerprint(one, SHAPE)
    torch.set_num_threads(2)
    try:
        other.eval()(torch.randn(4, *SHAPE)).sum().backward()
        assert network_fingerprint(other, SHAPE) == expected
    finally:
        torch.set_num_threads(1)
    assert one.training and not other.training
    assert json.loads(json.dumps(expected)) == expected


@pytest.mark.parametrize(
    "other",
    [
        Net(F.silu),
        Net(nn.Hardswish()),
        Net(lambda x: x.clamp(0, 5)),
        Net(join=torch.mul),
        Net(join=lambda x, y: x + x),
        Net(join=lambda x, y: y + x),
        Net(stride=2),
        Net(eps=1e-3),
    ],
)
def test_another_computation_of_the_same_shapes_is_another_network(other: nn.Module) -> None:
    ours, theirs = network_fingerprint(Net(), SHAPE), network_fingerprint(other, SHAPE)
    assert ours["model"] == theirs["model"]
    assert ours["forward"] != theirs["forward"]


def test_calls_are_told_by_their_names_and_those_of_tensors() -> None:
    calls = list(network_fingerprint(Net(), SHAPE)["forward"].values())
    assert calls[0] == "conv2d(images, one.weight, one.bias, (1, 1), (0, 0), (1, 1), 1)"
    assert calls[1] == "relu(#0, inplace=False)"
    assert calls[-1] == "linear(#7, head.weight, head.bias)"


@pytest.mark.parametrize("name", ["mobilenetv2", "efficientnet-b0", "resnet8", "ds-cnn"])
def test_a_known_network_has_the_same_fingerprint_each_time(name: str) -> None:
    shape = (1, 49, 10) if name == "ds-cnn" else (3, 32, 32)
    one, other = (
        network_fingerprint(build_model(name, width=4, image_shape=shape, classes=10), shape) for _ in range(2)
    )
    assert one == other and one["forward"]


def test_a_network_that_cannot_be_followed_is_known_by_its_shapes() -> None:
    class Particular(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            if torch.overrides._len_torch_function_stack():
                raise RuntimeError("not under such eyes")
            return super().forward(images.flatten(1))

    fingerprint = network_fingerprint(Particular(64, 10), SHAPE)
    assert fingerprint == {"model": {"weight": [10, 64], "bias": [10]}, "forward": {}}


def test_a_network_that_reads_numbers_from_its_weights_is_known_by_its_shapes() -> None:
    def clamping(limit: Tensor) -> Net:
        return Net(lambda x: x.clamp(0, limit.item()))

    one, other = clamping(torch.tensor(0.4)), clamping(torch.tensor(0.5))
    assert network_fingerprint(one, SHAPE) == network_fingerprint(other, SHAPE)
    assert network_fingerprint(one, SHAPE)["forward"] == {}


def test_a_frozen_norm_stays_in_its_own_mode() -> None:
    model = Net().train()
    model.norm.eval()
    network_fingerprint(model, SHAPE)
    assert model.training and model.one.training and not model.norm.training
