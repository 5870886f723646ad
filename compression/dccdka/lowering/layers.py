"""Reads the nodes of a traced network as a few kinds of layers, whichever way they were written.

`nn.ReLU()`, `F.relu(x)`, `torch.relu(x)` and `x.relu()` are all the layer `Clamp`. What has no kind here is refused
by name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import Window


@dataclass(frozen=True)
class Weighted:
    """A convolution or linear layer; name is its module's."""

    name: str
    module: nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Normalise:
    """Batch norm with the statistics of training."""

    module: nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True)
class Clamp:
    """ReLU, or ReLU6 with a limit."""

    limit: float | None


@dataclass(frozen=True)
class Sum:
    """Of two tensors of one shape."""


@dataclass(frozen=True)
class Average:
    """window None: over the whole image."""

    window: Window | None


@dataclass(frozen=True)
class Maximum:
    window: Window


@dataclass(frozen=True)
class Rearrange:
    """Flatten, or no operation at all: the bytes stay where they are."""


Layer = Weighted | Normalise | Clamp | Sum | Average | Maximum | Rearrange

SUPPORTED = (
    "supported are Conv2d, Linear, BatchNorm after either, ReLU, ReLU6, add, AvgPool2d, MaxPool2d, "
    "AdaptiveAvgPool2d(1), mean over height and width, Flatten, Identity and Dropout"
)


def layer_of(node: fx.Node, modules: dict[str, nn.Module]) -> Layer:
    """The kind of layer that a call node is. Raises LoweringError for all others."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        for kind, read in _MODULES.items():
            if isinstance(module, kind):
                return read(module, describe(node))
        raise LoweringError(f"{describe(node)} is a {type(module).__name__}: {SUPPORTED}")
    readers = _FUNCTIONS if node.op == "call_function" else _METHODS
    reader = readers.get(node.target)
    if reader is None:
        raise LoweringError(f"{describe(node)} has no integer form: {SUPPORTED}")
    return reader(node)


def describe(node: fx.Node) -> str:
    """How errors name a node."""
    if node.op == "call_module":
        return f"module {node.target}"
    return f"operator {getattr(node.target, '__name__', node.target)} (node {node.name})"


def is_in_place(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether the node changes its input's values."""
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    return node.target in _IN_PLACE or bool(node.kwargs.get("inplace", False))


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _refuse(condition: bool, message: str) -> None:
    if condition:
        raise LoweringError(message)


def _convolution(module: nn.Conv2d, name: str) -> Weighted:
    _refuse(_pair(module.dilation) != (1, 1), f"{name}: dilation is not supported; use a larger kernel or a stride")
    _refuse(module.padding_mode != "zeros", f"{name}: padding_mode {module.padding_mode!r}; use 'zeros'")
    convolution_window(module, name)
    return Weighted(name.removeprefix("module "), module)


def convolution_window(module: nn.Conv2d, name: str) -> Window:
    """Window of a convolution; padding "same" and "valid" become numbers."""
    kernel = _pair(module.kernel_size)
    if module.padding == "same":
        _refuse(any(size % 2 == 0 for size in kernel), f"{name}: padding 'same' with an even kernel; use an odd kernel")
        return Window(kernel, _pair(module.stride), (kernel[0] // 2, kernel[1] // 2))
    padding = (0, 0) if isinstance(module.padding, str) else _pair(module.padding)
    return Window(kernel, _pair(module.stride), padding)


def _pool_window(kernel: Any, stride: Any, padding: Any, ceil_mode: bool, name: str) -> Window:
    _refuse(ceil_mode, f"{name}: ceil_mode is not supported; pad the image instead")
    # torch: no stride means windows side by side
    return Window(_pair(kernel), _pair(kernel if stride is None or stride == [] else stride), _pair(padding))


def _average(
    name: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Average:
    window = _pool_window(kernel_size, stride, padding, ceil_mode, name)
    _refuse(
        not count_include_pad and window.padding != (0, 0),
        f"{name}: count_include_pad=False with padding is not supported; use padding=0",
    )
    _refuse(divisor_override is not None, f"{name}: divisor_override is not supported; leave it out")
    return Average(window)


def _maximum(
    name: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Maximum:
    _refuse(_pair(dilation) != (1, 1), f"{name}: dilation is not supported; use dilation=1")
    _refuse(return_indices, f"{name}: return_indices is not supported; leave it out")
    return Maximum(_pool_window(kernel_size, stride, padding, ceil_mode, name))


def _adaptive_average(name: str, output_size: Any) -> Average:
    _refuse(output_size not in (1, (1, 1), [1, 1]), f"{name}: output size {output_size}; use 1, or AvgPool2d")
    return Average(None)


def _mean(node: fx.Node) -> Average:
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    both = isinstance(dims, tuple | list) and {d % 4 for d in dims if isinstance(d, int)} == {2, 3}
    _refuse(not both, f"{describe(node)}: mean over {dims}; only (2, 3), height and width, is supported")
    return Average(None)


def _sum(node: fx.Node) -> Sum:
    scaled = "alpha" in node.kwargs
    operands = (*node.args, *(node.kwargs[key] for key in ("other",) if key in node.kwargs))
    _refuse(
        scaled or len(operands) != 2 or not all(isinstance(x, fx.Node) for x in operands),
        f"{describe(node)}: only sums of two tensors, without alpha, are supported; fold constants into a layer's bias",
    )
    return Sum()


def _relu(node: fx.Node) -> Clamp:
    return Clamp(None)


def _relu6(node: fx.Node) -> Clamp:
    return Clamp(6.0)


def _rearrange(node: fx.Node) -> Rearrange:
    return Rearrange()


def _from_arguments(read: Callable[..., Layer]) -> Callable[[fx.Node], Layer]:
    """A reader of a function's node from a reader of its arguments, the first of which is the tensor."""

    def reader(node: fx.Node) -> Layer:
        arguments = dict(node.kwargs)
        arguments.pop("input", None)
        return read(describe(node), *node.args[1:], **arguments)

    return reader


def _dropout(node: fx.Node) -> Rearrange:
    training = node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True)
    _refuse(bool(training), f"{describe(node)}: drops values at inference; pass training=self.training")
    return Rearrange()


_MODULES: dict[type[nn.Module], Callable[[Any, str], Layer]] = {
    nn.Conv2d: _convolution,
    nn.Linear: lambda module, name: Weighted(name.removeprefix("module "), module),
    nn.BatchNorm1d: lambda module, name: Normalise(module),
    nn.BatchNorm2d: lambda module, name: Normalise(module),
    nn.ReLU: lambda module, name: Clamp(None),
    nn.ReLU6: lambda module, name: Clamp(6.0),
    nn.AvgPool2d: lambda m, name: _average(
        name, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.MaxPool2d: lambda m, name: _maximum(
        name, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AdaptiveAvgPool2d: lambda m, name: _adaptive_average(name, m.output_size),
    nn.Flatten: lambda module, name: Rearrange(),
    nn.Identity: lambda module, name: Rearrange(),
    nn.Dropout: lambda module, name: Rearrange(),
    nn.Dropout2d: lambda module, name: Rearrange(),
}

_FUNCTIONS: dict[Any, Callable[[fx.Node], Layer]] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _sum),
    **dict.fromkeys((torch.relu, torch.relu_, F.relu, F.relu_), _relu),
    F.relu6: _relu6,
    F.avg_pool2d: _from_arguments(_average),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _from_arguments(_maximum)),
    F.adaptive_avg_pool2d: _from_arguments(_adaptive_average),
    torch.mean: _mean,
    **dict.fromkeys((torch.flatten, torch.reshape), _rearrange),
    F.dropout: _dropout,
}

_IN_PLACE: tuple[Any, ...] = (operator.iadd, F.relu_, torch.relu_)

_METHODS: dict[Any, Callable[[fx.Node], Layer]] = {
    **dict.fromkeys(("add", "add_"), _sum),
    **dict.fromkeys(("relu", "relu_"), _relu),
    "mean": _mean,
    **dict.fromkeys(("flatten", "view", "reshape", "contiguous"), _rearrange),
}
