"""From an integer graph to the artifact's bytes (FORMAT.md)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from dccdka.lowering.graph import Add, AveragePool, Convolution, IntegerGraph, MaxPool, Operator, ReLU, Window
from dccdka.packing import layout
from dccdka.packing.arena import plan_arena
from dccdka.packing.encoding import EncodedWeights, encode

_INT32_MAX = 2**31 - 1
_KINDS = {
    Convolution: layout.CONVOLUTION,
    Add: layout.ADD,
    AveragePool: layout.AVERAGE_POOL,
    MaxPool: layout.MAX_POOL,
    ReLU: layout.RELU,
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
    tensors = b"".join(
        _packed(layout.TENSOR, f"tensor {i}", offset, t.height, t.width, t.channels, t.zero_point)
        for i, (offset, t) in enumerate(zip(plan.tensor_offsets, graph.tensors, strict=True))
    )
    records, data = b"", b""
    for i, operator in enumerate(graph.operators):
        if isinstance(operator, Convolution):
            weights = encode(operator.codes, operator.weight_zero_point)
            own_data = _convolution_data(operator, weights)
            place = (tables_bytes + len(data), len(own_data), plan.scratch_offsets[i], scratch[i])
            records += _convolution_record(i, operator, weights, place)
            data += own_data
        else:
            records += _record(i, operator)
    return _with_header(graph, plan.arena_bytes, tensors + records + data)


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
        _float_bits(graph.tensors[graph.input].scale),
        _float_bits(graph.tensors[graph.output].scale),
    )
    covered = covered[layout.CHECKSUM_FROM :] + body
    lead = struct.pack("<4sIII", layout.MAGIC, layout.VERSION, artifact_bytes, zlib.crc32(covered))
    return lead + covered


def _float_bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def _kind(operator: Operator) -> int:
    return _KINDS[type(operator)]


def _scratch_bytes(graph: IntegerGraph, index: int) -> int:
    operator = graph.operators[index]
    if not isinstance(operator, Convolution):
        return 0
    _check_filters(graph, index, operator)
    nonzeros = (operator.codes != operator.weight_zero_point).sum(axis=(1, 2, 3))
    return layout.scratch_bytes(operator.window.taps, int(nonzeros.max()))


def _check_filters(graph: IntegerGraph, index: int, operator: Convolution) -> None:
    """The limits on a filter's size, and the proof that no input makes an accumulator leave 32 bits.

    Every partial sum is at most |bias| + sum |w| max |x - zero point|, whatever the input and whichever taps are valid.
    """
    _, kernel_x, group_channels = operator.codes.shape[1:]
    filter_weights = operator.codes[0].size
    if filter_weights > layout.MAX_FILTER_WEIGHTS:
        raise PackingError(
            f"operator {index}: a filter of {filter_weights} weights, the runtime allows {layout.MAX_FILTER_WEIGHTS}"
        )
    if (kernel_x - 1) * group_channels * operator.groups + group_channels > 65536:
        raise PackingError(f"operator {index}: kernel width x channels exceeds 65536; narrow the layer")
    zero_point = graph.tensors[operator.input].zero_point
    largest_input = max(127 - zero_point, zero_point + 128)
    weights = operator.codes.astype(np.int64) - operator.weight_zero_point
    bias = operator.requantisation.bias.astype(np.int64)
    worst = int((np.abs(weights).sum(axis=(1, 2, 3)) * largest_input + np.abs(bias)).max())
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
        weights.encoding,
        weights.bits,
        operator.groups,
        operator.weight_zero_point,
        *place,
    )


def _record(index: int, operator: Operator) -> bytes:
    kind = _kind(operator)
    low, high = (-128, 127) if isinstance(operator, MaxPool) else (operator.low, operator.high)
    fields: tuple[int, ...] = ()
    if isinstance(operator, Add):
        fields = (operator.second, operator.shift, operator.multiplier, operator.second_multiplier)
    elif isinstance(operator, AveragePool):
        fields = (*_window(operator.window), operator.shift, operator.multiplier)
    elif isinstance(operator, MaxPool):
        fields = _window(operator.window)
    common = (kind, low, high, 0, operator.input, operator.output)
    return _packed(layout.RECORDS[kind], f"operator {index}", *common, *fields)


def _window(window: Window) -> tuple[int, ...]:
    return (*window.kernel, *window.stride, *window.padding)


def _packed(record: struct.Struct, what: str, *fields: int) -> bytes:
    try:
        return record.pack(*fields)
    except struct.error as error:
        raise PackingError(f"{what}: a size exceeds the artifact format's fields ({error})") from error
