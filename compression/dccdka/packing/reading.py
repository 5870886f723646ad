"""From an artifact's bytes to a checked Artifact, refusing everything that the runtime's loader refuses.

The order of the checks is that of agents/runtime/src/load.c, so that both give the same status.
"""

from __future__ import annotations

import struct
import zlib

from dccdka.packing import layout
from dccdka.packing.artifact import Artifact, ArtifactStatus, PlacedTensor
from dccdka.packing.checks import Dataflow, require
from dccdka.packing.fields import FieldReader
from dccdka.packing.records import Arena, read_record

_S = ArtifactStatus


def read_artifact(data: bytes) -> Artifact:
    """Parse and check; raises ArtifactError that says what is wrong, whatever the bytes are."""
    scales = _check_fixed_header(data)
    fields = FieldReader(data, layout.HEADER.size)
    arena_words, tensor_count, operator_count, first, last = (fields.u() for _ in range(5))
    arena_bytes = 4 * arena_words
    require(arena_bytes <= layout.MAX_BYTES, _S.ARENA_RANGE, "artifact: arena larger than the format allows")
    require(
        1 <= tensor_count <= layout.MAX_TENSORS and 1 <= operator_count <= layout.MAX_OPERATORS,
        _S.DATA_RANGE,
        f"artifact: {tensor_count} tensors and {operator_count} operators are out of range",
    )
    require(max(first, last) < tensor_count, _S.SHAPE, "artifact: no such input or output tensor")
    arena = Arena(arena_bytes, tuple(_read_tensor(fields, i, arena_bytes) for i in range(tensor_count)))
    dataflow = Dataflow(arena.tensors, first)
    read = []
    for i in range(operator_count):
        operator, stored = read_record(fields, f"operator {i}", arena)
        dataflow.run(f"operator {i}", operator, None if stored is None else stored.scratch)
        read.append((operator, stored))
    behind = len(data) - fields.at
    require(behind == 0, _S.DATA_RANGE, f"artifact: {behind} bytes after its last operator")
    dataflow.check_held("the output tensor holds no value at the end", last)
    return Artifact(
        data=data,
        arena_bytes=arena_bytes,
        tensors=arena.tensors,
        operators=tuple(operator for operator, _ in read),
        stored=tuple(stored for _, stored in read),
        input=first,
        output=last,
        input_scale=scales[0],
        output_scale=scales[1],
    )


def _check_fixed_header(data: bytes) -> tuple[float, float]:
    """Scales of input and output."""
    size = layout.HEADER.size
    require(len(data) >= size, _S.TOO_SHORT, f"artifact: {len(data)} bytes, the header alone has {size}")
    magic, version, checksum, artifact_bytes, *scale_bits = layout.HEADER.unpack_from(data)
    require(magic == layout.MAGIC, _S.MAGIC, "artifact: does not begin with DCC: not an artifact")
    require(
        version == layout.VERSION,
        _S.VERSION,
        f"artifact: format version {version}, this program reads {layout.VERSION}; pack the model again",
    )
    require(
        size <= artifact_bytes <= len(data),
        _S.TOO_SHORT,
        f"artifact: {len(data)} bytes, its header announces {artifact_bytes}: cut off",
    )
    require(artifact_bytes <= layout.MAX_BYTES, _S.DATA_RANGE, "artifact: larger than the format allows")
    require(
        zlib.crc32(memoryview(data)[layout.CHECKSUM_FROM : artifact_bytes]) == checksum,
        _S.CHECKSUM,
        "artifact: its CRC-32 differs: damaged",
    )
    scales_valid = all(0 < bits < 0x7F800000 for bits in scale_bits)
    require(scales_valid, _S.REQUANTISATION, "artifact: input or output scale is not positive and finite")
    # A device ignores what follows the announced end, but a file must not have it: its hash would name two artifacts.
    behind = len(data) - artifact_bytes
    require(behind == 0, _S.DATA_RANGE, f"artifact: {behind} bytes after its end")
    return _float_of(scale_bits[0]), _float_of(scale_bits[1])


def _float_of(bits: int) -> float:
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(value)


def _read_tensor(fields: FieldReader, index: int, arena_bytes: int) -> PlacedTensor:
    name = fields.what = f"tensor {index}"
    tensor = PlacedTensor(4 * fields.u(), fields.u(), fields.u(), fields.u(), fields.i8())
    sizes_valid = all(1 <= size <= layout.MAX_SIZE for size in tensor.shape)
    require(sizes_valid, _S.SHAPE, f"{name}: its size is not 1 to {layout.MAX_SIZE}")
    inside = tensor.offset + tensor.region.bytes <= arena_bytes
    require(inside, _S.ARENA_RANGE, f"{name}: not inside the arena of {arena_bytes} bytes")
    return tensor
