"""Reads functions of single values: clamps by their limits, all others as a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from dccdka.lowering.calls import Call
from dccdka.lowering.layers import Clamp, Function, Layer, Quotient
from dccdka.lowering.reading.call_checks import Readers, from_attributes, refuse


def _clamp(low: float, high: float) -> Callable[..., Layer]:
    def reader(call: Call, x: fx.Node, inplace: bool = False) -> Clamp:
        return Clamp(low, high)

    return reader


def _hardtanh(call: Call, x: fx.Node, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Clamp:
    return Clamp(float(min_val), float(max_val))


def _limits(call: Call, x: fx.Node, min: Any = None, max: Any = None) -> Clamp:  # torch's names
    bounds = [bound.item() if isinstance(bound, Tensor) and bound.numel() == 1 else bound for bound in (min, max)]
    refuse(any(isinstance(bound, Tensor | fx.Node) for bound in bounds), call, "clamps by tensors; use numbers")
    low, high = bounds
    return Clamp(-math.inf if low is None else float(low), math.inf if high is None else float(high))


def _lower_limit(call: Call, x: fx.Node, min: Any) -> Clamp:
    return _limits(call, x, min)


def _upper_limit(call: Call, x: fx.Node, max: Any) -> Clamp:
    return _limits(call, x, None, max)


def _function(call: Call, *arguments: Any, **options: Any) -> Layer:
    return of_single_values(call)


def of_single_values(call: Call) -> Function | Quotient:
    """A function of one tensor, whose other arguments must be numbers; of two, only where both read the same value."""
    if len(call.inputs) > 1:
        return Quotient()
    flat: list[Any] = []
    torch.utils._pytree.tree_map(flat.append, (call.args, call.kwargs))
    for constant in flat:
        refuse(
            isinstance(constant, Tensor) and constant.numel() > 1,
            call,
            "has a parameter for each channel, for which there is no table; use one number for all",
        )
    return Function()


def _prelu(call: Call, x: fx.Node, weight: Any = None) -> Function:
    parameter = getattr(call.module, "weight", weight)
    refuse(parameter.numel() > 1, call, "has a slope for each channel; use PReLU(1) or LeakyReLU")
    return Function()


MODULES: Readers = {
    "ReLU": _clamp(0, math.inf),
    "ReLU6": _clamp(0, 6),
    "Hardtanh": from_attributes(_hardtanh, "min_val", "max_val"),
    **dict.fromkeys(
        (
            *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "LeakyReLU", "LogSigmoid", "Mish"),
            *("RReLU", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
            "Threshold",
        ),
        _function,
    ),
    "PReLU": _prelu,
}

FUNCTIONS: Readers = {
    "relu": _clamp(0, math.inf),
    "relu6": _clamp(0, 6),
    "hardtanh": _hardtanh,
    **dict.fromkeys(("clamp", "clip"), _limits),
    "clamp_min": _lower_limit,
    "clamp_max": _upper_limit,
    **dict.fromkeys(
        (
            *("abs", "absolute", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "celu", "cos", "cosh"),
            *("elu", "erf", "erfc", "exp", "exp2", "expm1", "floor", "floordiv", "frac", "gelu"),
            *("hardshrink", "hardsigmoid", "hardswish", "leaky_relu", "log", "log10", "log1p", "log2", "log_sigmoid"),
            "logit",
            *("logsigmoid", "mish", "neg", "negative", "reciprocal", "round", "rsqrt", "selu", "sigmoid", "sign"),
            *("silu", "sin", "sinc", "sinh", "softplus", "softshrink", "softsign", "sqrt", "square", "tan", "tanh"),
            *("tanhshrink", "_threshold", "threshold", "trunc"),
        ),
        _function,
    ),
    "prelu": _prelu,
}
