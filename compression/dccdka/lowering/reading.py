"""Reads calls as layers: `nn.ReLU()`, `F.relu(x)`, `torch.relu(x)` and `x.relu()` are all the layer `Clamp`.

What has no kind is refused by name, with what to use instead. A reader takes the call and its arguments under torch's
names; modules are read by the functions that they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from dccdka.lowering.calls import PROBE_IMAGES, Call
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.folding import affine_of_batch_norm, array
from dccdka.lowering.graph import Window
from dccdka.lowering.layers import (
    Adaptive,
    Affine,
    Average,
    Clamp,
    Exponentials,
    Function,
    Join,
    Largest,
    Layer,
    Maximum,
    Nothing,
    Over,
    Padding,
    Product,
    Quotient,
    Rearrange,
    Scale,
    Sum,
    Weighted,
)
from dccdka.lowering.tracing import describe

SUPPORTED = (
    "supported are Conv2d, Conv1d, Linear, BatchNorm, ReLU and any other function of single values, add, sub, mul, cat "
    "along the channels, average and max pools, zero padding, reshapes that keep the bytes' order, softmax and argmax"
)
_MOST_NAMED = 5


def read_layers(calls: Iterable[Call]) -> dict[fx.Node, Layer]:
    """The kind of layer of each call. Raises one LoweringError that names up to 5 of those that have none."""
    layers: dict[fx.Node, Layer] = {}
    refused: list[str] = []
    # What reads the parts of a refused tuple is refused with it.
    parts: set[fx.Node] = set()
    for call in calls:
        if parts.intersection(call.inputs):
            continue
        try:
            layers[call.node] = _layer_of(call)
        except LoweringError as error:
            refused.append(str(error))
            if call.shape is None:
                parts.add(call.node)
    if refused:
        more = [f"and {len(refused) - _MOST_NAMED} more"] if len(refused) > _MOST_NAMED else []
        raise LoweringError("\n".join([*refused[:_MOST_NAMED], *more]))
    return layers


def _layer_of(call: Call) -> Layer:
    if call.name in _INSTEAD:
        raise LoweringError(f"{_where(call)} has no integer form: {_INSTEAD[call.name]}")
    reader = (_FUNCTIONS if call.module is None else _MODULES).get(call.name)
    if reader is None or call.shape is None:
        raise LoweringError(f"{_where(call)} has no integer form: {SUPPORTED}")
    try:
        return reader(call, *call.args, **call.kwargs)
    except TypeError as error:  # an argument that the reader does not know
        raise LoweringError(f"{_where(call)}: these arguments have no integer form ({error})") from error


def _where(call: Call) -> str:
    return describe(call.node) + (f", a {call.name}," if call.module is not None else "")


def _refuse(condition: bool, call: Call, message: str) -> None:
    if condition:
        raise LoweringError(f"{describe(call.node)}: {message}")


def _pair(value: int | Sequence[int], line: int | None = None) -> tuple[int, int]:
    """(y, x) of torch's argument, where one number stands for both; of a sequence's only axis, x with `line` for y."""
    sizes = (value,) if isinstance(value, int) else tuple(value)
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    return sizes[0] if line is None else line, sizes[0]


def _axis(call: Call, dim: int) -> int:
    """Of a torch axis among those with n, the axis without n."""
    axes = len(call.input_shape) + 1
    _refuse(dim % axes == 0, call, "works across images; use another axis than 0")
    return dim % axes - 1


# Convolutions and linear layers


def _convolution(call: Call, x: fx.Node) -> Weighted:
    module: Any = call.module
    _refuse(module.padding_mode != "zeros", call, f"padding_mode {module.padding_mode!r}; use 'zeros'")
    one, none = (1, 0) if isinstance(module, nn.Conv1d) else (None, None)
    kernel, stride, dilation = (_pair(value, one) for value in (module.kernel_size, module.stride, module.dilation))
    if module.padding == "same":  # torch puts the odd one below and right
        padding = dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    else:
        padding = _pair(0 if module.padding == "valid" else module.padding, none)
    return Weighted(str(call.node.target), module, Window(kernel, stride, padding, dilation), module.groups)


def _linear(call: Call, x: fx.Node) -> Weighted:
    module: Any = call.module
    return Weighted(str(call.node.target), module)


def _batch_norm(call: Call, x: fx.Node) -> Affine:
    module: Any = call.module
    if module.running_mean is None or module.running_var is None:
        raise LoweringError(f"{describe(call.node)}: it keeps no statistics; use track_running_stats=True")
    return affine_of_batch_norm(module)


# Functions of single values


def _clamp(low: float, high: float) -> Callable[..., Layer]:
    def reader(call: Call, x: fx.Node, inplace: bool = False) -> Clamp:
        return Clamp(low, high)

    return reader


def _hardtanh(call: Call, x: fx.Node, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Clamp:
    return Clamp(float(min_val), float(max_val))


def _limits(call: Call, x: fx.Node, min: Any = None, max: Any = None) -> Clamp:  # torch's names
    bounds = [bound.item() if isinstance(bound, Tensor) and bound.numel() == 1 else bound for bound in (min, max)]
    _refuse(any(isinstance(bound, Tensor | fx.Node) for bound in bounds), call, "clamps by tensors; use numbers")
    low, high = bounds
    return Clamp(-math.inf if low is None else float(low), math.inf if high is None else float(high))


def _lower_limit(call: Call, x: fx.Node, min: Any) -> Clamp:
    return _limits(call, x, min)


def _upper_limit(call: Call, x: fx.Node, max: Any) -> Clamp:
    return _limits(call, x, None, max)


def _function(call: Call, *arguments: Any, **options: Any) -> Layer:
    """Of one tensor and numbers."""
    return _of_single_values(call)


def _of_single_values(call: Call) -> Function:
    flat: list[Any] = []
    torch.utils._pytree.tree_map(flat.append, (call.args, call.kwargs))
    for constant in flat:
        _refuse(
            isinstance(constant, Tensor) and constant.numel() > 1,
            call,
            "has a parameter for each channel, for which there is no table; use one number for all",
        )
    return Function()


def _prelu(call: Call, x: fx.Node, weight: Any = None) -> Function:
    parameter = getattr(call.module, "weight", weight)
    _refuse(parameter.numel() > 1, call, "has a slope for each channel; use PReLU(1) or LeakyReLU")
    return Function()


# Two tensors, or a tensor and a constant


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
        return _of_single_values(call)
    if isinstance(input, fx.Node) and isinstance(other, fx.Node):
        return Quotient()
    if isinstance(other, fx.Node):
        return _of_single_values(call)
    # As a tensor, so that 1 / 0 is infinite: then the values are, and are refused as such.
    return _scaled(call, 1 / torch.as_tensor(other, dtype=torch.float64).detach())


def _power(call: Call, input: Any, exponent: Any) -> Layer:
    both = isinstance(input, fx.Node) and isinstance(exponent, fx.Node)
    return Quotient() if both else _of_single_values(call)


def _scaled(call: Call, constant: Any) -> Layer:
    channels = _per_channel(call, constant)
    if channels is not None:
        return Affine(channels, np.zeros_like(channels))
    factor = float(constant.detach() if isinstance(constant, Tensor) else constant)
    return Scale(factor) if factor > 0 and math.isfinite(factor) else Function()


def _per_channel(call: Call, constant: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """A constant tensor's value for each channel; None for a number."""
    if not isinstance(constant, Tensor) or constant.numel() == 1:
        return None
    assert call.shape is not None
    shape = (1,) * (len(call.shape) + 1 - constant.ndim) + tuple(constant.shape)
    fits = shape[0] == 1 and shape[1] == call.shape[0] and all(size == 1 for size in shape[2:])
    _refuse(not fits, call, f"combines with a constant of shape {tuple(constant.shape)}; use a number or one a channel")
    return array(constant).reshape(-1)


def _join(call: Call, tensors: Any, dim: int = 0, *, axis: int | None = None) -> Layer:
    tensors = [tensors] if isinstance(tensors, fx.Node) else list(tensors)
    _refuse(
        not all(isinstance(x, fx.Node) for x in tensors), call, "joins constants; make them outputs of a layer, or pad"
    )
    return Nothing() if len(tensors) == 1 else Join(_axis(call, dim if axis is None else axis))


# Windows


def _pool_window(kernel: Any, stride: Any, padding: Any, line: bool) -> Window:
    one, none = (1, 0) if line else (None, None)
    # torch: no stride means windows side by side
    return Window(_pair(kernel, one), _pair(stride or kernel, one), _pair(padding, none))


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
        _refuse(
            not count_include_pad and window.padding != (0, 0),
            call,
            "count_include_pad=False with padding is not supported; use padding=0",
        )
        _refuse(divisor_override is not None, call, "divisor_override is not supported; leave it out")
        if ceil_mode:
            _refuse(
                window.output_size(*_size_of_image(call.input_shape)) != _size_of_image(call.shape or ()),
                call,
                "ceil_mode with windows that leave the image is not supported; pad the image instead",
            )
        return Average(window)

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
        _refuse(_pair(dilation) != (1, 1), call, "dilation is not supported; use dilation=1")
        _refuse(return_indices, call, "return_indices is not supported; leave it out")
        return Maximum(_pool_window(kernel_size, stride, padding, line))

    return reader


def _adaptive(kind: type[Average] | type[Maximum], line: bool) -> Callable[..., Layer]:
    def reader(call: Call, x: fx.Node, output_size: Any, return_indices: bool = False) -> Layer:
        _refuse(return_indices, call, "return_indices is not supported; leave it out")
        alike = output_size is None or isinstance(output_size, int)
        size_y, size_x = (output_size, output_size) if alike else (output_size[0], output_size[-1])
        return kind(Adaptive((1 if line else size_y, size_x)))

    return reader


def _over_axes(kind: type[Average] | type[Maximum]) -> Callable[..., Layer]:
    def reader(
        call: Call, x: fx.Node, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
    ) -> Layer:
        dims = dim if axis is None else axis
        _refuse(dims is None or dims == (), call, "works across images; name the axes, such as dim=(2, 3)")
        return kind(Over(frozenset(_axis(call, d) for d in ((dims,) if isinstance(dims, int) else dims))))

    return reader


def _pad(call: Call, x: fx.Node, pad: Any, mode: str = "constant", value: float | None = None) -> Layer:
    _refuse(mode != "constant" or bool(value), call, f"pads with {mode if mode != 'constant' else value}; pad with 0")
    left, right, top, bottom, *others = (*pad, 0, 0)[: max(4, len(pad))]
    axes = len(call.input_shape)
    if axes == 2:
        others, top, bottom = [top, bottom, *others], 0, 0
    elif axes == 1:
        others, left, right = [left, right, *others], 0, 0
    _refuse(any(others), call, "pads channels; use a convolution that makes them")
    _refuse(min(left, right, top, bottom) < 0, call, "crops by negative padding; use a stride or a pool")
    return Padding(top, left) if left or right or top or bottom else Nothing()


def _pad_module(call: Call, x: fx.Node) -> Layer:
    module: Any = call.module
    pad = module.padding
    return _pad(call, x, pad, "constant", getattr(module, "value", 0))


# Classes


def _softmax(call: Call, x: fx.Node, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Exponentials:
    _refuse(dim is None, call, "softmax without an axis; name it, dim=1")
    return Exponentials(_axis(call, int(dim or 0)))


def _argmax(call: Call, x: fx.Node, dim: int | None = None, keepdim: bool = False) -> Largest:
    _refuse(dim is None, call, "argmax across images; name the axis, dim=1")
    return Largest(_axis(call, int(dim or 0)))


# Nothing but another order or shape


def _rearrange(call: Call, *arguments: Any, **options: Any) -> Rearrange:
    _refuse(len(call.inputs) > 1, call, "takes its shape from another tensor; write the sizes")
    (node,) = call.inputs
    elements = math.prod(call.input_shape)
    numbered = torch.arange(PROBE_IMAGES * elements).reshape(PROBE_IMAGES, *call.input_shape)
    mixed = bool((call.run({node: numbered})[0] >= elements).any())
    _refuse(mixed, call, "moves values from one image into another; keep the images apart, along the first axis")
    return Rearrange()


def _item(call: Call, x: fx.Node, index: Any) -> Rearrange:
    _refuse(
        math.prod(call.shape or ()) != math.prod(call.input_shape),
        call,
        "takes a part of a tensor, which has no integer form; compute the parts by layers of their own",
    )
    return _rearrange(call)


def _nothing(call: Call, *arguments: Any, **options: Any) -> Nothing:
    return Nothing()


def _dropout(call: Call, x: fx.Node, p: float = 0.5, training: bool = True, inplace: bool = False) -> Nothing:
    _refuse(bool(training), call, "drops values at inference; pass training=self.training")
    return Nothing()


def _arguments(reader: Callable[..., Layer], *names: str) -> Callable[..., Layer]:
    """A reader of a module from that of its function: its attributes become the arguments."""

    def read(call: Call, *tensors: fx.Node) -> Layer:
        return reader(call, *tensors, *(getattr(call.module, name) for name in names))

    return read


_Readers = dict[str, Callable[..., Layer]]
_AVERAGE_2D = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_MAXIMUM = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_PADS = ("ZeroPad1d", "ZeroPad2d", "ConstantPad1d", "ConstantPad2d")
_DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")

_MODULES: _Readers = {
    **dict.fromkeys(("Conv2d", "Conv1d"), _convolution),
    "Linear": _linear,
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), _batch_norm),
    "ReLU": _clamp(0, math.inf),
    "ReLU6": _clamp(0, 6),
    "Hardtanh": _arguments(_hardtanh, "min_val", "max_val"),
    **dict.fromkeys(
        (
            *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "LeakyReLU", "LogSigmoid", "Mish"),
            *("RReLU", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
            "Threshold",
        ),
        _function,
    ),
    "PReLU": _prelu,
    "AvgPool1d": _arguments(_average_pool(line=True), *_AVERAGE_2D[:-1]),
    "AvgPool2d": _arguments(_average_pool(line=False), *_AVERAGE_2D),
    "MaxPool1d": _arguments(_max_pool(line=True), *_MAXIMUM),
    "MaxPool2d": _arguments(_max_pool(line=False), *_MAXIMUM),
    "AdaptiveAvgPool1d": _arguments(_adaptive(Average, line=True), "output_size"),
    "AdaptiveAvgPool2d": _arguments(_adaptive(Average, line=False), "output_size"),
    "AdaptiveMaxPool1d": _arguments(_adaptive(Maximum, line=True), "output_size", "return_indices"),
    "AdaptiveMaxPool2d": _arguments(_adaptive(Maximum, line=False), "output_size", "return_indices"),
    **dict.fromkeys(_PADS, _pad_module),
    "Softmax": _arguments(_softmax, "dim"),
    "Softmax2d": lambda call, x: _softmax(call, x, 1),
    **dict.fromkeys(("Flatten", "Unflatten", "ChannelShuffle", "PixelUnshuffle"), _rearrange),
    **dict.fromkeys(("Identity", *_DROPOUTS), _nothing),
}

_FUNCTIONS: _Readers = {
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
            *(
                "hardshrink",
                "hardsigmoid",
                "hardswish",
                "leaky_relu",
                "log",
                "log10",
                "log1p",
                "log2",
                "log_sigmoid",
                "logit",
            ),
            *("logsigmoid", "mish", "neg", "negative", "reciprocal", "round", "rsqrt", "selu", "sigmoid", "sign"),
            *("silu", "sin", "sinc", "sinh", "softplus", "softshrink", "softsign", "sqrt", "square", "tan", "tanh"),
            *("tanhshrink", "_threshold", "threshold", "trunc"),
        ),
        _function,
    ),
    "prelu": _prelu,
    "add": _add,
    **dict.fromkeys(("sub", "subtract"), _subtract),
    "rsub": _reversed_subtract,
    **dict.fromkeys(("mul", "multiply"), _multiply),
    **dict.fromkeys(("truediv", "true_divide", "div", "divide"), _divide),
    "pow": _power,
    **dict.fromkeys(("cat", "concat", "concatenate"), _join),
    "avg_pool1d": _average_pool(line=True),
    "avg_pool2d": _average_pool(line=False),
    "max_pool1d": _max_pool(line=True),
    "max_pool2d": _max_pool(line=False),
    "adaptive_avg_pool1d": _adaptive(Average, line=True),
    "adaptive_avg_pool2d": _adaptive(Average, line=False),
    "adaptive_max_pool1d": _adaptive(Maximum, line=True),
    "adaptive_max_pool2d": _adaptive(Maximum, line=False),
    "mean": _over_axes(Average),
    "amax": _over_axes(Maximum),
    "pad": _pad,
    "softmax": _softmax,
    "argmax": _argmax,
    **dict.fromkeys(
        (
            *("flatten", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "movedim", "moveaxis"),
            *("swapaxes", "swapdims", "unflatten", "view_as", "reshape_as", "channel_shuffle", "pixel_unshuffle"),
        ),
        _rearrange,
    ),
    "getitem": _item,
    **dict.fromkeys(("contiguous", "clone", "detach", "float", "positive", "pos"), _nothing),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"), _dropout),
}

_NORMS = ("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "layer_norm", "group_norm", "instance_norm")
_PARTS = ("chunk", "split", "tensor_split", "unbind", "split_with_sizes")
_LARGER = ("ConvTranspose1d", "ConvTranspose2d", "Upsample", "PixelShuffle", "interpolate", "pixel_shuffle")
_WEIGHTED = ("conv1d", "conv2d", "linear", "matmul", "bmm", "mm", "einsum", "addmm")
_INSTEAD = {
    **dict.fromkeys(
        ("LogSoftmax", "log_softmax"),
        "leave it out, as the largest logit stays the largest, and put it into the loss (cross_entropy)",
    ),
    **dict.fromkeys(_NORMS, "its statistics depend on the image; use BatchNorm2d or BatchNorm1d"),
    **dict.fromkeys(_PARTS, "compute the parts by layers of their own"),
    **dict.fromkeys(_LARGER, "images only keep their size or become smaller; use strides and pools"),
    **dict.fromkeys(_WEIGHTED, "use the modules nn.Conv2d, nn.Conv1d or nn.Linear, whose weights are compressed"),
    **dict.fromkeys(
        ("LSTM", "GRU", "RNN", "MultiheadAttention", "scaled_dot_product_attention"),
        "use convolutions or linear layers",
    ),
    "batch_norm": "use the module nn.BatchNorm2d or nn.BatchNorm1d",
}
