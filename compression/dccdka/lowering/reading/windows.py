"""Reads what looks at windows of an image: pools, averages over axes, padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from dccdka.lowering.calls import Call
from dccdka.lowering.graph import Window
from dccdka.lowering.layers import Adaptive, Average, Layer, Maximum, Nothing, Over, Padding
from dccdka.lowering.reading.call_checks import Readers, axis_of, from_attributes, pair, refuse


def _pool_window(kernel: Any, stride: Any, padding: Any, line: bool) -> Window:
    one, none = (1, 0) if line else (None, None)
    # torch: no stride means windows side by side
    return Window(pair(kernel, one), pair(stride or kernel, one), pair(padding, none))


def _average_pool(line: bool) -> Callable[..., Layer]:
    def reader(
        call: Call,
        x: fx.Node,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Average:
        window = _pool_window(kernel_size, stride, padding, line)
        refuse(
            not count_include_pad and window.padding != (0, 0),
            call,
            "count_include_pad=False with padding is not supported; use padding=0",
        )
        if ceil_mode:
            refuse(
                window.output_size(*_size_of_image(call.input_shape)) != _size_of_image(call.shape or ()),
                call,
                "ceil_mode with windows that leave the image is not supported; pad the image instead",
            )
        return Average(window, divisor_override)

    return reader


def _size_of_image(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[1], shape[2]) if len(shape) == 3 else (1, shape[-1])


def _max_pool(line: bool) -> Callable[..., Layer]:
    def reader(
        call: Call,
        x: fx.Node,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Maximum:
        refuse(pair(dilation) != (1, 1), call, "dilation is not supported; use dilation=1")
        refuse(return_indices, call, "return_indices is not supported; leave it out")
        return Maximum(_pool_window(kernel_size, stride, padding, line))

    return reader


def _adaptive(kind: type[Average] | type[Maximum], line: bool) -> Callable[..., Layer]:
    def reader(call: Call, x: fx.Node, output_size: Any, return_indices: bool = False) -> Layer:
        refuse(return_indices, call, "return_indices is not supported; leave it out")
        alike = output_size is None or isinstance(output_size, int)
        size_y, size_x = (output_size, output_size) if alike else (output_size[0], output_size[-1])
        return kind(Adaptive((1 if line else size_y, size_x)))

    return reader


def _over(call: Call, dim: Any, axis: Any) -> Over:
    dims = dim if axis is None else axis
    refuse(dims is None or dims == (), call, "works across images; name the axes, such as dim=(2, 3)")
    return Over(frozenset(axis_of(call, d) for d in ((dims,) if isinstance(dims, int) else dims)))


def _mean(
    call: Call, x: fx.Node, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> Average:
    return Average(_over(call, dim, axis))


def _sum(
    call: Call, x: fx.Node, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> Average:
    return Average(_over(call, dim, axis), divisor=1)


def _largest(call: Call, x: fx.Node, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Maximum:
    return Maximum(_over(call, dim, axis))


def _pad(call: Call, x: fx.Node, pad: Any, mode: str = "constant", value: float | None = None) -> Layer:
    refuse(mode != "constant" or bool(value), call, f"pads with {mode if mode != 'constant' else value}; pad with 0")
    left, right, top, bottom, *others = (*pad, 0, 0)[: max(4, len(pad))]
    axes = len(call.input_shape)
    if axes == 2:
        others, top, bottom = [top, bottom, *others], 0, 0
    elif axes == 1:
        others, left, right = [left, right, *others], 0, 0
    refuse(any(others), call, "pads channels; use a convolution that makes them")
    refuse(min(left, right, top, bottom) < 0, call, "crops by negative padding; use a stride or a pool")
    return Padding(top, left) if left or right or top or bottom else Nothing()


def _pad_module(call: Call, x: fx.Node) -> Layer:
    module: Any = call.module
    pad = module.padding
    return _pad(call, x, pad, "constant", getattr(module, "value", 0))


_AVERAGE_2D = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_MAXIMUM = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_PADS = ("ZeroPad1d", "ZeroPad2d", "ConstantPad1d", "ConstantPad2d")

MODULES: Readers = {
    "AvgPool1d": from_attributes(_average_pool(line=True), *_AVERAGE_2D[:-1]),
    "AvgPool2d": from_attributes(_average_pool(line=False), *_AVERAGE_2D),
    "MaxPool1d": from_attributes(_max_pool(line=True), *_MAXIMUM),
    "MaxPool2d": from_attributes(_max_pool(line=False), *_MAXIMUM),
    "AdaptiveAvgPool1d": from_attributes(_adaptive(Average, line=True), "output_size"),
    "AdaptiveAvgPool2d": from_attributes(_adaptive(Average, line=False), "output_size"),
    "AdaptiveMaxPool1d": from_attributes(_adaptive(Maximum, line=True), "output_size", "return_indices"),
    "AdaptiveMaxPool2d": from_attributes(_adaptive(Maximum, line=False), "output_size", "return_indices"),
    **dict.fromkeys(_PADS, _pad_module),
}

FUNCTIONS: Readers = {
    "avg_pool1d": _average_pool(line=True),
    "avg_pool2d": _average_pool(line=False),
    "max_pool1d": _max_pool(line=True),
    "max_pool2d": _max_pool(line=False),
    "adaptive_avg_pool1d": _adaptive(Average, line=True),
    "adaptive_avg_pool2d": _adaptive(Average, line=False),
    "adaptive_max_pool1d": _adaptive(Maximum, line=True),
    "adaptive_max_pool2d": _adaptive(Maximum, line=False),
    "mean": _mean,
    "sum": _sum,
    "amax": _largest,
    "pad": _pad,
}
