"""One operator's record of an artifact, read and checked in the order of agents/runtime/src/check.c."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    Requantisation,
    Softmax,
    Window,
)
from dccdka.packing import layout
from dccdka.packing.artifact import ArtifactStatus, PlacedTensor, Region
from dccdka.packing.checks import (
    check_argmax,
    check_elementwise,
    check_geometry,
    check_pad,
    check_pair,
    check_pool,
    check_scratch,
    check_shift,
    require,
)
from dccdka.packing.encoding import decode, most_nonzeros, stream_bytes

_PAIRS = (layout.ADD, layout.MULTIPLY, layout.CONCATENATE)


class Record:
    """The record of operator `index`, which begins at `at`. Every method raises ArtifactError."""

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
        self.second = self.fields[0] if self.kind in _PAIRS else self.input
        known = max(self.input, self.output, self.second) < len(tensors)
        require(known, S.SHAPE, f"{self.name}: no such tensor")
        require(self.low <= self.high, S.REQUANTISATION, f"{self.name}: clamps to [{self.low}, {self.high}]")
        self.x, self.y = tensors[self.input], tensors[self.output]
        self.x2 = tensors[self.second]

    def read(self, arena_bytes: int) -> tuple[Operator, Region | None]:
        """The operator and its scratch."""
        if self.kind == layout.CONVOLUTION:
            return self._convolution(arena_bytes)
        if self.kind in _PAIRS:
            return self._pair(), None
        if self.kind in (layout.AVERAGE_POOL, layout.MAX_POOL):
            return self._pool(), None
        if self.kind == layout.PAD:
            pad = Pad(self.input, self.output, *self.fields)
            check_pad(self.name, pad, self.x, self.y)
            return pad, None
        if self.kind == layout.ARGMAX:
            check_argmax(self.name, self.x, self.y)
            return ArgMax(self.input, self.output), None
        return self._elementwise(), None

    def _window(self, dilation: tuple[int, int] = (1, 1)) -> Window:
        ky, kx, sy, sx, py, px = self.fields[:6]
        return Window((ky, kx), (sy, sx), (py, px), dilation)

    def _pair(self) -> Add | Multiply | Concatenate:
        second, shift, *multipliers = self.fields
        operator: Add | Multiply | Concatenate
        if self.kind == layout.MULTIPLY:
            operator = Multiply(self.input, second, self.output, multipliers[0], shift, self.low, self.high)
        else:
            made = Add if self.kind == layout.ADD else Concatenate
            first_multiplier, second_multiplier = multipliers
            operator = made(
                self.input, second, self.output, first_multiplier, second_multiplier, shift, self.low, self.high
            )
        check_pair(self.name, operator, self.x, self.x2, self.y)
        return operator

    def _pool(self) -> AveragePool | MaxPool:
        window = self._window()
        if self.kind == layout.MAX_POOL:
            check_pool(self.name, window, self.x, self.y)
            return MaxPool(self.input, self.output, window)
        shift, multiplier = self.fields[6:]
        check_pool(self.name, window, self.x, self.y, shift)
        return AveragePool(self.input, self.output, window, multiplier, shift, self.low, self.high)

    def _elementwise(self) -> ReLU | Lookup | Softmax:
        if self.kind == layout.RELU:
            check_elementwise(self.name, self.x, self.y)
            return ReLU(self.input, self.output, self.low, self.high)
        (at,) = self.fields
        size = layout.LOOKUP_BYTES if self.kind == layout.LOOKUP else layout.EXPONENTIALS_BYTES
        check_elementwise(self.name, self.x, self.y, Region(at, size), len(self.data))
        if self.kind == layout.LOOKUP:
            return Lookup(self.input, self.output, np.frombuffer(self.data, np.int8, 256, at))
        exponentials = np.frombuffer(self.data, "<u2", 256, at).astype(np.uint16)
        require(
            exponentials[0] == layout.FIRST_EXPONENTIAL,
            ArtifactStatus.REQUANTISATION,
            f"{self.name}: its exponentials begin with {exponentials[0]}, not with {layout.FIRST_EXPONENTIAL}",
        )
        return Softmax(self.input, self.output, exponentials)

    def _convolution(self, arena_bytes: int) -> tuple[Convolution, Region]:
        dilation_y, dilation_x, groups, encoding_byte, zero_point = self.fields[6:11]
        data_at, data_bytes, scratch_at, scratch_bytes = self.fields[11:]
        window = self._window((dilation_y, dilation_x))
        flattened = self.flatten == 1
        image = PlacedTensor(self.x.offset, 1, 1, self.x.region.bytes, self.x.zero_point) if flattened else self.x
        check_geometry(self.name, window, image, self.y, groups)
        encoding, bits, code_bits = layout.split_encoding(encoding_byte)
        require(
            (1 if encoding == layout.DENSE else 0) <= bits <= code_bits,
            ArtifactStatus.ENCODING,
            f"{self.name}: {bits} bits of an index to codes of {code_bits} bits are impossible",
        )
        group_channels = image.channels // groups
        filters, filter_weights = self.y.channels, window.taps * group_channels
        require(
            filter_weights <= layout.MAX_FILTER_WEIGHTS
            and (window.extent[1] - 1) * image.channels + group_channels <= layout.MAX_ROW_OFFSETS,
            ArtifactStatus.SHAPE,
            f"{self.name}: a filter of {filter_weights} weights is too large",
        )
        require(data_at + data_bytes <= len(self.data), ArtifactStatus.DATA_RANGE, f"{self.name}: its data lie outside")
        data = np.frombuffer(self.data, np.uint8, data_bytes, data_at)
        stream = data[layout.REQUANTISATION_BYTES * filters :]
        size = stream_bytes(stream, encoding, bits, code_bits, filters * filter_weights)
        require(
            size is not None and layout.REQUANTISATION_BYTES * filters + size == len(data),
            ArtifactStatus.ENCODING,
            f"{self.name}: {len(data)} bytes of weights do not match their description",
        )
        requantisation = self._requantisation(data, filters)
        codes = decode(stream, encoding, bits, code_bits, filters * filter_weights, zero_point)
        codes = codes.reshape(filters, *window.kernel, group_channels)
        scratch = Region(scratch_at, scratch_bytes)
        needed = layout.scratch_bytes(window.taps, most_nonzeros(codes, zero_point))
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

    def _requantisation(self, data: NDArray[np.uint8], filters: int) -> Requantisation:
        shift = data[8 * filters : 9 * filters]
        check_shift(self.name, int(shift.min()), int(shift.max()))
        words = data[: 8 * filters].view("<i4")
        return Requantisation(words[:filters], words[filters:], shift)
