"""Gives each call its kind of layer, by the reader that its name has."""

from __future__ import annotations

from collections.abc import Iterable

from torch import fx

from dccdka.lowering.calls import Call
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.layers import Layer
from dccdka.lowering.reading import classes, rearranging, single_values, two_operands, weighted, windows
from dccdka.lowering.reading.call_checks import Readers
from dccdka.lowering.reading.refused import INSTEAD
from dccdka.lowering.tracing import describe

SUPPORTED = (
    "supported are Conv2d, Conv1d, Linear, BatchNorm, ReLU and any other function of single values, add, sub, mul, cat "
    "along the channels, average and max pools, zero padding, reshapes that keep the bytes' order, softmax and argmax"
)
_MOST_NAMED = 5

_MODULES: Readers = {
    **weighted.MODULES,
    **single_values.MODULES,
    **windows.MODULES,
    **classes.MODULES,
    **rearranging.MODULES,
}

_FUNCTIONS: Readers = {
    **weighted.FUNCTIONS,
    **single_values.FUNCTIONS,
    **two_operands.FUNCTIONS,
    **windows.FUNCTIONS,
    **classes.FUNCTIONS,
    **rearranging.FUNCTIONS,
}


def read_layers(calls: Iterable[Call]) -> dict[fx.Node, Layer]:
    """The kind of layer of each call. Raises one LoweringError that names up to 5 of those that have none."""
    layers: dict[fx.Node, Layer] = {}
    refused: list[str] = []
    # What reads the parts of a refused tuple is refused with it.
    parts: set[fx.Node] = set()
    for call in calls:
        if parts.intersection(call.inputs):
            if call.shape is None:
                parts.add(call.node)
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
    if call.name in INSTEAD:
        raise LoweringError(f"{_where(call)} has no integer form: {INSTEAD[call.name]}")
    hooked = call.module is not None and (call.module._forward_hooks or call.module._forward_pre_hooks)
    if hooked:
        raise LoweringError(f"{_where(call)} has a forward hook, which no device runs; remove it before lowering")
    reader = (_FUNCTIONS if call.module is None else _MODULES).get(call.name)
    if reader is None or call.shape is None:
        raise LoweringError(f"{_where(call)} has no integer form: {SUPPORTED}")
    try:
        return reader(call, *call.args, **call.kwargs)
    except TypeError as error:  # an argument that the reader does not know
        raise LoweringError(f"{_where(call)}: these arguments have no integer form ({error})") from error


def _where(call: Call) -> str:
    return describe(call.node) + (f", a {call.name}," if call.module is not None else "")
