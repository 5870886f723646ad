"""Records of tensors and operators as bytes (FORMAT.md)."""

from __future__ import annotations

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
    Tensor,
    Window,
)
from dccdka.lowering.narrow_form import narrow_form
from dccdka.packing import layout
from dccdka.packing.channels import encode_channels, form_byte
from dccdka.packing.choice import Encoding, KernelChoice
from dccdka.packing.encoding import PlannedWeights, encode
from dccdka.packing.errors import PackingError
from dccdka.packing.fields import FieldWriter
from dccdka.packing.layout import ALIGNMENT
from dccdka.packing.scaling_field import write_scaling
from dccdka.packing.window_fields import write_window

_KINDS = {
    Convolution: layout.CONVOLUTION,
    Add: layout.ADD,
    AveragePool: layout.AVERAGE_POOL,
    MaxPool: layout.MAX_POOL,
    ReLU: layout.RELU,
    Multiply: layout.MULTIPLY,
    Concatenate: layout.CONCATENATE,
    Pad: layout.PAD,
    Lookup: layout.LOOKUP,
    Softmax: layout.SOFTMAX,
    ArgMax: layout.ARGMAX,
}
_UNCLAMPED = (-128, 127)


def tensor_record(index: int, tensor: Tensor, offset: int) -> bytes:
    fields = FieldWriter(f"tensor {index}")
    sizes = tensor.height, tensor.width, tensor.channels
    if not all(1 <= size <= layout.MAX_SIZE for size in sizes):
        raise PackingError(f"tensor {index}: a size exceeds the artifact format's {layout.MAX_SIZE}: {sizes}")
    fields.u(offset // ALIGNMENT, *sizes)
    fields.i8(tensor.zero_point)
    return bytes(fields.data)


def operator_record(name: str, operator: Operator) -> bytes:
    """Of an operator that is no convolution. Raises PackingError that begins with the name, as all here do."""
    fields = FieldWriter(name)
    never_clamps = MaxPool | Pad | Lookup | Softmax | ArgMax
    low, high = _UNCLAMPED if isinstance(operator, never_clamps) else (operator.low, operator.high)
    _write_begin(fields, operator, low, high, flags=0)
    match operator:
        case Add() | Concatenate():
            fields.u(operator.second)
            fields.s(_int16(name, operator.multiplier), _int16(name, operator.second_multiplier), operator.offset)
            if isinstance(operator, Concatenate):
                fields.s(operator.second_offset)
            fields.u8(_at_most(name, "shift", operator.shift, layout.MAX_SHIFT))
        case Multiply():
            fields.u(operator.second)
            write_scaling(fields, name, operator.scaling)
            fields.s(_int16(name, operator.multiplier), operator.bias)
        case AveragePool():
            _write_pool_window(fields, name, operator.window)
            write_scaling(fields, name, operator.scaling)
            fields.s(_int16(name, operator.multiplier), operator.bias)
        case MaxPool():
            _write_pool_window(fields, name, operator.window)
        case Pad():
            fields.u(operator.top, operator.left)
        case Lookup():
            table = operator.table.astype("i1")
            if len(table) != 256:
                raise PackingError(f"{name}: a table of {len(table)} values, there must be 256")
            fields.data += table.tobytes()
        case Softmax():
            exponentials = operator.exponentials.astype("<u2")
            if len(exponentials) != 256 or exponentials[0] != layout.FIRST_EXPONENTIAL:
                raise PackingError(f"{name}: exponentials must be 256, the first {layout.FIRST_EXPONENTIAL}")
            fields.data += exponentials.tobytes()
    return bytes(fields.data)


def convolution_record(
    name: str,
    operator: Convolution,
    image: Tensor,
    output: Tensor,
    planned: PlannedWeights,
    choice: KernelChoice,
    places: tuple[int, int],
) -> bytes:
    """image: the tensor that it reads; places: its scratch's in the arena, the record's in the artifact."""
    scratch_at, at = places
    flattened = operator.flatten_input and (image.height, image.width) != (1, 1)
    residual = operator.residual
    flags = (layout.FLATTEN if flattened else 0) | (layout.RESIDUAL if residual is not None else 0)
    fields = FieldWriter(name)
    _write_begin(fields, operator, operator.low, operator.high, flags)
    _check_window(name, operator.window)
    write_window(fields, operator.window)
    fields.u(operator.groups)
    fields.u8(choice.kernel | choice.encoding << 4)
    fields.u(choice.filters_at_once, choice.rows_at_once, scratch_at // ALIGNMENT)
    if residual is not None:
        fields.u(residual.tensor)
        fields.s(_int16(name, residual.multiplier), _int16(name, residual.residual_multiplier), residual.offset)
        fields.u8(_at_most(name, "shift", residual.shift, layout.MAX_SHIFT))
        fields.i8(residual.low, residual.high)
    requantisation = operator.requantisation
    narrow = None if choice.wide else narrow_form(requantisation, output.zero_point)
    write_scaling(fields, name, requantisation.scaling)
    fields.u8(form_byte(narrow))
    if narrow is not None:
        fields.u8(narrow.bias_shift)
    fields.u8(operator.weight_zero_point)
    is_raw = choice.encoding is Encoding.RAW
    if not is_raw:
        fields.u8(planned.form.bits | planned.form.gap_bits << 4)
    data = encode_channels(requantisation, output.zero_point, narrow)
    if is_raw:
        data += bytes(-len(data) % ALIGNMENT)
    data += encode(operator.codes, operator.weight_zero_point, planned)
    fields.u(len(data))
    if is_raw or narrow is None:
        fields.data += bytes(-(at + len(fields.data)) % ALIGNMENT)
    return bytes(fields.data) + data


def _write_begin(fields: FieldWriter, operator: Operator, low: int, high: int, flags: int) -> None:
    clamped = (low, high) != _UNCLAMPED
    fields.u8(_KINDS[type(operator)] | flags | (layout.CLAMPED if clamped else 0))
    fields.u(operator.input, operator.output)
    if clamped:
        fields.i8(low, high)


def _write_pool_window(fields: FieldWriter, name: str, window: Window) -> None:
    if window.dilation != (1, 1):
        raise PackingError(f"{name}: a pool with dilation {window.dilation}; pools have none")
    _check_window(name, window)
    write_window(fields, window)


def _check_window(name: str, window: Window) -> None:
    for what in ("kernel", "stride", "padding", "dilation"):
        _at_most(name, what, max(getattr(window, what)), 255)


def _int16(name: str, multiplier: int) -> int:
    if not -(1 << 15) <= multiplier < 1 << 15:
        raise PackingError(f"{name}: a multiplier of {multiplier}, beyond 16 bits")
    return multiplier


def _at_most(name: str, what: str, value: int, most: int) -> int:
    if value > most:
        raise PackingError(f"{name}: a size exceeds the artifact format's fields: {what} of {value}, at most {most}")
    return value
