"""Reads convolutions, linear layers and batch norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx
from torch.nn import functional as F

from dccdka.collaborative import Layer
from dccdka.lowering.calls import Call
from dccdka.lowering.folding import affine_of_batch_norm
from dccdka.lowering.graph import Window
from dccdka.lowering.layers import Affine, Weighted
from dccdka.lowering.reading.call_checks import Readers, from_attributes, pair, refuse


def _called_layer(call: Call, bias: Tensor | None) -> tuple[str, Layer]:
    refuse(
        call.layer is None,
        call,
        "takes weights that are no layer's own; use the modules nn.Conv2d, nn.Conv1d or nn.Linear, whose weights are "
        "compressed",
    )
    assert call.layer is not None  # or it was refused
    name, layer = call.layer
    refuse(bias is not layer.bias, call, f"takes the weight of {name} without its bias, or with another; use both")
    return name, layer


def _convolution(line: bool) -> Callable[..., Weighted]:
    one, none = (1, 0) if line else (None, None)

    def reader(
        call: Call,
        input: fx.Node,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
    ) -> Weighted:
        name, layer = _called_layer(call, bias)
        refuse(padding_mode != "zeros", call, f"padding_mode {padding_mode!r}; use 'zeros'")
        kernel, strides, dilations = (pair(value, one) for value in (tuple(weight.shape[2:]), stride, dilation))
        if padding == "same":  # torch puts the odd one below and right
            paddings = dilations[0] * (kernel[0] - 1) // 2, dilations[1] * (kernel[1] - 1) // 2
        else:
            paddings = pair(0 if padding == "valid" else padding, none)
        return Weighted(name, layer, Window(kernel, strides, paddings, dilations), groups)

    return reader


def _linear(call: Call, input: fx.Node, weight: Any, bias: Any = None) -> Weighted:
    return Weighted(*_called_layer(call, bias))


def _batch_norm(
    call: Call,
    input: fx.Node,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = None,
    eps: float = 1e-5,
) -> Affine:
    refuse(running_mean is None or running_var is None, call, "it keeps no statistics; use track_running_stats=True")
    refuse(training, call, "takes the statistics of its images; pass training=self.training")
    return affine_of_batch_norm(running_mean, running_var, weight, bias, eps)


def _batch_norm_function(call: Call, *arguments: Any, **options: Any) -> Affine:
    # torch.batch_norm has its arguments in another order.
    refuse(call.node.target is not F.batch_norm, call, "use nn.BatchNorm2d, nn.BatchNorm1d or F.batch_norm")
    return _batch_norm(call, *arguments, **options)


_CONVOLUTION = ("weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode")


def _batch_norm_module(call: Call, input: fx.Node) -> Affine:
    module: Any = call.module
    return _batch_norm(call, input, module.running_mean, module.running_var, module.weight, module.bias, eps=module.eps)


MODULES: Readers = {
    "Conv1d": from_attributes(_convolution(line=True), *_CONVOLUTION),
    "Conv2d": from_attributes(_convolution(line=False), *_CONVOLUTION),
    "Linear": from_attributes(_linear, "weight", "bias"),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), _batch_norm_module),
}

FUNCTIONS: Readers = {
    "conv1d": _convolution(line=True),
    "conv2d": _convolution(line=False),
    "linear": _linear,
    "batch_norm": _batch_norm_function,
}
