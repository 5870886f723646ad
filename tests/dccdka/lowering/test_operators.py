"""Each operator, in each way of writing it, computes what torch computes, to within some steps of the output.

The output of a convolution is off by half a step, which the function may stretch; its own rounding adds half a step.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    Lookup,
    MaxPool,
    Multiply,
    Pad,
    ReLU,
    Softmax,
)


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class After(nn.Module):
    """A convolution, then a function of its output, 13 x 13 pixels of 6 channels, with or without child modules."""

    def __init__(self, function, **children: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, stride=2)
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, x):
        x = self.first(x)
        return self.function(x) if isinstance(self.function, nn.Module) else self.function(self, x)


def of_x(function) -> After:
    return After(lambda module, x: function(x))


def kinds(graph):
    return [type(operator) for operator in graph.operators]


def check(lowered, operators, steps=1.6):
    assert kinds(lowered.graph) == [Convolution, *operators]
    assert lowered.error_in_steps() <= steps


@pytest.mark.parametrize(
    "function",
    [
        *(
            nn.Hardswish(),
            nn.Hardsigmoid(),
            nn.Sigmoid(),
            nn.SiLU(),
            nn.Tanh(),
            nn.GELU(),
            nn.GELU("tanh"),
            nn.ELU(0.5),
        ),
        *(nn.CELU(), nn.SELU(), nn.LeakyReLU(0.2), nn.Softplus(), nn.Softsign(), nn.Mish(), nn.LogSigmoid()),
        *(nn.Tanhshrink(), nn.Softshrink(0.1), nn.PReLU(), nn.RReLU()),
        *(nn.SiLU(inplace=True), nn.Sequential(nn.Dropout(), nn.Hardswish(), nn.Identity(), nn.ReLU())),
        *(
            F.hardswish,
            F.hardsigmoid,
            F.silu,
            F.gelu,
            F.elu,
            F.leaky_relu,
            F.softplus,
            F.mish,
            F.logsigmoid,
            F.selu,
            F.tanhshrink,
        ),
        *(torch.sigmoid, torch.tanh, torch.exp, torch.erf, torch.neg, torch.square, torch.abs, torch.sin),
        *(lambda x: x.sigmoid(), lambda x: x.tanh(), lambda x: x.exp(), lambda x: x.abs(), lambda x: -x),
        *(lambda x: x.sigmoid_(), lambda x: torch.sqrt(x.abs() + 1), lambda x: 1 / (2 + x.square()), lambda x: x**2),
        *(lambda x: x + 0.5, lambda x: 0.5 - x, lambda x: x - 0.5, lambda x: x * -2, lambda x: x / -3),
        *(lambda x: x.clamp(-0.2, 0.3) + 1, lambda x: torch.rsub(x, 1), lambda x: torch.add(x, 2, alpha=0.1)),
        # Written out: all reads one value only, and is one table.
        *(lambda x: x * torch.sigmoid(x), lambda x: x * F.relu6(x + 3) / 6, lambda x: x * torch.tanh(F.softplus(x))),
        *(lambda x: x + x, lambda x: x.add(F.relu(x)), lambda x: F.relu(x) + F.relu6(x), lambda x: x - F.relu(x)),
        *(lambda x: x / (1 + torch.exp(-x)), lambda x: torch.cat((x,), 1).sigmoid()),
    ],
)
def test_functions_of_single_values_are_one_table(lower_and_run, images, function):
    module = After(function) if isinstance(function, nn.Module) else of_x(function)
    assert kinds(lower_and_run(module, images).graph) == [Convolution, Lookup]
    check(lower_and_run(module, images), [Lookup], steps=2.6)


@pytest.mark.parametrize("function", [nn.Hardshrink(0.1), nn.Threshold(0.1, -0.3), torch.sign, torch.floor])
def test_functions_with_steps_are_right_but_at_their_steps(lower_and_run, images, function):
    lowered = lower_and_run(After(function) if isinstance(function, nn.Module) else of_x(function), images)
    assert kinds(lowered.graph) == [Convolution, Lookup]
    steps = np.abs(lowered.float_outputs - lowered.integer_outputs) / lowered.graph.tensors[-1].scale
    assert (steps <= 1.6).mean() > 0.98


@pytest.mark.parametrize(
    "function",
    [
        *(nn.Hardtanh(-0.2, 0.3), lambda x: F.hardtanh(x, -0.2, 0.3), lambda x: x.clamp(-0.2, 0.3)),
        *(lambda x: torch.clamp(x, max=0.1), lambda x: x.clamp_min(-0.1), lambda x: torch.clip(x, 0, 0.2)),
    ],
)
def test_clamps_go_into_the_convolution(lower_and_run, images, function):
    check(lower_and_run(After(function) if isinstance(function, nn.Module) else of_x(function), images), [])


@pytest.mark.parametrize(
    "function",
    [lambda x: x * 3, lambda x: 0.25 * x, lambda x: x / 7, lambda x: torch.mul(x, 2), lambda x: x.div(2).mul_(3)],
)
def test_multiplication_by_a_positive_number_is_a_change_of_scale(lower_and_run, images, function):
    check(lower_and_run(of_x(function), images), [])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.to(torch.float32).contiguous(),
        lambda x: x.to(memory_format=torch.channels_last, dtype=torch.float),
        lambda x: x.type(torch.float32).type_as(x).expand_as(x),
    ],
)
def test_what_changes_neither_values_nor_shape_is_left_out(lower_and_run, images, function):
    check(lower_and_run(of_x(function), images), [])


def test_a_function_used_twice_is_computed_once(lower_and_run, images):
    def function(module, x):
        y = F.silu(x)
        return y * module.gate(y)

    module = After(function, gate=nn.Conv2d(6, 6, 1))
    check(lower_and_run(module, images), [Lookup, Convolution, Multiply], steps=4)


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (lambda m, x: x * m.other(x), [Convolution, Multiply]),
        (lambda m, x: torch.mul(x, m.other(x)), [Convolution, Multiply]),
        (lambda m, x: F.relu(x.mul(m.other(x))), [Convolution, Multiply]),
        (lambda m, x: x + m.other(x), [Convolution, Add]),
        (lambda m, x: x.sub(m.other(x)), [Convolution, Add]),
        (lambda m, x: torch.add(x, m.other(x), alpha=0.5), [Convolution, Add]),
        (lambda m, x: torch.sub(x, m.other(x), alpha=2), [Convolution, Add]),
        (lambda m, x: torch.rsub(x, m.other(x)), [Convolution, Add]),
        (lambda m, x: (x + 2 * m.other(x)).relu(), [Convolution, Add]),
        (lambda m, x: F.relu(x) + m.other(x), [ReLU, Convolution, Add]),
        # x times a value for each channel: squeeze-excite, from either side
        (lambda m, x: x * torch.sigmoid(m.other(x.mean((2, 3), keepdim=True))), None),
        (lambda m, x: F.hardsigmoid(m.other(F.adaptive_avg_pool2d(x, 1))) * x, None),
        (lambda m, x: x * m.linear(x.mean((2, 3))).sigmoid().view(-1, 6, 1, 1), None),
        (lambda m, x: x * m.linear(x.mean([2, 3])).sigmoid()[:, :, None, None], None),
        (lambda m, x: x * torch.sigmoid(m.other(x.mean((2, 3), keepdim=True))).expand_as(x), None),
        (lambda m, x: m.linear(x.mean((2, 3))).sigmoid().view(-1, 6, 1, 1).expand(-1, -1, *x.shape[2:]) * x, None),
    ],
)
def test_two_tensors(lower_and_run, images, function, operators):
    module = After(function, other=nn.Conv2d(6, 6, 1), linear=nn.Linear(6, 6))
    operators = [AveragePool, Convolution, Lookup, Multiply] if operators is None else operators
    lowered = lower_and_run(module, images)
    assert sorted(k.__name__ for k in kinds(lowered.graph)) == sorted(k.__name__ for k in [Convolution, *operators])
    assert lowered.error_in_steps() <= 3


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (lambda m, x: torch.cat((x, m.other(x)), 1), [Convolution, Concatenate]),
        (lambda m, x: torch.cat([x, x], dim=1), [Concatenate]),
        (lambda m, x: torch.cat((x, m.other(x), F.relu(x)), -3), [Convolution, ReLU, Concatenate, Concatenate]),
        (lambda m, x: torch.concat((m.other(x), x), axis=1).relu(), [Convolution, Concatenate]),
        (lambda m, x: torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1), [AveragePool, MaxPool, Concatenate]),
    ],
)
def test_channels_are_joined(lower_and_run, images, function, operators):
    check(lower_and_run(After(function, other=nn.Conv2d(6, 4, 1)), images), operators, steps=2)


def test_the_last_of_joined_channels_are_rescaled_once(lower_and_run, images):
    """Those before pass later links unchanged: multiplier and shift are exactly one."""
    module = After(lambda m, x: torch.cat((x * 0.1, F.relu(x), x), 1))
    last = lower_and_run(module, images).graph.operators[-1]
    assert last.multiplier == 1 << last.shift


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (nn.AvgPool2d(3, ceil_mode=True, stride=2), [AveragePool]),
        (nn.MaxPool2d(2, ceil_mode=True), [MaxPool]),
        (nn.MaxPool2d(3, 3, padding=1, ceil_mode=True), [MaxPool]),
        (nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0), ceil_mode=True), [MaxPool]),
        (nn.AdaptiveAvgPool2d((1, 13)), [AveragePool]),
        (nn.AdaptiveAvgPool2d((None, 1)), [AveragePool]),
        (nn.AdaptiveAvgPool2d(13), [AveragePool]),
        (nn.AdaptiveMaxPool2d(1), [MaxPool]),
        (nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d((3, 2))), [MaxPool, AveragePool]),
        (nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(2)), [AveragePool, MaxPool]),
        (lambda x: x.mean(2), [AveragePool]),
        (lambda x: x.mean(-1, keepdim=True), [AveragePool]),
        (lambda x: torch.amax(x, (2, 3)), [MaxPool]),
        (lambda x: x.amax(dim=3), [MaxPool]),
        (lambda x: x.mean((2, 3))[:, :, None], [AveragePool]),
        (lambda x: x.sum((2, 3)), [AveragePool]),
        (lambda x: torch.sum(x, -1, keepdim=True), [AveragePool]),
        (nn.AvgPool2d(2, divisor_override=3), [AveragePool]),
    ],
)
def test_pools(lower_and_run, images, function, operators):
    check(lower_and_run(After(function) if isinstance(function, nn.Module) else of_x(function), images), operators)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 4, 3, dilation=2),
        nn.Conv2d(6, 4, (3, 2), dilation=(1, 3), padding=(2, 1), stride=2),
        nn.Conv2d(6, 6, 3, dilation=2, padding="same", groups=6),
        nn.Conv2d(6, 4, 2, padding="same"),
        nn.Conv2d(6, 4, (4, 2), padding="same", dilation=(1, 3)),
        nn.Conv2d(6, 4, 3, padding="valid"),
        nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(6, 4, 3, stride=2)),
        nn.Sequential(nn.ZeroPad2d(1), nn.ZeroPad2d((1, 0, 0, 0)), nn.Identity(), nn.Conv2d(6, 4, 3, padding=1)),
        nn.Sequential(nn.ConstantPad2d((2, 0, 1, 3), 0.0), nn.Conv2d(6, 6, 3, groups=3)),
    ],
)
def test_windows_of_convolutions(lower_and_run, images, convolution):
    check(lower_and_run(After(convolution), images), [Convolution], steps=3)


def test_padding_by_a_function_goes_into_the_convolution_that_follows(lower_and_run, images):
    module = After(lambda m, x: m.last(F.pad(x, (1, 2, 0, 1))), last=nn.Conv2d(6, 4, 3, stride=2))
    check(lower_and_run(module, images), [Convolution], steps=3)


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (lambda x: F.pad(x, (1, 2)), [Pad]),
        (lambda x: F.pad(x, (1, 2, 3, 0)), [Pad]),
        (lambda x: F.pad(x, (0, 0, 0, 0)), []),
        (lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3), [Pad, MaxPool]),
        (lambda x: F.pad(x, (0, 1, 0, 1)) + F.pad(x, (1, 0, 1, 0)), [Pad, Pad, Add]),
    ],
)
def test_padding(lower_and_run, images, function, operators):
    check(lower_and_run(of_x(function), images), operators)


def test_batch_norm_that_follows_no_convolution_is_a_depthwise_one(lower_and_run, images):
    norm = nn.BatchNorm2d(6)
    with torch.no_grad():
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.weight.uniform_(-1, 1)
        norm.bias.uniform_(-0.5, 0.5)
    module = After(nn.Sequential(nn.MaxPool2d(2), norm))
    lowered = lower_and_run(module, images)
    check(lowered, [MaxPool, Convolution], steps=3)
    assert lowered.graph.operators[-1].groups == 6


def test_batch_norm_of_the_input_and_of_a_vector(lower_and_run, images):
    norms = nn.BatchNorm2d(1), nn.BatchNorm1d(784), nn.BatchNorm1d(16)
    for norm in norms:
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
    first, flat, hidden = norms
    linear = nn.Linear(784, 16)
    module = nn.Sequential(first, nn.Flatten(), flat, linear, nn.ReLU(), hidden, nn.Linear(16, 10))
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution] * 5
    assert lowered.error_in_steps() <= 5


class Constants(nn.Module):
    """Channels are scaled and moved by constants, before and after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 6, 3)
        self.scale = nn.Parameter(torch.linspace(-1, 1, 6).reshape(6, 1, 1))
        self.register_buffer("mean", torch.linspace(0, 2, 6).reshape(1, 6, 1, 1))
        self.register_buffer("gain", torch.tensor(0.5))

    def forward(self, x):
        x = (self.convolution(x * self.gain) - self.mean) / (self.mean + 1)
        return F.max_pool2d(x, 2) * self.scale


def test_constants_for_each_channel_are_folded_or_a_depthwise_convolution(lower_and_run, images):
    lowered = lower_and_run(Constants(), images)
    assert kinds(lowered.graph) == [Convolution, MaxPool, Convolution]
    assert lowered.error_in_steps() <= 2


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.linear(x.flatten(1)),
        lambda m, x: m.linear(x.permute(0, 2, 3, 1).flatten(1)),
        lambda m, x: m.linear(x.transpose(2, 3).reshape(x.size(0), -1)),
        lambda m, x: m.linear(x.unsqueeze(1).movedim(2, -1).reshape(-1, 1014)),
        lambda m, x: m.linear(F.relu(x.reshape(x.shape[0], 2, 3, -1)).transpose(1, 2).flatten(1)),
        lambda m, x: m.linear(x.unflatten(1, (3, 2)).swapaxes(1, 2).flatten(start_dim=1)),
    ],
)
def test_any_rearrangement_goes_into_the_columns_of_a_linear_layer(lower_and_run, images, function):
    lowered = lower_and_run(After(function, linear=nn.Linear(1014, 10)), images)
    assert [k for k in kinds(lowered.graph) if k is not ReLU] == [Convolution, Convolution]
    assert lowered.error_in_steps() <= 3


def test_shuffled_channels_go_into_the_columns_of_a_convolution(lower_and_run, images):
    def shuffled(module, x):
        n, c, h, w = x.shape
        return module.last(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))

    check(lower_and_run(After(shuffled, last=nn.Conv2d(6, 4, 3)), images), [Convolution], steps=3)


def test_a_linear_layer_on_the_channels_of_each_pixel_is_a_convolution(lower_and_run, images):
    def mixed(module, x):
        return x + module.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    check(lower_and_run(After(mixed, linear=nn.Linear(6, 6)), images), [Convolution, Add], steps=3)


@pytest.mark.parametrize(
    "squeeze", [lambda x: x.squeeze(), lambda x: x[:, :, 0, 0], lambda x: x.squeeze(-1).squeeze(-1)]
)
def test_axes_of_size_one_come_and_go(lower_and_run, images, squeeze):
    module = After(lambda m, x: m.linear(squeeze(x.mean((2, 3), keepdim=True))), linear=nn.Linear(6, 10))
    check(lower_and_run(module, images), [AveragePool, Convolution], steps=3)


class Sequence(nn.Module):
    """A network on (n, c, l), of a line or a column of pixels."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((1, None) if axis == 2 else (None, 1))
        self.axis = axis
        self.layers = nn.Sequential(
            *(nn.Conv1d(1, 6, 5, stride=2, padding=2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(3, 2, padding=1)),
            *(nn.ZeroPad1d((1, 0)), nn.Conv1d(6, 6, 3, groups=6, dilation=2, padding="same"), nn.Hardswish()),
            *(nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 10)),
        )

    def forward(self, x):
        return self.layers(self.pool(x).squeeze(self.axis))


@pytest.mark.parametrize("axis", [2, 3])
def test_sequences_are_images_of_one_line_or_column(lower_and_run, images, axis):
    lowered = lower_and_run(Sequence(axis), images)
    operators = [AveragePool, Convolution, MaxPool, Convolution, Lookup, AveragePool, AveragePool, Convolution]
    assert kinds(lowered.graph) == operators
    assert lowered.error_in_steps() <= 8


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, (2,), (1,), (1,), [1]),
        lambda x: F.avg_pool2d(x, [3], [], (1,)),
        nn.Conv2d(6, 4, 3, stride=(2,), padding=(1,), dilation=(2,)),
    ],
)
def test_one_number_in_a_tuple_is_for_both_axes(lower_and_run, images, function):
    module = After(function) if isinstance(function, nn.Module) else of_x(function)
    assert lower_and_run(module, images).error_in_steps() <= 2


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv1d(6, 4, 3, padding=2),),
        (nn.ZeroPad1d((2, 1)), nn.MaxPool1d(2)),
        (nn.MaxPool1d(2, stride=1, padding=1),),
        (nn.AvgPool1d(2, stride=1, padding=1), nn.Conv1d(6, 4, 2)),
    ],
)
def test_a_sequence_of_one_pixel_grows_by_padding(lower_and_run, images, layers):
    module = After(lambda m, x: m.layers(x.mean((2, 3), keepdim=True).squeeze(3)), layers=nn.Sequential(*layers))
    assert lower_and_run(module, images).error_in_steps() <= 3


@pytest.mark.parametrize(
    "softmax",
    [nn.Softmax(1), nn.Softmax(dim=-1), lambda x: F.softmax(x, 1), lambda x: torch.softmax(x * 2, -1), "softmax"],
)
def test_softmax_of_classes(lower_and_run, images, softmax):
    if softmax == "softmax":
        softmax = lambda x: x.softmax(dim=1)  # noqa: E731
    module = After(lambda m, x: softmax(m.linear(x.flatten(1)) * 4), linear=nn.Linear(1014, 10))
    if isinstance(softmax, nn.Module):
        module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), softmax)
        assert kinds(lower_and_run(module, images).graph) == [Convolution, Softmax]
    else:
        lowered = lower_and_run(module, images)
        check(lowered, [Convolution, Softmax], steps=10)
        assert np.allclose(lowered.integer_outputs.sum(1), 1, atol=6 / 256)


def test_softmax_over_the_channels_of_each_pixel(lower_and_run, images):
    check(lower_and_run(of_x(lambda x: x.softmax(1)), images), [Softmax], steps=2)


@pytest.mark.parametrize("argmax", [lambda x: x.argmax(1), lambda x: torch.argmax(x, dim=-1, keepdim=True)])
def test_argmax_of_classes(lower_and_run, images, argmax):
    module = After(lambda m, x: argmax(m.linear(x.flatten(1))), linear=nn.Linear(1014, 10))
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution, Convolution, ArgMax]
    assert (lowered.integer_outputs.ravel() == lowered.float_outputs.ravel()).mean() > 0.95


def test_argmax_of_each_pixel(lower_and_run, images):
    lowered = lower_and_run(of_x(lambda x: x.argmax(1)), images)
    assert kinds(lowered.graph) == [Convolution, ArgMax]
    assert (lowered.integer_outputs == lowered.float_outputs).mean() > 0.98


@pytest.mark.parametrize(
    "between", [lambda p: p, lambda p: p.detach(), lambda p: p * 2, lambda p: F.dropout(p, 0.1, False)]
)
def test_argmax_behind_a_softmax_takes_the_logits(lower_and_run, images, between):
    """Probabilities in steps of 1/256 would be equal for many of these."""
    module = After(lambda m, x: between(m.linear(x.flatten(1)).softmax(1)).argmax(1), linear=nn.Linear(1014, 200))
    with torch.no_grad():
        module.linear.weight *= 0.1
    lowered = lower_and_run(module, images)
    assert kinds(lowered.graph) == [Convolution, Convolution, ArgMax]
    assert (lowered.integer_outputs.ravel() == lowered.float_outputs.ravel()).mean() > 0.85
