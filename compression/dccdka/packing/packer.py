"""From an integer graph to the artifact's bytes (FORMAT.md)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    IntegerGraph,
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
from dccdka.packing.arena import plan_arena
from dccdka.packing.encoding import EncodedWeights, encode, most_nonzeros, weight_magnitudes

_INT32_MAX = 2**31 - 1
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


class PackingError(Exception):
    """The graph cannot be an artifact: a size beyond the format's limits, or a sum that may overflow."""


def pack(graph: IntegerGraph) -> bytes:
    """The artifact of a graph.

    Raises PackingError, naming the operator, where the format's limits are exceeded or an accumulator may overflow
    32 bits for some input.
    """
    scratch = [_scratch_bytes(graph, i) for i in range(len(graph.operators))]
    plan = plan_arena(graph, scratch)
    tables_bytes = (
        layout.HEADER.size
        + layout.TENSOR.size * len(graph.tensors)
        + sum(layout.RECORDS[_kind(operator)].size for operator in graph.operators)
    )
    tensors = [
        _packed(layout.TENSOR, f"tensor {i}", offset, t.height, t.width, t.channels, t.zero_point)
        for i, (offset, t) in enumerate(zip(plan.tensor_offsets, graph.tensors, strict=True))
    ]
    records: list[bytes] = []
    data: list[bytes] = []
    data_at = tables_bytes
    for i, operator in enumerate(graph.operators):
        if isinstance(operator, Convolution):
            weights = encode(operator.codes, operator.weight_zero_point)
            own_data = _convolution_data(operator, weights)
            place = (data_at, len(own_data), plan.scratch_offsets[i], scratch[i])
            records.append(_convolution_record(i, operator, weights, place))
        else:
            own_data = _table(i, operator)
            records.append(_record(i, operator, data_at))
        data.append(own_data)
        data_at += len(own_data)
    return _with_header(graph, plan.arena_bytes, b"".join([*tensors, *records, *data]))


def _with_header(graph: IntegerGraph, arena_bytes: int, body: bytes) -> bytes:
    artifact_bytes = layout.HEADER.size + len(body)
    limits = (
        ("tensors", len(graph.tensors), layout.MAX_TENSORS),
        ("operators", len(graph.operators), layout.MAX_OPERATORS),
        ("artifact bytes", artifact_bytes, layout.MAX_BYTES),
        ("arena bytes", arena_bytes, layout.MAX_BYTES),
    )
    for what, value, limit in limits:
        if value > limit:
            raise PackingError(f"the model needs {value} {what}, the artifact format allows {limit}")
    covered = layout.HEADER.pack(
        layout.MAGIC,
        layout.VERSION,
        artifact_bytes,
        0,
        arena_bytes,
        len(graph.tensors),
        len(graph.operators),
        graph.input,
        graph.output,
        _float_bits("input", graph.tensors[graph.input].scale),
        _float_bits("output", graph.tensors[graph.output].scale),
    )
    covered = covered[layout.CHECKSUM_FROM :] + body
    lead = struct.pack("<4sIII", layout.MAGIC, layout.VERSION, artifact_bytes, zlib.crc32(covered))
    return lead + covered


def _float_bits(what: str, scale: float) -> int:
    limits = np.finfo(np.float32)
    if not float(limits.smallest_subnormal) <= scale <= float(limits.max):
        raise PackingError(
            f"the {what}'s scale of {scale:g} is not a positive 32-bit number; scale the network's values"
        )
    return int(np.float32(scale).view(np.uint32))


def _kind(operator: Operator) -> int:
    return _KINDS[type(operator)]


def _scratch_bytes(graph: IntegerGraph, index: int) -> int:
    operator = graph.operators[index]
    if not isinstance(operator, Convolution):
        return 0
    _check_filters(graph, index, operator)
    nonzeros = most_nonzeros(operator.codes, operator.weight_zero_point)
    return layout.scratch_bytes(operator.window.taps, nonzeros)


def _check_filters(graph: IntegerGraph, index: int, operator: Convolution) -> None:
    """The limits on a filter's size, and the proof that no input makes an accumulator leave 32 bits.

    Every partial sum is at most |bias| + sum |w| max |x - zero point|, whatever the input and whichever taps are valid.
    """
    group_channels = operator.codes.shape[3]
    filter_weights = operator.codes[0].size
    if filter_weights > layout.MAX_FILTER_WEIGHTS:
        raise PackingError(
            f"operator {index}: a filter of {filter_weights} weights, the runtime allows {layout.MAX_FILTER_WEIGHTS}"
        )
    behind = max(operator.window.padding_behind(graph.tensors[operator.input], graph.tensors[operator.output]))
    if not operator.flatten_input and behind > layout.MAX_PADDING_BEHIND:
        raise PackingError(
            f"operator {index}: its input is padded by {behind} rows or columns below or right, the runtime allows "
            f"{layout.MAX_PADDING_BEHIND}; pad less"
        )
    if (operator.window.extent[1] - 1) * group_channels * operator.groups + group_channels > layout.MAX_ROW_OFFSETS:
        raise PackingError(
            f"operator {index}: kernel width, with its dilation, x channels exceeds {layout.MAX_ROW_OFFSETS}; "
            "narrow the layer"
        )
    zero_point = graph.tensors[operator.input].zero_point
    largest_input = max(127 - zero_point, zero_point + 128)
    magnitudes = weight_magnitudes(operator.codes, operator.weight_zero_point)
    bias = operator.requantisation.bias.astype(np.int64)
    worst = int((magnitudes * largest_input + np.abs(bias)).max())
    if worst > _INT32_MAX:
        raise PackingError(
            f"operator {index}: a sum may reach {worst}, beyond 32 bits; use fewer input channels or fewer weight bits"
        )


def _convolution_data(operator: Convolution, weights: EncodedWeights) -> bytes:
    requantisation = operator.requantisation
    return (
        requantisation.bias.astype("<i4").tobytes()
        + requantisation.multiplier.astype("<i4").tobytes()
        + requantisation.shift.astype("u1").tobytes()
        + weights.stream
    )


def _convolution_record(
    index: int, operator: Convolution, weights: EncodedWeights, place: tuple[int, int, int, int]
) -> bytes:
    return _packed(
        layout.RECORDS[layout.CONVOLUTION],
        f"operator {index}",
        layout.CONVOLUTION,
        operator.low,
        operator.high,
        int(operator.flatten_input),
        operator.input,
        operator.output,
        *_window(operator.window),
        *operator.window.dilation,
        operator.groups,
        layout.encoding_byte(weights.encoding, weights.bits, weights.code_bits),
        operator.weight_zero_point,
        *place,
    )


def _table(index: int, operator: Operator) -> bytes:
    """What the operator keeps in the data area."""
    if isinstance(operator, Lookup):
        table = operator.table.astype("i1")
        if len(table) != 256:
            raise PackingError(f"operator {index}: a table of {len(table)} values, there must be 256")
        return table.tobytes()
    if isinstance(operator, Softmax):
        exponentials = operator.exponentials.astype("<u2")
        if len(exponentials) != 256 or exponentials[0] != layout.FIRST_EXPONENTIAL:
            raise PackingError(f"operator {index}: exponentials must be 256, the first {layout.FIRST_EXPONENTIAL}")
        return exponentials.tobytes()
    return b""


def _record(index: int, operator: Operator, data_at: int) -> bytes:
    """Of an operator that is no convolution."""
    fields: tuple[int, ...] = ()
    if isinstance(operator, Add | Concatenate):
        fields = (operator.second, operator.shift, operator.multiplier, operator.second_multiplier)
    elif isinstance(operator, Multiply):
        fields = (operator.second, operator.shift, operator.multiplier)
    elif isinstance(operator, AveragePool):
        fields = (*_pool_window(index, operator.window), operator.shift, operator.multiplier)
    elif isinstance(operator, MaxPool):
        fields = _pool_window(index, operator.window)
    elif isinstance(operator, Pad):
        fields = (operator.top, operator.left)
    elif isinstance(operator, Lookup | Softmax):
        fields = (data_at,)
    no_clamp = MaxPool | Pad | Lookup | Softmax | ArgMax
    low, high = (-128, 127) if isinstance(operator, no_clamp) else (operator.low, operator.high)
    kind = _kind(operator)
    common = (kind, low, high, 0, operator.input, operator.output)
    return _packed(layout.RECORDS[kind], f"operator {index}", *common, *fields)


def _pool_window(index: int, window: Window) -> tuple[int, ...]:
    if window.dilation != (1, 1):
        raise PackingError(f"operator {index}: a pool with dilation {window.dilation}; pools have none")
    return _window(window)


def _window(window: Window) -> tuple[int, ...]:
    return (*window.kernel, *window.stride, *window.padding)


def _packed(record: struct.Struct, what: str, *fields: int) -> bytes:
    try:
        return record.pack(*fields)
    except struct.error as error:
        raise PackingError(f"{what}: a size exceeds the artifact format's fields ({error})") from error
