"""From an artifact's bytes to a checked Artifact, refusing everything that the runtime's loader refuses.

The order of the checks is that of agents/runtime/src/load.c, so that both give the same status.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from dccdka.lowering.graph import Operator
from dccdka.packing import layout
from dccdka.packing.artifact import Artifact, ArtifactStatus, PlacedTensor, Region
from dccdka.packing.checks import check_dataflow, require
from dccdka.packing.records import Record


class _Header(NamedTuple):
    magic: bytes
    version: int
    artifact_bytes: int
    checksum: int
    arena_bytes: int
    tensor_count: int
    operator_count: int
    input: int
    output: int
    input_scale_bits: int
    output_scale_bits: int


def read_artifact(data: bytes) -> Artifact:
    """Parse and check; raises ArtifactError that says what is wrong, whatever the bytes are."""
    header = _read_header(data)
    tensors = tuple(_read_tensor(data, i, header.arena_bytes) for i in range(header.tensor_count))
    operators: list[Operator] = []
    scratch: list[Region | None] = []
    at = layout.HEADER.size + layout.TENSOR.size * header.tensor_count
    for index in range(header.operator_count):
        record = Record(data, at, index, tensors)
        operator, own_scratch = record.read(header.arena_bytes)
        operators.append(operator)
        scratch.append(own_scratch)
        at += record.bytes
    artifact = Artifact(
        data=data,
        arena_bytes=header.arena_bytes,
        tensors=tensors,
        operators=tuple(operators),
        scratch=tuple(scratch),
        input=header.input,
        output=header.output,
        input_scale=_float_of(header.input_scale_bits),
        output_scale=_float_of(header.output_scale_bits),
    )
    check_dataflow(artifact)
    return artifact


def _read_header(data: bytes) -> _Header:
    S = ArtifactStatus
    size = layout.HEADER.size
    require(len(data) >= size, S.TOO_SHORT, f"artifact: {len(data)} bytes, the header alone has {size}")
    header = _Header(*layout.HEADER.unpack_from(data))
    require(header.magic == layout.MAGIC, S.MAGIC, "artifact: does not begin with DCCA: not an artifact")
    require(
        header.version == layout.VERSION,
        S.VERSION,
        f"artifact: format version {header.version}, this program reads {layout.VERSION}; pack the model again",
    )
    require(
        size <= header.artifact_bytes <= len(data),
        S.TOO_SHORT,
        f"artifact: {len(data)} bytes, its header announces {header.artifact_bytes}: cut off",
    )
    require(header.artifact_bytes <= layout.MAX_BYTES, S.DATA_RANGE, "artifact: larger than the format allows")
    require(
        zlib.crc32(memoryview(data)[layout.CHECKSUM_FROM : header.artifact_bytes]) == header.checksum,
        S.CHECKSUM,
        "artifact: its CRC-32 differs: damaged",
    )
    scales_valid = all(0 < bits < 0x7F800000 for bits in (header.input_scale_bits, header.output_scale_bits))
    require(scales_valid, S.REQUANTISATION, "artifact: input or output scale is not positive and finite")
    require(header.arena_bytes <= layout.MAX_BYTES, S.ARENA_RANGE, "artifact: arena larger than the format allows")
    require(
        1 <= header.tensor_count <= layout.MAX_TENSORS
        and 1 <= header.operator_count <= layout.MAX_OPERATORS
        and size + layout.TENSOR.size * header.tensor_count <= header.artifact_bytes,
        S.DATA_RANGE,
        f"artifact: {header.tensor_count} tensors and {header.operator_count} operators are out of range",
    )
    require(max(header.input, header.output) < header.tensor_count, S.SHAPE, "artifact: no such input or output tensor")
    # Both sides ignore what follows the announced end, but a file must not have it: its hash would name two artifacts.
    require(
        header.artifact_bytes == len(data),
        S.DATA_RANGE,
        f"artifact: {len(data) - header.artifact_bytes} bytes after its end",
    )
    return header


def _float_of(bits: int) -> float:
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(value)


def _read_tensor(data: bytes, index: int, arena_bytes: int) -> PlacedTensor:
    tensor = PlacedTensor(*layout.TENSOR.unpack_from(data, layout.HEADER.size + layout.TENSOR.size * index))
    require(tensor.region.bytes > 0, ArtifactStatus.SHAPE, f"tensor {index}: has no elements")
    require(
        tensor.offset % layout.ALIGNMENT == 0 and tensor.offset + tensor.region.bytes <= arena_bytes,
        ArtifactStatus.ARENA_RANGE,
        f"tensor {index}: not inside the arena of {arena_bytes} bytes, or not aligned",
    )
    return tensor
