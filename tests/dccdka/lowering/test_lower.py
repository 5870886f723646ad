"""Lowered networks compute what the float networks compute, on real images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dccdka.lowering.graph import AveragePool, Convolution, MaxPool, ReLU
from dccdka.models import build_model
from dccdka.packing import pack
from dccdka.recipe import Recipe


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class Between(nn.Module):
    """Convolution, some function, convolution: the function alone differs from test to test."""

    def __init__(self, function) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, stride=2)
        self.function = function
        self.last = nn.Conv2d(6, 4, 3)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


class Calls(nn.Module):
    """A function as a module that is traced through."""

    def __init__(self, function, child: nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.child = child

    def forward(self, x):
        return self.function(x)


def kinds(graph):
    return [type(operator) for operator in graph.operators]


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (nn.Identity(), []),
        (nn.Dropout(0.9), []),
        (nn.ReLU(), []),
        (nn.ReLU(inplace=True), []),
        (nn.ReLU6(), []),
        (nn.Sequential(nn.Identity(), nn.BatchNorm2d(6), nn.Dropout2d(), nn.ReLU()), []),
        (Calls(F.relu), []),
        (Calls(lambda x: F.relu(x, inplace=True)), []),
        (Calls(torch.relu), []),
        (Calls(lambda x: x.relu()), []),
        (Calls(lambda x: x.relu_()), []),
        (Calls(F.relu6), []),
        (nn.AvgPool2d(2), [AveragePool]),
        (nn.AvgPool2d((3, 2), stride=1, padding=1), [AveragePool]),
        (Calls(lambda x: F.avg_pool2d(x, 3, stride=2)), [AveragePool]),
        (nn.MaxPool2d(3, stride=2, padding=1), [MaxPool]),
        (Calls(lambda x: F.max_pool2d(x, 2)), [MaxPool]),
        (nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), [MaxPool, ReLU]),
        (nn.Conv2d(6, 6, 3, padding="same", groups=3), [Convolution]),
        (nn.Conv2d(6, 12, (1, 3), stride=(2, 1), padding=(0, 2), groups=6, bias=False), [Convolution]),
    ],
)
def test_each_operator_in_each_form_computes_the_same(lower_and_run, images, function, operators):
    module = Between(function)
    if isinstance(function, nn.Conv2d):
        module.last = nn.Conv2d(function.out_channels, 4, 3)
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution, *operators, Convolution]
    assert lowered.error() < 0.03


@pytest.mark.parametrize(("clamp", "limit"), [(nn.ReLU6(), 6), (Calls(F.relu6), 6), (nn.ReLU(), None)])
def test_the_limit_of_relu6_holds_and_relu_has_none(lower_and_run, images, clamp, limit):
    module = nn.Sequential(nn.Conv2d(1, 6, 3), clamp)
    with torch.no_grad():
        module[0].weight *= 10
    lowered = lower_and_run(module, images)
    assert lowered.integer_outputs.min() == 0
    assert (lowered.integer_outputs.max() == pytest.approx(6, abs=0.05)) == (limit == 6)
    assert lowered.error() < 0.03


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        Calls(lambda x: F.adaptive_avg_pool2d(x, (1, 1)).flatten(1)),
        Calls(lambda x: x.mean((2, 3))),
        Calls(lambda x: torch.mean(x, dim=[-1, -2], keepdim=True).view(x.size(0), -1)),
        Calls(lambda x: torch.flatten(x.mean(dim=(2, 3), keepdim=True), 1)),
    ],
)
def test_each_form_of_the_global_average_computes_the_same(lower_and_run, images, head):
    lowered = lower_and_run(nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), head, nn.Linear(6, 10)), images)
    assert kinds(lowered.graph) == [Convolution, AveragePool, Convolution]
    assert lowered.error() < 0.03


@pytest.mark.parametrize(
    "flatten",
    [
        nn.Flatten(),
        Calls(lambda x: x.flatten(1)),
        Calls(lambda x: x.view(x.shape[0], -1)),
        Calls(lambda x: x.reshape(-1, 6 * 13 * 13)),
        Calls(lambda x: torch.flatten(x, start_dim=1)),
    ],
)
def test_a_linear_layer_sees_a_flattened_image_in_the_order_of_training(lower_and_run, images, flatten):
    module = nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), flatten, nn.Linear(6 * 13 * 13, 10))
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution, Convolution]
    assert lowered.error() < 0.03


def test_a_multilayer_perceptron_with_batch_norm_computes_the_same(lower_and_run, images):
    norm = nn.BatchNorm1d(32)
    norm.running_mean.uniform_(-0.2, 0.2)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), norm, nn.ReLU(), nn.Linear(32, 10))
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution, Convolution]
    assert lowered.error() < 0.03


def test_batch_norm_of_any_sign_and_size_goes_into_the_requantisation(lower_and_run, images):
    module = Between(nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()))
    norm = module.function[0]
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -1.0, 0.0, 1e-30, -0.3, 2.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.2, 0.7, 0.5, -0.3, 0.0]))
        norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3, 3.0, 0.0, 0.0]))
        norm.running_var.copy_(torch.tensor([1.0, 0.5, 1.0, 0.3, 1e-9, 4.0]))
    lowered = lower_and_run(module, images)
    # Channels 2 and 3 are constant and gone.
    multipliers = lowered.graph.operators[0].requantisation.multiplier
    assert np.sign(multipliers).tolist() == [1, -1, -1, 1]
    assert lowered.error() < 0.03


def test_packed_codes_are_exactly_the_trained_ones(images, lower_and_run):
    module = Between(nn.BatchNorm2d(6))
    lowered = lower_and_run(module, images, Recipe(1, 0.5, 5, 4))
    for operator in lowered.graph.operators:
        weights = operator.codes.astype(int) - operator.weight_zero_point
        assert len(np.unique(weights)) <= 5
        assert (weights == 0).mean() >= 0.5


def test_pixels_lose_nothing_at_the_input(lower_and_run, images):
    tensor = lower_and_run(Between(nn.ReLU()), images).graph.tensors[0]
    assert (tensor.zero_point, tensor.scale) == (73 - 128, 1 / 90)


def test_a_depthwise_separable_network_computes_the_same(lower_and_run, images):
    def separable(inputs, outputs, stride):
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU6(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )

    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), separable(8, 16, 2), separable(16, 16, 1), nn.AvgPool2d(7), nn.Flatten()
    )
    assert lower_and_run(module, images).error() < 0.04


def test_resnet8_at_80_percent_and_16_clusters_is_far_below_10_kb(lower_and_run, images):
    module = build_model("resnet8", width=8, image_shape=(1, 28, 28), classes=10)
    lowered = lower_and_run(module, images, Recipe(4, 0.8, 16, 8))
    assert lowered.error() < 0.05
    assert len(pack(lowered.graph)) < 7000
