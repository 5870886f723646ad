"""Reads sums, products and joins: of two tensors, or of a tensor and a constant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from dccdka.lowering.calls import Call
from dccdka.lowering.folding import array
from dccdka.lowering.layers import Affine, Function, Join, Layer, Nothing, Product, Quotient, Scale, Sum
from dccdka.lowering.reading.call_checks import Readers, axis_of, refuse
from dccdka.lowering.reading.single_values import of_single_values


def _add(call: Call, input: Any, other: Any, *, alpha: float = 1) -> Layer:
    return _sum(call, input, 1.0, other, float(alpha))


def _subtract(call: Call, input: Any, other: Any, *, alpha: float = 1) -> Layer:
    return _sum(call, input, 1.0, other, -float(alpha))


def _reversed_subtract(call: Call, input: Any, other: Any, *, alpha: float = 1) -> Layer:
    return _sum(call, input, -float(alpha), other, 1.0)


def _sum(call: Call, first: Any, first_factor: float, second: Any, second_factor: float) -> Layer:
    if isinstance(first, fx.Node) and isinstance(second, fx.Node):
        return Sum(first, first_factor, second, second_factor)
    if isinstance(second, fx.Node):
        first, first_factor, second, second_factor = second, second_factor, first, first_factor
    channels = _per_channel(call, second)
    return Function() if channels is None else Affine(np.full_like(channels, first_factor), channels * second_factor)


def _multiply(call: Call, input: Any, other: Any) -> Layer:
    if isinstance(input, fx.Node) and isinstance(other, fx.Node):
        return Product()
    return _scaled(call, other if isinstance(input, fx.Node) else input)


def _divide(call: Call, input: Any, other: Any, *, rounding_mode: str | None = None) -> Layer:
    if rounding_mode is not None:
        return of_single_values(call)
    if isinstance(input, fx.Node) and isinstance(other, fx.Node):
        return Quotient()
    if isinstance(other, fx.Node):
        return of_single_values(call)
    # As a tensor, so that 1 / 0 is infinite: then the values are, and are refused as such.
    return _scaled(call, 1 / torch.as_tensor(other, dtype=torch.float64).detach())


def _power(call: Call, input: Any, exponent: Any) -> Layer:
    both = isinstance(input, fx.Node) and isinstance(exponent, fx.Node)
    return Quotient() if both else of_single_values(call)


def _scaled(call: Call, constant: Any) -> Layer:
    channels = _per_channel(call, constant)
    if channels is not None:
        return Affine(channels, np.zeros_like(channels))
    factor = float(constant.detach() if isinstance(constant, Tensor) else constant)
    return Scale(factor) if factor > 0 and math.isfinite(factor) else Function()


def _per_channel(call: Call, constant: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """A constant tensor's value for each channel; None for a number."""
    if not isinstance(constant, Tensor):
        return None
    refuse(
        call.shape != call.input_shape,
        call,
        f"makes {call.shape} of {call.input_shape} by a constant of shape {tuple(constant.shape)}; join copies of the "
        "tensor along the channels with torch.cat first",
    )
    if constant.numel() == 1:
        return None
    assert call.shape is not None
    shape = (1,) * (len(call.shape) + 1 - constant.ndim) + tuple(constant.shape)
    fits = shape[0] == 1 and shape[1] == call.shape[0] and all(size == 1 for size in shape[2:])
    refuse(not fits, call, f"combines with a constant of shape {tuple(constant.shape)}; use a number or one a channel")
    return array(constant).reshape(-1)


def _join(call: Call, tensors: Any, dim: int = 0, *, axis: int | None = None) -> Layer:
    tensors = [tensors] if isinstance(tensors, fx.Node) else list(tensors)
    refuse(
        not all(isinstance(x, fx.Node) for x in tensors), call, "joins constants; make them outputs of a layer, or pad"
    )
    return Nothing() if len(tensors) == 1 else Join(axis_of(call, dim if axis is None else axis))


FUNCTIONS: Readers = {
    "add": _add,
    **dict.fromkeys(("sub", "subtract"), _subtract),
    "rsub": _reversed_subtract,
    **dict.fromkeys(("mul", "multiply"), _multiply),
    **dict.fromkeys(("truediv", "true_divide", "div", "divide"), _divide),
    "pow": _power,
    **dict.fromkeys(("cat", "concat", "concatenate"), _join),
}
