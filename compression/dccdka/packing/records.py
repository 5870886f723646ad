"""One operator's record of an artifact: all of its fields are read first, then they are checked.

The order of the checks is that of agents/runtime/src/check*.c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
    Window,
)
from dccdka.packing import layout
from dccdka.packing.artifact import ArtifactStatus, PlacedTensor, StoredConvolution
from dccdka.packing.checks import (
    check_argmax,
    check_clamp,
    check_elementwise,
    check_pad,
    check_pair,
    check_pool,
    require,
)
from dccdka.packing.convolution_record import check_convolution, read_convolution
from dccdka.packing.fields import FieldReader
from dccdka.packing.scaling_field import read_scaling
from dccdka.packing.window_fields import read_window

_S = ArtifactStatus


@dataclass(frozen=True)
class Arena:
    """What records refer to."""

    bytes: int
    tensors: tuple[PlacedTensor, ...]


def read_record(fields: FieldReader, name: str, arena: Arena) -> tuple[Operator, StoredConvolution | None]:
    """The operator that the fields are at. Raises ArtifactError; its message begins with the name."""
    fields.what = name
    byte = fields.u8()
    kind, flags = byte & layout.KIND_BITS, byte & ~layout.KIND_BITS
    known = layout.known_flags(kind)
    require(known >= 0 and flags & ~known == 0, _S.OPERATOR, f"{name}: kind {byte:#04x} is unknown")
    x, y = fields.u(), fields.u()
    clamp = (fields.i8(), fields.i8()) if flags & layout.CLAMPED else (-128, 127)
    if kind == layout.CONVOLUTION:
        record = read_convolution(fields, flags)
        _check_common(name, arena, (x, y, *record.more_tensors), clamp)
        return check_convolution(name, record, (x, y), clamp, arena.bytes, arena.tensors)
    operator = _read(fields, kind, (x, y), clamp)
    more = (operator.second,) if isinstance(operator, Add | Multiply | Concatenate) else ()
    _check_common(name, arena, (x, y, *more), clamp)
    _check(name, operator, arena.tensors)
    return operator, None


def _check_common(name: str, arena: Arena, tensors: tuple[int, ...], clamp: tuple[int, int]) -> None:
    require(max(tensors) < len(arena.tensors), _S.SHAPE, f"{name}: no such tensor")
    check_clamp(name, *clamp)


def _read(fields: FieldReader, kind: int, places: tuple[int, int], clamp: tuple[int, int]) -> Operator:
    x, y = places
    match kind:
        case layout.ADD:
            return Add(x, fields.u(), y, fields.s(), fields.s(), fields.s(), fields.u8(), *clamp)
        case layout.CONCATENATE:
            return Concatenate(x, fields.u(), y, fields.s(), fields.s(), fields.s(), fields.s(), fields.u8(), *clamp)
        case layout.MULTIPLY:
            return Multiply(x, fields.u(), y, read_scaling(fields), fields.s(), fields.s(), *clamp)
        case layout.AVERAGE_POOL:
            return AveragePool(x, y, _read_pool_window(fields), read_scaling(fields), fields.s(), fields.s(), *clamp)
        case layout.MAX_POOL:
            return MaxPool(x, y, _read_pool_window(fields))
        case layout.RELU:
            return ReLU(x, y, *clamp)
        case layout.PAD:
            return Pad(x, y, fields.u(), fields.u())
        case layout.LOOKUP:
            return Lookup(x, y, np.frombuffer(fields.take(layout.LOOKUP_BYTES), np.int8))
        case layout.SOFTMAX:
            table = np.frombuffer(fields.take(layout.EXPONENTIALS_BYTES), "<u2")
            return Softmax(x, y, table.astype(np.uint16))
        case _:
            return ArgMax(x, y)


def _read_pool_window(fields: FieldReader) -> Window:
    return read_window(fields, dilated=False)


def _check(name: str, operator: Operator, tensors: tuple[PlacedTensor, ...]) -> None:
    x, y = tensors[operator.input], tensors[operator.output]
    match operator:
        case Add() | Multiply() | Concatenate():
            check_pair(name, operator, x, tensors[operator.second], y)
        case AveragePool():
            check_pool(name, operator.window, x, y, operator.multiplier)
        case MaxPool():
            check_pool(name, operator.window, x, y)
        case Pad():
            check_pad(name, operator, x, y)
        case ArgMax():
            check_argmax(name, x, y)
        case Softmax():
            check_elementwise(name, x, y)
            first = int(operator.exponentials[0])
            require(
                first == layout.FIRST_EXPONENTIAL,
                _S.REQUANTISATION,
                f"{name}: its exponentials begin with {first}, not with {layout.FIRST_EXPONENTIAL}",
            )
        case _:
            check_elementwise(name, x, y)
