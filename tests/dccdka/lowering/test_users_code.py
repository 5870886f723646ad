"""What users write around torch's layers: classes of their own, and Python that looks at shapes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Normalization
from dccdka.lowering import LoweringError, lower
from dccdka.lowering.graph import AveragePool, Convolution, MaxPool, Pad
from dccdka.recipe import Recipe


class OwnConvolution(nn.Conv2d):
    """Adds a note to torch's layer."""

    note = "first"


class OwnNorm(nn.BatchNorm2d):
    pass


class OwnLinear(nn.Linear):
    pass


class SamePadded(nn.Conv2d):
    """TensorFlow's padding, from the size of the image: a forward of its own."""

    def forward(self, x):
        height, width = x.size()[-2:]
        rows, columns = self.weight.size()[-2:]
        missing_y = max((math.ceil(height / self.stride[0]) - 1) * self.stride[0] + rows - height, 0)
        missing_x = max((math.ceil(width / self.stride[1]) - 1) * self.stride[1] + columns - width, 0)
        if missing_y > 0 or missing_x > 0:
            x = F.pad(x, (missing_x // 2, missing_x - missing_x // 2, missing_y // 2, missing_y - missing_y // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class NormAndActivation(nn.BatchNorm2d):
    def forward(self, x):
        mean, variance = self.running_mean, self.running_var
        return F.relu(F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, self.momentum, self.eps))


class OwnLinearForward(nn.Linear):
    def forward(self, x):
        return F.linear(x, weight=self.weight, bias=self.bias)


def norm(kind):
    layer = kind(4)
    with torch.no_grad():
        layer.running_mean.uniform_(-0.2, 0.2)
        layer.running_var.uniform_(0.5, 2)
        layer.weight.uniform_(0.5, 1)
        layer.bias.uniform_(-0.5, 0.5)
    return layer


@pytest.mark.parametrize(
    ("convolution", "normalization", "linear"),
    [
        (OwnConvolution, OwnNorm, OwnLinear),
        (SamePadded, NormAndActivation, OwnLinearForward),
    ],
)
def test_layers_of_the_users_own_classes_are_torchs(lower_and_run, images, convolution, normalization, linear):
    torch.manual_seed(0)
    module = nn.Sequential(
        *(convolution(1, 4, 3, stride=2), norm(normalization), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(4, 10))
    )
    lowered = lower_and_run(module, images)
    assert [type(operator) for operator in lowered.graph.operators] == [Convolution, AveragePool, Convolution]
    assert lowered.error_in_steps() <= 3


class Looks(nn.Module):
    """A convolution, and a function that may look at shapes."""

    def __init__(self, function) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2)
        self.linear = nn.Linear(4, 10)
        self.function = function

    def forward(self, x):
        return self.function(self, self.first(x))


def by_number_of_axes(module, x):
    return x.mean((2, 3)) if x.dim() == 4 and x.ndim == 4 else x


def by_assertion(module, x):
    assert x.shape[1] == 4, "not an image of the first layer"
    return F.avg_pool2d(x, x.shape[2:]).view(x.size(0), -1)


def by_comparison(module, x):
    y = F.relu(x)
    return (y if y.shape == x.shape and y.shape[-2:] == x.shape[-2:] else x).mean((2, 3))


def by_slices(module, x):
    return module.linear(x.mean((2, 3), keepdim=True).view(*x.shape[:1], -1))


def by_number_of_values(module, x):
    return module.linear(x.mean((2, 3), keepdim=True).view(x.shape[0], x.shape[1:2].numel()))


def beside_a_constant_of_two(module, x):
    constant = torch.cat([module.linear.bias[:1], module.linear.bias[1:2]])
    assert constant.shape == (2,)
    return x.mean((2, 3)).view(x.shape[0], -1)


def by_arithmetic(module, x):
    missing = -x.shape[-1] % 4
    return F.max_pool2d(F.pad(x, (0, missing, 0, missing)), 4)


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (by_number_of_axes, [AveragePool]),
        (by_assertion, [AveragePool]),
        (by_comparison, None),
        (by_slices, [AveragePool, Convolution]),
        (by_number_of_values, [AveragePool, Convolution]),
        (beside_a_constant_of_two, [AveragePool]),
        (by_arithmetic, [Pad, MaxPool]),
    ],
)
def test_python_may_look_at_shapes(lower_and_run, images, function, operators):
    torch.manual_seed(0)
    lowered = lower_and_run(Looks(function), images)
    if operators is not None:
        assert [type(operator) for operator in lowered.graph.operators] == [Convolution, *operators]
    assert lowered.error_in_steps() <= 3


class Chooses(nn.Module):
    def forward(self, x):
        return x if x.max() > 0 else -x


def with_a_hook():
    layer = nn.Conv2d(4, 4, 1)
    layer.register_forward_hook(lambda module, inputs, output: output * 2)
    return layer


class OfAnotherWeight(nn.Linear):
    def forward(self, x):
        return F.linear(x.mean((2, 3)), self.weight * 2, self.bias)


class WithoutItsBias(nn.Linear):
    def forward(self, x):
        return F.linear(x.mean((2, 3)), self.weight)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 10)

    def forward(self, x):
        _, (hidden, _) = self.lstm(x.flatten(2).transpose(1, 2))
        return self.last(hidden[-1])


class Functional(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def mean_of(x):
    return x.mean((2, 3), keepdim=True).expand_as(x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.ReLU(), Chooses()), r"^module 1\.1 \(.*test_users_code.py:\d+\) cannot be traced"),
        (with_a_hook(), "^module 1, a Conv2d, has a forward hook, .*; remove it"),
        (OfAnotherWeight(4, 10), r"^operator linear in module 1 \(.*\): takes weights that are no layer's own"),
        (WithoutItsBias(4, 10), "takes the weight of 1 without its bias"),
        (Recurrent(), r"^module 1\.lstm \(.*\), a LSTM, has no integer form: use convolutions or linear layers$"),
        (Functional(lambda x: x + x.mean((2, 3), keepdim=True).expand_as(x)), "repeats values, which only the product"),
        (Functional(lambda x: mean_of(x) * x.amax((2, 3), True).expand_as(x)), "repeats values, which only"),
        (Functional(lambda x: F.max_pool2d(mean_of(x) * 2, 2)), "repeats values, which only the product with a tensor"),
        (Functional(lambda x: mean_of(x) * mean_of(x)), "repeats values"),
        (Functional(lambda x: mean_of(x) * torch.ones(4, 1, 1)), "repeats values"),
        (Functional(lambda x: mean_of(x).contiguous() * x), "repeats values"),
        (Functional(lambda x: mean_of(x)), "repeats values"),
        (Functional(lambda x: x // x.mean((2, 3), keepdim=True)), "divides tensors by each other"),
        (
            Functional(lambda x: x.mean(1, keepdim=True) * torch.ones(3, 1, 1)),
            r"makes \(3, 13, 13\) of \(1, 13, 13\) by a constant",
        ),
        (Functional(lambda x: x.double()), "operator double"),
        (Functional(lambda x: x.to(torch.float64)), "changes the type to .*float64"),
        (Functional(lambda x: x.repeat(1, 3, 1, 1)), "operator repeat .*torch.cat"),
        (Functional(lambda x: torch.maximum(x, -x)), r"operator maximum .*b \+ relu\(a - b\)"),
        (Functional(lambda x: F.normalize(x)), "operator normalize .*depends on the image"),
    ],
)
def test_what_stays_out_of_reach_is_named_with_what_to_do(images, module, message):
    compressed = post_training(nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), module).eval(), Recipe(1, 0, 256, 8))
    with pytest.raises(LoweringError, match=message):
        lower(compressed, images, Normalization(zero=73, scale=1 / 90))


class Constants(nn.Module):
    """Constants in the likeness of the tensor: of its type and device, or of its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2)
        self.register_buffer("mean", torch.linspace(-0.5, 0.5, 4).view(1, 4, 1, 1))
        self.register_buffer("deviation", torch.linspace(1, 2, 4).view(1, 4, 1, 1))

    def forward(self, x):
        x = self.first(x)
        return (x - self.mean.to(x)) / self.deviation.type_as(x)


def test_constants_in_the_likeness_of_a_tensor_stay_constants(lower_and_run, images):
    torch.manual_seed(0)
    lowered = lower_and_run(Constants(), images)
    assert [type(operator) for operator in lowered.graph.operators] == [Convolution]
    assert lowered.error_in_steps() <= 2


def test_a_constant_repeated_to_the_shape_of_a_tensor_is_not_taken_for_it(images):
    gain = torch.linspace(0.5, 1, 4).view(1, 4, 1, 1)
    module = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), Functional(lambda x: x * gain.expand_as(x)))
    with pytest.raises(LoweringError, match="combines with a constant of shape"):
        lower(post_training(module.eval(), Recipe(1, 0, 256, 8)), images, Normalization(zero=73, scale=1 / 90))
