"""Reads softmax and argmax."""

from __future__ import annotations

from typing import Any

from torch import fx

from dccdka.lowering.calls import Call
from dccdka.lowering.layers import Exponentials, Largest
from dccdka.lowering.reading.call_checks import Readers, axis_of, from_attributes, refuse


def _softmax(call: Call, x: fx.Node, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Exponentials:
    refuse(dim is None, call, "softmax without an axis; name it, dim=1")
    return Exponentials(axis_of(call, int(dim or 0)))


def _argmax(call: Call, x: fx.Node, dim: int | None = None, keepdim: bool = False) -> Largest:
    refuse(dim is None, call, "argmax across images; name the axis, dim=1")
    return Largest(axis_of(call, int(dim or 0)))


MODULES: Readers = {
    "Softmax": from_attributes(_softmax, "dim"),
    "Softmax2d": lambda call, x: _softmax(call, x, 1),
}

FUNCTIONS: Readers = {"softmax": _softmax, "argmax": _argmax}
