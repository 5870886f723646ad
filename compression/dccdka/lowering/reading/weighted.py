"""Reads convolutions, linear layers and batch norm."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from dccdka.lowering.calls import Call
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.folding import affine_of_batch_norm
from dccdka.lowering.graph import Window
from dccdka.lowering.layers import Affine, Weighted
from dccdka.lowering.reading.call_checks import Readers, pair, refuse
from dccdka.lowering.tracing import describe


def _convolution(call: Call, x: fx.Node) -> Weighted:
    module: Any = call.module
    refuse(module.padding_mode != "zeros", call, f"padding_mode {module.padding_mode!r}; use 'zeros'")
    one, none = (1, 0) if isinstance(module, nn.Conv1d) else (None, None)
    kernel, stride, dilation = (pair(value, one) for value in (module.kernel_size, module.stride, module.dilation))
    if module.padding == "same":  # torch puts the odd one below and right
        padding = dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    else:
        padding = pair(0 if module.padding == "valid" else module.padding, none)
    return Weighted(str(call.node.target), module, Window(kernel, stride, padding, dilation), module.groups)


def _linear(call: Call, x: fx.Node) -> Weighted:
    module: Any = call.module
    return Weighted(str(call.node.target), module)


def _batch_norm(call: Call, x: fx.Node) -> Affine:
    module: Any = call.module
    if module.running_mean is None or module.running_var is None:
        raise LoweringError(f"{describe(call.node)}: it keeps no statistics; use track_running_stats=True")
    return affine_of_batch_norm(module)


MODULES: Readers = {
    **dict.fromkeys(("Conv2d", "Conv1d"), _convolution),
    "Linear": _linear,
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), _batch_norm),
}
