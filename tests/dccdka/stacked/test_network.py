"""A stacked network computes, and differentiates, what each of its candidates computes alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dccdka.models import NETWORKS
from dccdka.stacked.network import StackingError, stack_network

COUNT = 3


class Branches(nn.Module):
    """What the zoo has not: concatenation, shape arithmetic, a layer used twice, a mean, a bias before batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.gate = nn.Conv2d(4, 4, 1)
        self.merge = nn.Conv2d(8, 6, 1, bias=False)
        self.linear = nn.Linear(6 * 9, 5)

    def forward(self, images: Tensor) -> Tensor:
        a = F.relu(self.stem(images))
        b = self.norm(self.depthwise(self.depthwise(a)))
        b = b * torch.sigmoid(self.gate(b.mean((2, 3), keepdim=True)))
        c = F.max_pool2d(self.merge(F.pad(torch.cat([a, b], 1), (1, 1, 1, 1))), 2)
        return self.linear(c.view(c.size(0), -1))  # type: ignore[no-any-return]  # modules' calls are untyped


def built(name: str) -> tuple[nn.Module, Tensor]:
    """A small network, and images for it."""
    torch.manual_seed(0)
    if name == "branches":
        return Branches(), torch.randn(4, 3, 4, 4)
    network = NETWORKS[name]
    side = max(network.smallest_side, 32)
    if network.fixed:
        return network.build(network.width, network.image_shape, network.classes), torch.randn(4, *network.image_shape)
    return network.build(4, (3, side, side), 5), torch.randn(4, 3, side, side)


@pytest.mark.parametrize("name", ["branches", "resnet8", "lenet5", "mobilenetv2", "ds-cnn", "mlperf-ad"])
def test_each_candidate_gets_its_own_logits_and_gradients(name: str) -> None:
    model, images = built(name)
    stacked = stack_network(model, COUNT, images)
    models = [copy.deepcopy(model) for _ in range(COUNT)]
    for candidate, one in enumerate(models):
        for parameter_name, parameter in one.named_parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
            of_all = stacked.get_parameter(parameter_name)
            of_all.data.view(COUNT, *parameter.shape)[candidate] = parameter.data
    # In eval mode, for dropout draws otherwise; then with the statistics of the batch.
    for module in (stacked, *models):
        module.eval()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.train()
    logits = stacked(images).unflatten(1, (COUNT, -1))
    logits.square().sum().backward()
    for candidate, one in enumerate(models):
        expected = one(images)
        expected.square().sum().backward()
        size = float(expected.detach().abs().max())
        torch.testing.assert_close(logits[:, candidate], expected, rtol=1e-3, atol=1e-3 * size)
        for parameter_name, parameter in one.named_parameters():
            gradient = stacked.get_parameter(parameter_name).grad
            assert gradient is not None and parameter.grad is not None
            of_one = gradient.view(COUNT, *parameter.shape)[candidate]
            size = float(parameter.grad.abs().max())
            torch.testing.assert_close(of_one, parameter.grad, rtol=1e-2, atol=1e-3 * size + 1e-4)
        for buffer_name, buffer in one.named_buffers():
            of_all = stacked.get_buffer(buffer_name)
            of_one = of_all.view(COUNT, *buffer.shape)[candidate] if buffer.ndim else of_all
            torch.testing.assert_close(of_one, buffer, rtol=1e-3, atol=1e-3)


def test_the_model_is_not_altered() -> None:
    model, images = built("resnet8")
    before = copy.deepcopy(model.state_dict())
    stack_network(model, COUNT, images)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.factor = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factor  # type: ignore[no-any-return]  # modules' calls are untyped


class Choosing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Overwriting(nn.Module):
    """torch.fx reads y += y as y + y, so that z would not see the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = z = self.linear(x)
        y += 1
        return z  # type: ignore[no-any-return]  # modules' calls are untyped


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 2)), "module 1: PReLU cannot be stacked"),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)), "module 0: BatchNorm1d cannot be stacked"),
        (Scaled(), "parameter factor is used outside a layer"),
        (Choosing(), "Choosing cannot be traced"),
        (Overwriting(), "Overwriting does not give its own logits"),
        (nn.Sequential(nn.ReLU()), "no layer with weights"),
    ],
)
def test_what_cannot_be_stacked_is_refused_with_what_to_do(model: nn.Module, message: str) -> None:
    with pytest.raises(StackingError, match=f"{message}.*one by one with dccdka.training.compress"):
        stack_network(model, 2, torch.randn(3, 4))
