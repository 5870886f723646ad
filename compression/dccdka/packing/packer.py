"""From an integer graph to the artifact's bytes (FORMAT.md)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np

from dccdka.lowering.graph import Convolution, IntegerGraph
from dccdka.packing import layout
from dccdka.packing.arena import plan_arena
from dccdka.packing.choosing import Choose, choose_kernels
from dccdka.packing.costs import KernelCosts, packaged_costs
from dccdka.packing.errors import PackingError
from dccdka.packing.fields import FieldWriter
from dccdka.packing.fusion import fuse_residuals
from dccdka.packing.kernels import may_overwrite
from dccdka.packing.overflow import check_sums
from dccdka.packing.workload import workload_of
from dccdka.packing.writing import convolution_record, operator_record, tensor_record


def pack(graph: IntegerGraph, costs: KernelCosts | None = None, choose: Choose | None = None) -> bytes:
    """The artifact of a graph.

    costs: of kernels, by which each convolution's is chosen; those of a Cortex-M4 if none are given. choose: decides
    instead, of a convolution's index, itself and the feasible choices.
    Raises PackingError, naming the operator, where the format's limits are exceeded or a sum may overflow 32 bits for
    some input.
    """
    graph = _without_idle_flattening(fuse_residuals(graph))
    for what, count, limit in (
        ("tensors", len(graph.tensors), layout.MAX_TENSORS),
        ("operators", len(graph.operators), layout.MAX_OPERATORS),
    ):
        _check_limit(what, count, limit)
    for i, operator in enumerate(graph.operators):
        if isinstance(operator, Convolution):
            _check_convolution(graph, f"operator {i}", operator)
        check_sums(f"operator {i}", operator)
    workloads = {
        i: workload_of(graph, operator)
        for i, operator in enumerate(graph.operators)
        if isinstance(operator, Convolution)
    }
    if choose is None:
        plan, choices = choose_kernels(graph, workloads, costs or packaged_costs())
    else:
        choices = {i: choose(i, _convolution(graph, i), list(own.feasible())) for i, own in workloads.items()}
        for i, choice in choices.items():
            workloads[i].check(f"operator {i}", choice)
        plan = plan_arena(graph, [i for i, own in workloads.items() if may_overwrite(choices[i], own.shape)])
    scratch = {i: own.scratch(choices[i]) for i, own in workloads.items()}
    arena_bytes = plan.arena_bytes(scratch)
    _check_limit("arena bytes", arena_bytes, layout.MAX_BYTES)
    data = bytearray(_counts(graph, arena_bytes))
    for i, (tensor, offset) in enumerate(zip(graph.tensors, plan.offsets, strict=True)):
        data += tensor_record(i, tensor, offset)
    for i, operator in enumerate(graph.operators):
        if not isinstance(operator, Convolution):
            data += operator_record(f"operator {i}", operator)
            continue
        data += convolution_record(
            f"operator {i}",
            operator,
            graph.tensors[operator.input],
            graph.tensors[operator.output],
            workloads[i].forms[choices[i].encoding],
            choices[i],
            (plan.scratch_at(i, scratch[i]), layout.HEADER.size + len(data)),
        )
    return _with_fixed_header(graph, bytes(data))


def _without_idle_flattening(graph: IntegerGraph) -> IntegerGraph:
    """An image of one pixel is flat already, and more kernels take it so."""
    operators = tuple(
        replace(operator, flatten_input=False)
        if isinstance(operator, Convolution) and _is_pixel(graph, operator.input)
        else operator
        for operator in graph.operators
    )
    return replace(graph, operators=operators)


def _is_pixel(graph: IntegerGraph, tensor: int) -> bool:
    return graph.tensors[tensor].height == graph.tensors[tensor].width == 1


def _convolution(graph: IntegerGraph, index: int) -> Convolution:
    operator = graph.operators[index]
    assert isinstance(operator, Convolution)
    return operator


def _check_convolution(graph: IntegerGraph, name: str, operator: Convolution) -> None:
    """What the format asks of a convolution's shape beyond the range of its fields."""
    filter_weights = operator.codes[0].size
    if filter_weights > layout.MAX_FILTER_WEIGHTS:
        raise PackingError(
            f"{name}: a filter of {filter_weights} weights, the runtime allows {layout.MAX_FILTER_WEIGHTS}"
        )
    if operator.codes.size > layout.MAX_WEIGHTS:
        raise PackingError(f"{name}: {operator.codes.size} weights, the runtime allows {layout.MAX_WEIGHTS}")
    behind = max(operator.window.padding_behind(graph.tensors[operator.input], graph.tensors[operator.output]))
    if not operator.flatten_input and behind > layout.MAX_PADDING_BEHIND:
        raise PackingError(
            f"{name}: its input is padded by {behind} rows or columns below or right, the runtime allows "
            f"{layout.MAX_PADDING_BEHIND}; pad less"
        )


def _check_limit(what: str, value: int, limit: int) -> None:
    if value > limit:
        raise PackingError(f"the model needs {value} {what}, the artifact format allows {limit}")


def _counts(graph: IntegerGraph, arena_bytes: int) -> bytes:
    """The header's varints."""
    fields = FieldWriter("artifact")
    fields.u(arena_bytes // layout.ALIGNMENT, len(graph.tensors), len(graph.operators), graph.input, graph.output)
    return bytes(fields.data)


def _with_fixed_header(graph: IntegerGraph, body: bytes) -> bytes:
    artifact_bytes = layout.HEADER.size + len(body)
    _check_limit("artifact bytes", artifact_bytes, layout.MAX_BYTES)
    scales = [
        _float_bits(what, graph.tensors[tensor].scale)
        for what, tensor in (("input", graph.input), ("output", graph.output))
    ]
    covered = struct.pack("<III", artifact_bytes, *scales) + body
    return struct.pack("<3sBI", layout.MAGIC, layout.VERSION, zlib.crc32(covered)) + covered


def _float_bits(what: str, scale: float) -> int:
    limits = np.finfo(np.float32)
    if not float(limits.smallest_subnormal) <= scale <= float(limits.max):
        raise PackingError(
            f"the {what}'s scale of {scale:g} is not a positive 32-bit number; scale the network's values"
        )
    return int(np.float32(scale).view(np.uint32))
