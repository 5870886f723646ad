"""Whatever the bytes, the loader gives an error or the run is clean, and both sides agree which.

The driver dies, and the test with it, on the first byte touched outside artifact or arena and on undefined behaviour.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dccdka.lowering.graph import (
    POINT,
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
    Requantisation,
    Residual,
    Scaling,
    Softmax,
    Tensor,
    Window,
)
from dccdka.packing import ArtifactError, ArtifactStatus, pack, read_artifact
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.choosing import Choose
from dccdka.packing.conformance import random_choices, random_graph, random_inputs
from dccdka.packing.fields import FieldReader, FieldWriter

FIXED_HEADER = 20
S = ArtifactStatus


def repaired(data: bytes, length: int | None = None) -> bytes:
    """With the checksum, and if asked the announced length, made right again."""
    if len(data) < 12:
        return data
    announced = struct.pack("<I", length) if length is not None else data[8:12]
    end = struct.unpack("<I", announced)[0]
    covered = announced + data[12:end]
    return data[:4] + struct.pack("<I", zlib.crc32(covered)) + announced + data[12:]


@dataclass(frozen=True)
class Parts:
    """An artifact taken apart, so that what changes its length can be put together again.

    counts: arena words, tensors, operators, input, output. Tensors are offset / 4, height, width, channels, zero point.
    """

    fixed: bytes
    counts: tuple[int, ...]
    tensors: tuple[tuple[int, ...], ...]
    records: bytes

    @classmethod
    def of(cls, data: bytes) -> Parts:
        fields = FieldReader(data, FIXED_HEADER)
        counts = tuple(fields.u() for _ in range(5))
        tensors = tuple((*(fields.u() for _ in range(4)), fields.i8()) for _ in range(counts[1]))
        return cls(data[:FIXED_HEADER], counts, tensors, data[fields.at :])

    @property
    def data(self) -> bytes:
        fields = FieldWriter("artifact")
        fields.u(*self.counts)
        for *numbers, zero_point in self.tensors:
            fields.u(*numbers)
            fields.i8(zero_point)
        body = self.fixed + bytes(fields.data) + self.records
        return repaired(body, len(body))

    def with_arena(self, words: int) -> Parts:
        return replace(self, counts=(words, *self.counts[1:]))

    def with_tensor(self, index: int, field: str, value: int) -> Parts:
        tensor = list(self.tensors[index])
        tensor[("offset", "height", "width", "channels").index(field)] = value
        return replace(self, tensors=(*self.tensors[:index], tuple(tensor), *self.tensors[index + 1 :]))

    def with_record_bytes(self, at: int, new: bytes) -> Parts:
        """at: in all records, from the end if it is negative."""
        at %= len(self.records)
        assert self.records[at : at + len(new)] != new
        return replace(self, records=self.records[:at] + new + self.records[at + len(new) :])


def sample(seed: int, operators: int = 4) -> tuple[bytes, bytes]:
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators)
    return pack(graph, choose=random_choices(generator)), random_inputs(generator, graph, count=1).tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(artifact[:length], inputs) for length in range(len(artifact))]
    assert sanitized_driver.agreed(cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_with_length_and_checksum_repaired_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(repaired(artifact[:length], length), inputs) for length in range(len(artifact))]
    assert sanitized_driver.agreed(cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_is_refused_by_the_checksum(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    flipped = []
    for at in range(len(artifact)):
        data = bytearray(artifact)
        data[at] ^= 1 << at % 8
        flipped.append((bytes(data), inputs))
    assert sanitized_driver.agreed(flipped) == 0


@pytest.mark.parametrize("seed", range(8))
def test_damage_with_the_checksum_repaired_gives_the_same_answer_on_both_sides(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    cases = []
    for case in range(600):
        artifact, inputs = sample(seed * 1000 + case // 20, operators=1 + case % 5)
        data = bytearray(artifact)
        # Most of the structure is in the first bytes.
        for at in generator.integers(12, [len(data), min(len(data), 300)][case % 2], generator.integers(1, 4)):
            data[at] = generator.choice([0, 1, 127, 128, 255, data[at] ^ 1, data[at] + 1 & 255, data[at] - 1 & 255])
        cases.append((repaired(bytes(data)), inputs))
    assert sanitized_driver.agreed(cases) > 0


IMAGE = Tensor(4, 6, 2, 1.0, 0)
PIXEL = Tensor(1, 1, 2, 1.0, 0)
WHOLE = Window((4, 6), (1, 1), (0, 0))
TABLE = np.arange(256).astype(np.uint8).view(np.int8)
EXPONENTIALS = np.full(256, 1 << 15, np.uint16)
SCALING = Scaling(0, 4)


def graph_of(operator: Operator, *tensors: Tensor) -> IntegerGraph:
    return IntegerGraph(tensors, (operator,), input=0, output=operator.output)


def with_pixel(operator: Operator) -> IntegerGraph:
    """Tensor 1 is a pixel made of tensor 0; the operator may read both and gives tensor 2."""
    pixel = AveragePool(0, 1, WHOLE, SCALING, 1 << 10, 0)
    return IntegerGraph((IMAGE, PIXEL, IMAGE), (pixel, operator), 0, 2)


def convolution(window: Window, output: Tensor, residual: Residual | None = None) -> IntegerGraph:
    """Of 7-bit codes that are all different, narrow channels."""
    codes = np.arange(output.channels * window.taps * 2, dtype=np.uint8).reshape(output.channels, *window.kernel, 2)
    channels = output.channels
    requantisation = Requantisation(SCALING, np.full(channels, 1 << 7, np.int16), np.full(channels, 8, np.int32))
    return graph_of(Convolution(0, 1, window, 1, False, codes, 0, requantisation, residual=residual), IMAGE, output)


def using(kernel: Kernel, encoding: Encoding) -> Choose:
    """Filters and rows at once are as few as there may be."""

    def choose(_index: int, _convolution: Convolution, choices: Sequence[KernelChoice]) -> KernelChoice:
        return next(choice for choice in choices if (choice.kernel, choice.encoding) == (kernel, encoding))

    return choose


def packed(graph: IntegerGraph, kernel: Kernel = Kernel.GENERAL, encoding: Encoding = Encoding.INDEXED) -> Parts:
    """The last operator's record is all of `records`, except behind the pixel's average pool."""
    return Parts.of(pack(graph, choose=using(kernel, encoding)))


AVERAGE_POOL = graph_of(AveragePool(0, 1, WHOLE, SCALING, 1 << 10, 0), IMAGE, PIXEL)
POOL_BYTES = len(packed(AVERAGE_POOL).records)
MULTIPLY = with_pixel(Multiply(0, 1, 2, SCALING, 1 << 5, 0))
ADD = graph_of(Add(0, 0, 1, 5, 6, 7, 3, low=-5, high=5), IMAGE, IMAGE)
CONCATENATE = graph_of(Concatenate(0, 0, 1, 5, 6, 7, 8, 3), IMAGE, Tensor(4, 6, 4, 1.0, 0))
PAD = graph_of(Pad(0, 1, 1, 2), IMAGE, Tensor(6, 9, 2, 1.0, 0))
LOOKUP = graph_of(Lookup(0, 1, TABLE), IMAGE, IMAGE)
SOFTMAX = graph_of(Softmax(0, 1, EXPONENTIALS), IMAGE, IMAGE)
ARGMAX = graph_of(ArgMax(0, 1), IMAGE, Tensor(4, 6, 1, 1.0, 0))
MAX_POOL = graph_of(MaxPool(0, 1, Window((3, 3), (2, 2), (1, 1))), IMAGE, Tensor(2, 3, 2, 1.0, 0))
DILATED = convolution(Window((2, 3), (1, 1), (1, 2), (2, 2)), IMAGE)
RESIDUAL = convolution(POINT, IMAGE, Residual(0, 64, 65, 0, 7))

# Of DILATED: kind, input, output, window (bits, kernel, padding, dilation, which is square), groups, kernel and
# encoding, filters and rows at once, scratch, scaling, form of the channels, bias shift, zero point, index, data.
KERNEL, DILATION, GROUPS, KERNEL_BITS, FILTERS, ROWS, SCRATCH = 4, 8, 9, 10, 11, 12, 13
FORM, BIAS_SHIFT, INDEX, DATA_BYTES = 15, 16, 18, 19
# Of a point, without these three of its window.
POINT_SCRATCH = 8
# Of RESIDUAL's: no padding and no dilation, and behind the scratch a tensor, multipliers, offset, shift, clamp.
RESIDUAL_TENSOR, RESIDUAL_SHIFT, RESIDUAL_LOW = 9, 15, 16


def assert_refused(driver, parts: Parts, status: ArtifactStatus, inputs: bytes = bytes(IMAGE.elements)) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_artifact(parts.data)
    assert caught.value.status == status, caught.value
    (answer,) = driver.run([(parts.data, inputs)])
    assert answer.status == status


@pytest.mark.parametrize(
    ("graph", "at", "value", "status"),
    [
        (LOOKUP, 0, b"\x0c", S.OPERATOR),  # kind 12
        (LOOKUP, 0, b"\x00", S.OPERATOR),
        (LOOKUP, 0, b"\x89", S.OPERATOR),  # bit 7
        (LOOKUP, 0, b"\x29", S.OPERATOR),  # flattens
        (LOOKUP, 0, b"\x19", S.OPERATOR),  # clamps
        (ADD, 0, b"\x52", S.OPERATOR),  # has a residual
        (LOOKUP, 1, b"\x02", S.SHAPE),  # no such tensor
        (LOOKUP, 2, b"\x02", S.SHAPE),
        (ADD, 5, b"\x02", S.SHAPE),
        (ADD, 3, b"\x06", S.REQUANTISATION),  # clamps to [6, 5]
        (ADD, -1, b"\x20", S.REQUANTISATION),  # shift 32
        (CONCATENATE, -1, b"\x20", S.REQUANTISATION),
        (MULTIPLY, POOL_BYTES + 3, b"\x07", S.SHAPE),
        (AVERAGE_POOL, 3, b"\x19", S.SHAPE),  # pools have no dilation
        (AVERAGE_POOL, 3, b"\x91", S.SHAPE),
        (AVERAGE_POOL, 4, b"\x00", S.SHAPE),
        (MAX_POOL, 4, b"\x00", S.SHAPE),
        (MAX_POOL, 5, b"\x00", S.SHAPE),
        (MAX_POOL, 6, b"\x03", S.SHAPE),  # the first window lies in the padding
        (PAD, 3, b"\x03", S.SHAPE),
        (PAD, 4, b"\x04", S.SHAPE),
        (SOFTMAX, 3, b"\x00\x00", S.REQUANTISATION),  # a sum of zero
        (SOFTMAX, 3, b"\xff\xff", S.REQUANTISATION),
        (DILATED, KERNEL, b"\x00", S.SHAPE),
        (DILATED, DILATION, b"\x00", S.SHAPE),
        (DILATED, GROUPS, b"\x00", S.SHAPE),
        (DILATED, GROUPS, b"\x03", S.SHAPE),
        (DILATED, KERNEL_BITS, b"\x17", S.OPERATOR),  # kernel 7
        (DILATED, KERNEL_BITS, b"\x18", S.ENCODING),
        (DILATED, KERNEL_BITS, b"\x50", S.ENCODING),
        (DILATED, KERNEL_BITS, b"\x90", S.ENCODING),
        (DILATED, KERNEL_BITS, b"\x11", S.SHAPE),  # TILE, of a dilated convolution
        (DILATED, KERNEL_BITS, b"\x12", S.SHAPE),
        (DILATED, KERNEL_BITS, b"\x13", S.SHAPE),
        (DILATED, KERNEL_BITS, b"\x14", S.SHAPE),
        (DILATED, FILTERS, b"\x00", S.SHAPE),
        (DILATED, FILTERS, b"\x02", S.SHAPE),
        (DILATED, ROWS, b"\x00", S.SHAPE),
        (DILATED, ROWS, b"\x02", S.SHAPE),
        (DILATED, SCRATCH, b"\x00", S.ARENA_RANGE),  # on the input
        (DILATED, SCRATCH, b"\x7f", S.ARENA_RANGE),  # outside
        (DILATED, BIAS_SHIFT, b"\x20", S.REQUANTISATION),
        (DILATED, FORM, b"\x7f", S.ENCODING),  # longer channels, so that the weights are cut short
        (DILATED, INDEX, b"\x95", S.ENCODING),  # gaps of 9 bits
        (DILATED, INDEX, b"\x18", S.ENCODING),  # gaps where the index is the code
        (DILATED, INDEX, b"\x09", S.ENCODING),  # indices of 9 bits
        (DILATED, INDEX, b"\x00", S.ENCODING),  # no indices
        (RESIDUAL, RESIDUAL_TENSOR, b"\x02", S.SHAPE),
        (RESIDUAL, RESIDUAL_SHIFT, b"\x20", S.REQUANTISATION),
        (RESIDUAL, RESIDUAL_LOW, b"\x7f\x7e", S.REQUANTISATION),
    ],
)
def test_a_wrong_field_is_refused_with_the_same_status_on_both_sides(sanitized_driver, graph, at, value, status):
    parts = packed(graph)
    read_artifact(parts.data)
    assert_refused(sanitized_driver, parts.with_record_bytes(at, value), status)


@pytest.mark.parametrize(
    ("graph", "tensor", "field", "value", "status"),
    [
        (LOOKUP, 0, "height", 0, S.SHAPE),
        (LOOKUP, 0, "channels", 65536, S.SHAPE),
        (LOOKUP, 0, "offset", 1 << 20, S.ARENA_RANGE),
        (LOOKUP, 0, "height", 3, S.SHAPE),
        (LOOKUP, 0, "offset", 3, S.ARENA_RANGE),  # on a part of its input
        (MULTIPLY, 2, "width", 5, S.SHAPE),
        (MULTIPLY, 1, "channels", 1, S.SHAPE),
        (CONCATENATE, 1, "channels", 3, S.SHAPE),
        (ARGMAX, 1, "channels", 2, S.SHAPE),
        (MAX_POOL, 1, "height", 4, S.SHAPE),  # the last window lies below the image
        (DILATED, 1, "height", 65535, S.SHAPE),
        (RESIDUAL, 1, "width", 5, S.SHAPE),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_the_same_status_on_both_sides(
    sanitized_driver, graph, tensor, field, value, status
):
    parts = packed(graph).with_arena(1 << 18)
    read_artifact(parts.data)
    assert_refused(sanitized_driver, parts.with_tensor(tensor, field, value), status)


@pytest.mark.parametrize("graph", [CONCATENATE, PAD, ARGMAX, MAX_POOL, DILATED])
def test_an_output_on_its_input_is_refused(sanitized_driver, graph):
    parts = packed(graph).with_arena(1 << 10)
    moved = parts.with_tensor(1, "offset", parts.tensors[0][0])
    assert_refused(sanitized_driver, moved, S.ARENA_RANGE)


LIKE, ODD = (6, 8, 4), (5, 7, 4)
DEEPER, STRIDED, PADDED = (6, 8, 8), (3, 4, 4), (8, 10, 4)
SAME = Window((3, 3), (1, 1), (1, 1))
TILE, BAND, DEPTHWISE = Kernel.TILE, Kernel.BAND, Kernel.DEPTHWISE
INDEXED = Encoding.INDEXED


def overlapping(
    choice: KernelChoice,
    words: int,
    image: tuple[int, int, int] = LIKE,
    output: tuple[int, int, int] = LIKE,
    window: Window = POINT,
    groups: int = 1,
) -> tuple[Parts, bytes]:
    """A convolution whose input begins so many words behind its output, far from its scratch; and an input."""
    generator = np.random.default_rng(0)
    filters = output[2]
    codes = generator.integers(0, 200, (filters, *window.kernel, image[2] // groups)).astype(np.uint8)
    requantisation = Requantisation(SCALING, np.full(filters, 1 << 9, np.int16), np.full(filters, 8, np.int32))
    operator = Convolution(0, 1, window, groups, False, codes, 100, requantisation)
    graph = graph_of(operator, Tensor(*image, 1.0, 3), Tensor(*output, 1.0, 0))
    parts = Parts.of(pack(graph, choose=lambda *_: choice)).with_arena(1 << 13)
    parts = parts.with_tensor(0, "offset", (1 << 12) + words).with_tensor(1, "offset", 1 << 12)
    return parts, random_inputs(generator, graph, count=1).tobytes()


# Arguments of `overlapping`: every kernel that can, of as many channels, more, and fewer, as near as it may be.
FOLLOWING = [
    (KernelChoice(TILE, INDEXED, 4), 0),
    (KernelChoice(TILE, INDEXED, 4), 1),
    (KernelChoice(BAND, INDEXED, 4, 1), 0),
    (KernelChoice(BAND, INDEXED, 4, 5), 7),
    # 48 pixels, each of 4 bytes more than in the input.
    (KernelChoice(TILE, INDEXED, 8), 48, LIKE, DEEPER),
    (KernelChoice(BAND, INDEXED, 8, 3), 48, LIKE, DEEPER),
    # The first pixel has 4 bytes less than in the input.
    (KernelChoice(TILE, INDEXED, 4), -1, DEEPER, LIKE),
    (KernelChoice(BAND, INDEXED, 4, 3), -1, DEEPER, LIKE),
    # Rows of 7 pixels, whose last tile of 4 or 8 is not whole or overlaps the one before.
    (KernelChoice(TILE, INDEXED, 4), 0, ODD, ODD),
    (KernelChoice(BAND, INDEXED, 4, 2), 0, ODD, ODD),
    (KernelChoice(BAND, INDEXED, 8, 5), 35, ODD, (5, 7, 8)),
    (KernelChoice(BAND, INDEXED, 4, 3), -1, (5, 7, 8), ODD),
    (KernelChoice(DEPTHWISE, INDEXED, 1, 6), 0, LIKE, LIKE, SAME, 4),
    (KernelChoice(DEPTHWISE, INDEXED, 1, 5), 0, ODD, ODD, SAME, 4),
]


@pytest.mark.parametrize("case", FOLLOWING)
def test_an_output_that_follows_its_input_may_lie_on_it(sanitized_driver, case):
    parts, inputs = overlapping(*case)
    assert sanitized_driver.agreed([(parts.data, inputs)]) == 1


@pytest.mark.parametrize(
    "case",
    [
        (KernelChoice(TILE, INDEXED, 4), -1),  # by a word too late, or too early
        (KernelChoice(BAND, INDEXED, 4, 1), -1),
        (KernelChoice(TILE, INDEXED, 8), 47, LIKE, DEEPER),
        (KernelChoice(BAND, INDEXED, 8, 3), 47, LIKE, DEEPER),
        (KernelChoice(TILE, INDEXED, 8), 0, LIKE, DEEPER),
        (KernelChoice(TILE, INDEXED, 4), -2, DEEPER, LIKE),
        (KernelChoice(DEPTHWISE, INDEXED, 1, 6), 1, LIKE, LIKE, SAME, 4),
        (KernelChoice(DEPTHWISE, INDEXED, 1, 6), -1, LIKE, LIKE, SAME, 4),
        (KernelChoice(TILE, INDEXED, 2), 0),  # the second group of filters would read what the first has written
        (KernelChoice(BAND, INDEXED, 3, 6), 0),
        (KernelChoice(DEPTHWISE, INDEXED, 1, 5), 0, LIKE, LIKE, SAME, 4),  # as would the second band
        (KernelChoice(TILE, INDEXED, 4), 0, LIKE, LIKE, SAME),  # reads neighbours
        (KernelChoice(BAND, INDEXED, 4, 6), 0, LIKE, LIKE, SAME),
        (KernelChoice(TILE, INDEXED, 4), 0, LIKE, STRIDED, Window((1, 1), (2, 2), (0, 0))),
        (KernelChoice(BAND, INDEXED, 4, 1), 0, LIKE, STRIDED, Window((1, 1), (2, 2), (0, 0))),
        (KernelChoice(DEPTHWISE, INDEXED, 1, 3), 0, LIKE, STRIDED, Window((3, 3), (2, 2), (1, 1)), 4),
        (KernelChoice(TILE, INDEXED, 4), 0, LIKE, (5, 8, 4)),  # not all of the image
        (KernelChoice(TILE, INDEXED, 4), 32, LIKE, PADDED, Window((1, 1), (1, 1), (1, 1))),
        (KernelChoice(Kernel.GENERAL, INDEXED), 0),
        (KernelChoice(Kernel.GENERAL, INDEXED), 0, LIKE, LIKE, POINT, 2),
    ],
)
def test_an_output_that_would_overwrite_what_is_still_to_be_read_is_refused(sanitized_driver, case):
    parts, inputs = overlapping(*case)
    apart, _ = overlapping(case[0], -(1 << 11), *case[2:])
    assert sanitized_driver.agreed([(apart.data, inputs)]) == 1
    with pytest.raises(ArtifactError, match="input and output overlap"):
        read_artifact(parts.data)
    assert_refused(sanitized_driver, parts, S.ARENA_RANGE, inputs)


def test_a_vector_on_its_input_is_refused(sanitized_driver):
    codes = np.arange(16, dtype=np.uint8).reshape(4, 1, 1, 4)
    requantisation = Requantisation(SCALING, np.full(4, 1 << 7, np.int16), np.full(4, 8, np.int32))
    pixel = Tensor(1, 1, 4, 1.0, 0)
    parts = packed(
        graph_of(Convolution(0, 1, POINT, 1, False, codes, 0, requantisation), pixel, pixel),
        Kernel.VECTOR,
        Encoding.RAW,
    )
    assert sanitized_driver.agreed([(parts.data, bytes(4))]) == 1
    moved = parts.with_tensor(1, "offset", parts.tensors[0][0])
    assert_refused(sanitized_driver, moved, S.ARENA_RANGE, bytes(4))


def written(*fields: Callable[[FieldWriter], None]) -> bytes:
    writer = FieldWriter("record")
    for field in fields:
        field(writer)
    return bytes(writer.data)


@pytest.mark.parametrize(
    ("graph", "record"),
    [
        (ADD, written(lambda f: f.u8(2), lambda f: f.u(0, 1, 0), lambda f: f.s(32768, 1, 1), lambda f: f.u8(1))),
        (ADD, written(lambda f: f.u8(2), lambda f: f.u(0, 1, 0), lambda f: f.s(1, -32769, 1), lambda f: f.u8(1))),
        (
            AVERAGE_POOL,
            written(lambda f: f.u8(3), lambda f: f.u(0, 1), lambda f: f.u8(0x11, 4, 6, 0), lambda f: f.s(1 << 16, 0)),
        ),
    ],
)
def test_a_multiplier_of_more_than_16_bits_is_refused(sanitized_driver, graph, record):
    assert_refused(sanitized_driver, replace(packed(graph), records=record), S.REQUANTISATION)


@pytest.mark.parametrize("number", [b"\x80\x00", b"\x81\x80\x00", b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\xff\x00"])
def test_a_number_longer_than_it_needs_to_be_or_beyond_32_bits_is_refused(sanitized_driver, number):
    parts = packed(LOOKUP)
    assert parts.records[1] == 0
    longer = replace(parts, records=parts.records[:1] + number + parts.records[2:])
    assert_refused(sanitized_driver, longer, S.DATA_RANGE)


def test_bytes_behind_the_last_record_are_refused(sanitized_driver):
    parts = packed(LOOKUP)
    assert_refused(sanitized_driver, replace(parts, records=parts.records + b"\0"), S.DATA_RANGE)


@pytest.mark.parametrize("encoding", [Encoding.INDEXED, Encoding.BITMAP, Encoding.CODED])
@pytest.mark.parametrize("surplus", [-2, -1, 1, 2])
def test_weights_that_are_too_few_or_too_many_are_refused(sanitized_driver, encoding, surplus):
    parts = packed(DILATED, encoding=encoding)
    count = parts.records[DATA_BYTES]
    assert count < 126
    assert len(parts.records) == DATA_BYTES + 1 + count
    changed = parts.with_record_bytes(DATA_BYTES, bytes([count + surplus]))
    records = changed.records[:surplus] if surplus < 0 else changed.records + bytes(surplus)
    assert_refused(sanitized_driver, replace(changed, records=records), S.ENCODING)


TABLES_OF_CODED = 1 + 2  # of DILATED: codes 1 to 23 have no gaps, each comes once: no counts


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (1, b"\x00\x00"),  # no zero, ever
        (1, b"\xff\x0f"),  # 31 symbols share one slot in 4096
        (1, b"\x00\x58"),  # counts of 5 bits
        (TABLES_OF_CODED, b"\x00\x00"),  # another state to begin with
    ],
)
def test_a_coded_stream_that_does_not_fit_its_frequencies_is_refused(sanitized_driver, at, value):
    parts = packed(DILATED, encoding=Encoding.CODED)
    stored = read_artifact(parts.data).stored[0]
    assert stored is not None
    weights_at = stored.table_bytes + stored.stream_bytes
    assert stored.table_bytes == TABLES_OF_CODED
    assert_refused(sanitized_driver, parts.with_record_bytes(at - weights_at, value), S.ENCODING)


def test_a_filter_whose_weights_are_too_large_for_tile_is_refused(sanitized_driver):
    """The zero point of its weights moved, so that 1024 codes that were zeros are 128 each."""
    channels = 1024
    codes = np.full((2, 1, 1, channels), 128, np.uint8)
    codes[0, 0, 0, :4] = [127, 129, 0, 255]
    requantisation = Requantisation(SCALING, np.full(2, 1 << 7, np.int16), np.full(2, 8, np.int32))
    image = Tensor(1, 8, channels, 1.0, 0)
    graph = graph_of(Convolution(0, 1, POINT, 1, False, codes, 128, requantisation), image, Tensor(1, 8, 2, 1.0, 0))
    for kernel, encoding in ((Kernel.TILE, Encoding.RAW), (Kernel.TILE, Encoding.INDEXED)):
        parts = packed(graph, kernel, encoding)
        fields = FieldReader(parts.records, POINT_SCRATCH)
        fields.u()
        at = fields.at + 3  # behind scaling, form and bias shift
        assert_refused(sanitized_driver, parts.with_record_bytes(at, b"\x00"), S.ENCODING, bytes(image.elements))


def test_more_weights_than_a_device_could_decode_in_time_are_refused_at_once(sanitized_driver):
    """2 MB whose stream, of zeros that take next to nothing, goes on for about 2^32 weights."""
    codes = np.full((8, 1, 1, 1024), 128, np.uint8)
    codes[0, 0, 0, :2] = 200
    requantisation = Requantisation(SCALING, np.full(8, 1 << 7, np.int16), np.full(8, 8, np.int32))
    image = Tensor(1, 1, 1024, 1.0, 0)
    graph = graph_of(Convolution(0, 1, POINT, 1, False, codes, 128, requantisation), image, Tensor(1, 1, 8, 1.0, 0))
    parts = packed(graph, Kernel.GENERAL, Encoding.CODED)
    stored = read_artifact(parts.data).stored[0]
    assert stored is not None
    channels, tables = stored.channel_bytes, stored.table_bytes
    data_bytes = channels + tables + stored.stream_bytes
    assert data_bytes < 128
    fields, data = parts.records[: -data_bytes - 1], parts.records[-data_bytes:]
    size = 65535
    words = np.random.default_rng(0).integers(0, 256, 1_800_000).astype(np.uint8).tobytes()
    bits = channels  # of one channel, as 8 of them take so many bytes
    data = bytes(-(-bits * size // 8)) + data[channels : channels + tables] + words
    hostile = replace(parts, records=fields + written(lambda f: f.u(len(data))) + data)
    for tensor, place in ((0, 0), (1, 20000)):
        hostile = hostile.with_tensor(tensor, "channels", size).with_tensor(tensor, "offset", place)
    hostile = hostile.with_arena(40000)
    began = time.monotonic()
    with pytest.raises(ArtifactError, match=f"{size**2} weights are more than"):
        read_artifact(hostile.data)
    assert_refused(sanitized_driver, hostile, S.ENCODING, bytes(size))
    assert time.monotonic() - began < 5


def test_what_aligns_the_data_is_zero(sanitized_driver):
    codes = np.arange(8, dtype=np.uint8).reshape(2, 1, 1, 4)
    requantisation = Requantisation(SCALING, np.array([12345, 54], np.int16), np.array([1, 2], np.int32))  # WIDE
    image = Tensor(2, 2, 4, 1.0, 0)
    graph = graph_of(Convolution(0, 1, POINT, 1, False, codes, 0, requantisation), image, Tensor(2, 2, 2, 1.0, 0))
    parts = packed(graph)
    stored = read_artifact(parts.data).stored[0]
    assert stored is not None
    data_bytes = stored.channel_bytes + stored.table_bytes + stored.stream_bytes
    assert stored.padding_bytes > 0
    assert_refused(
        sanitized_driver, parts.with_record_bytes(-data_bytes - 1, b"\x01"), S.ENCODING, bytes(image.elements)
    )


def test_reading_what_nobody_has_written_or_what_was_overwritten_is_refused(sanitized_driver):
    two = IntegerGraph((IMAGE, IMAGE, IMAGE), (Lookup(0, 1, TABLE), Add(0, 1, 2, 5, 6, 7, 3)), 0, 2)
    parts = packed(two).with_arena(1 << 10)
    lookup_bytes = 3 + 256
    read_artifact(parts.data)
    unwritten = parts.with_record_bytes(lookup_bytes + 1, b"\x02")
    assert_refused(sanitized_driver, unwritten, S.ARENA_RANGE)
    overwritten = parts.with_tensor(1, "offset", parts.tensors[0][0])
    assert_refused(sanitized_driver, overwritten, S.ARENA_RANGE)
    no_output = replace(parts, counts=(*parts.counts[:4], 2), records=parts.records[:lookup_bytes])
    no_output = replace(no_output, counts=(*no_output.counts[:2], 1, 0, 2))
    assert_refused(sanitized_driver, no_output, S.ARENA_RANGE)


@pytest.mark.parametrize(("channels", "status"), [(256, 0), (257, S.SHAPE)])
def test_argmax_counts_to_256(sanitized_driver, channels, status):
    parts = packed(graph_of(ArgMax(0, 1), Tensor(1, 1, channels, 1.0, 0), Tensor(1, 1, 1, 1.0, 0)))
    (answer,) = sanitized_driver.run([(parts.data, bytes(channels - 1) + b"\1")])
    assert answer.status == status
    assert answer.output == (b"\x7f" if status == 0 else b"")
    if status != 0:
        with pytest.raises(ArtifactError, match="at most 256 channels"):
            read_artifact(parts.data)


def test_a_gate_that_its_output_overwrites_is_refused(sanitized_driver):
    """Multiplying by a pixel in place of that pixel would read what it has written."""
    parts = packed(MULTIPLY).with_arena(1 << 10)
    moved = parts.with_tensor(2, "offset", parts.tensors[1][0])
    with pytest.raises(ArtifactError, match="lies on part of an input"):
        read_artifact(moved.data)
    assert_refused(sanitized_driver, moved, S.ARENA_RANGE)


@pytest.mark.parametrize("needed", [255, 256])
def test_padding_behind_the_image_ends_at_255(sanitized_driver, needed):
    # pack() refuses 256, so the output is made higher, and is moved behind all else in the arena.
    parts = packed(convolution(POINT, IMAGE)).with_arena(1 << 18)
    parts = parts.with_tensor(1, "offset", 1 << 14).with_tensor(1, "height", 4 + needed)
    assert sanitized_driver.agreed([(parts.data, bytes(IMAGE.elements))]) == (needed == 255)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_behind_a_valid_header_are_refused_or_run_cleanly(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    artifact, inputs = sample(seed)
    parts = Parts.of(artifact)
    cases = []
    for _ in range(300):
        tail = generator.integers(0, 256, len(parts.records), dtype=np.uint8).tobytes()
        cases.append((replace(parts, records=tail).data, inputs))
    sanitized_driver.agreed(cases)
