"""From an artifact's bytes to a checked Artifact, refusing everything that the runtime's loader refuses.

The order of the checks is that of agents/runtime/src/load.c, so that both give the same status.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Add, AveragePool, Convolution, MaxPool, Operator, ReLU, Requantisation, Window
from dccdka.packing import layout
from dccdka.packing.artifact import Artifact, ArtifactStatus, PlacedTensor, Region
from dccdka.packing.checks import (
    check_dataflow,
    check_elementwise,
    check_geometry,
    check_pool,
    check_scratch,
    check_shift,
    require,
)
from dccdka.packing.encoding import decode, stream_bytes


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
        record = _Record(data, at, index, tensors)
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
        zlib.crc32(data[layout.CHECKSUM_FROM : header.artifact_bytes]) == header.checksum,
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


class _Record:
    """One operator's record."""

    def __init__(self, data: bytes, at: int, index: int, tensors: tuple[PlacedTensor, ...]) -> None:
        S = ArtifactStatus
        self.data = data
        self.name = f"operator {index}"
        require(at < len(data), S.DATA_RANGE, f"{self.name}: the artifact ends before it")
        self.kind = data[at]
        require(self.kind in layout.RECORDS, S.OPERATOR, f"{self.name}: kind {self.kind} is unknown")
        record = layout.RECORDS[self.kind]
        self.bytes = record.size
        require(self.bytes <= len(data) - at, S.DATA_RANGE, f"{self.name}: the artifact ends inside it")
        _, self.low, self.high, self.flatten, self.input, self.output, *self.fields = record.unpack_from(data, at)
        self.second = self.fields[0] if self.kind == layout.ADD else self.input
        known = max(self.input, self.output, self.second) < len(tensors)
        require(known, S.SHAPE, f"{self.name}: no such tensor")
        require(self.low <= self.high, S.REQUANTISATION, f"{self.name}: clamps to [{self.low}, {self.high}]")
        self.x, self.y = tensors[self.input], tensors[self.output]
        self.x2 = tensors[self.second]

    def read(self, arena_bytes: int) -> tuple[Operator, Region | None]:
        if self.kind == layout.CONVOLUTION:
            return self._convolution(arena_bytes)
        if self.kind == layout.ADD:
            return self._add(), None
        if self.kind == layout.RELU:
            check_elementwise(self.name, (self.x,), self.y)
            return ReLU(self.input, self.output, self.low, self.high), None
        return self._pool(), None

    def _window(self) -> Window:
        ky, kx, sy, sx, py, px = self.fields[:6]
        return Window((ky, kx), (sy, sx), (py, px))

    def _add(self) -> Add:
        second, shift, multiplier, second_multiplier = self.fields
        check_elementwise(self.name, (self.x, self.x2), self.y, shift)
        return Add(self.input, second, self.output, multiplier, second_multiplier, shift, self.low, self.high)

    def _pool(self) -> AveragePool | MaxPool:
        window = self._window()
        if self.kind == layout.MAX_POOL:
            check_pool(self.name, window, self.x, self.y)
            return MaxPool(self.input, self.output, window)
        shift, multiplier = self.fields[6:]
        check_pool(self.name, window, self.x, self.y, shift)
        return AveragePool(self.input, self.output, window, multiplier, shift, self.low, self.high)

    def _convolution(self, arena_bytes: int) -> tuple[Convolution, Region]:
        window = self._window()
        encoding, bits, groups, zero_point, data_at, data_bytes, scratch_at, scratch_bytes = self.fields[6:]
        flattened = self.flatten == 1
        image = PlacedTensor(self.x.offset, 1, 1, self.x.region.bytes, self.x.zero_point) if flattened else self.x
        check_geometry(self.name, window, image, self.y, groups)
        require(
            encoding in (layout.DENSE, layout.BITMAP) and (1 if encoding == layout.DENSE else 0) <= bits <= 8,
            ArtifactStatus.ENCODING,
            f"{self.name}: encoding {encoding} with {bits} bits is unknown",
        )
        group_channels = image.channels // groups
        shape = (self.y.channels, *window.kernel, group_channels)
        filter_weights = window.taps * group_channels
        require(
            filter_weights <= layout.MAX_FILTER_WEIGHTS
            and (window.kernel[1] - 1) * image.channels + group_channels <= 65536,
            ArtifactStatus.SHAPE,
            f"{self.name}: a filter of {filter_weights} weights is too large",
        )
        require(data_at + data_bytes <= len(self.data), ArtifactStatus.DATA_RANGE, f"{self.name}: its data lie outside")
        data = np.frombuffer(self.data, np.uint8, data_bytes, data_at)
        requantisation, stream = self._split(data, self.y.channels, filter_weights, encoding, bits)
        codes = decode(stream, encoding, bits, self.y.channels * filter_weights, zero_point).reshape(shape)
        nonzeros = int((codes != zero_point).sum(axis=(1, 2, 3)).max())
        scratch = Region(scratch_at, scratch_bytes)
        needed = layout.scratch_bytes(window.taps, nonzeros)
        check_scratch(self.name, scratch, needed, arena_bytes, self.x.region, self.y.region)
        operator = Convolution(
            input=self.input,
            output=self.output,
            window=window,
            groups=groups,
            flatten_input=flattened,
            codes=codes,
            weight_zero_point=zero_point,
            requantisation=requantisation,
            low=self.low,
            high=self.high,
        )
        return operator, scratch

    def _split(
        self, data: NDArray[np.uint8], filters: int, filter_weights: int, encoding: int, bits: int
    ) -> tuple[Requantisation, NDArray[np.uint8]]:
        """Requantisation, and the rest: codebook and streams."""
        stream = data[layout.REQUANTISATION_BYTES * filters :]
        size = stream_bytes(stream, encoding, bits, filters * filter_weights)
        require(
            size is not None and layout.REQUANTISATION_BYTES * filters + size == len(data),
            ArtifactStatus.ENCODING,
            f"{self.name}: {len(data)} bytes of weights do not match their description",
        )
        shift = data[8 * filters : 9 * filters]
        check_shift(self.name, int(shift.min()), int(shift.max()))
        words = data[: 8 * filters].view("<i4")
        return Requantisation(words[:filters], words[filters:], shift), stream
