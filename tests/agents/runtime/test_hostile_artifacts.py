"""Whatever the bytes, the loader gives an error or the run is clean, and both sides agree which.

The driver dies, and the test with it, on the first byte touched outside artifact or arena and on undefined behaviour.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from dccdka.lowering.graph import (
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
    Softmax,
    Tensor,
    Window,
)
from dccdka.packing import ArtifactError, ArtifactStatus, pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs

LARGEST_ARENA = 64 << 20  # the driver's
ARENA_TOO_SMALL = 12
TRAILING_BYTES = "after its end"


def repaired(data: bytes, length: int | None = None) -> bytes:
    """With the checksum, and if asked the announced length, made right again."""
    if len(data) < 16:
        return data
    announced = struct.pack("<I", length if length is not None else struct.unpack_from("<I", data, 8)[0])
    end = struct.unpack("<I", announced)[0]
    return data[:8] + announced + struct.pack("<I", zlib.crc32(data[16:end])) + data[16:]


def sample(seed: int, operators: int = 4) -> tuple[bytes, bytes]:
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators)
    return pack(graph), random_inputs(generator, graph, count=1).tobytes()


def assert_both_sides_agree(driver, cases: list[tuple[bytes, bytes]]) -> int:
    """Compares status and output of every case; gives the number of cases that both accepted."""
    accepted = 0
    for (data, inputs), answer in zip(cases, driver.run(cases), strict=True):
        try:
            artifact = read_artifact(data)
        except ArtifactError as error:
            # A device may be given a buffer that is longer than the artifact in it.
            if TRAILING_BYTES not in str(error):
                assert answer.status == error.status, (error, data.hex())
            continue
        if artifact.arena_bytes > LARGEST_ARENA:
            assert answer.status == ARENA_TOO_SMALL
            continue
        assert answer.status == 0, data.hex()
        count = len(inputs) // artifact.input_bytes
        images = np.frombuffer(inputs, np.int8, count * artifact.input_bytes).reshape(count, *artifact.input_shape)
        assert answer.output == run_reference(artifact, images).tobytes(), data.hex()
        accepted += 1
    return accepted


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(artifact[:length], inputs) for length in range(len(artifact))]
    assert assert_both_sides_agree(sanitized_driver, cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_with_length_and_checksum_repaired_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(repaired(artifact[:length], length), inputs) for length in range(len(artifact))]
    assert assert_both_sides_agree(sanitized_driver, cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_is_refused_by_the_checksum(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    flipped = []
    for at in range(len(artifact)):
        data = bytearray(artifact)
        data[at] ^= 1 << at % 8
        flipped.append((bytes(data), inputs))
    assert assert_both_sides_agree(sanitized_driver, flipped) == 0


@pytest.mark.parametrize("seed", range(8))
def test_damage_with_the_checksum_repaired_gives_the_same_answer_on_both_sides(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    cases = []
    for case in range(600):
        artifact, inputs = sample(seed * 1000 + case // 20, operators=1 + case % 5)
        data = bytearray(artifact)
        # Most of the structure is in the first bytes; the weights, which cannot be wrong, come last.
        for at in generator.integers(0, [len(data), min(len(data), 300)][case % 2], generator.integers(1, 4)):
            data[at] = generator.choice([0, 1, 127, 128, 255, data[at] ^ 1, data[at] + 1 & 255, data[at] - 1 & 255])
        cases.append((repaired(bytes(data)), inputs))
    assert assert_both_sides_agree(sanitized_driver, cases) > 0


IMAGE = Tensor(4, 6, 2, 1.0, 0)
PIXEL = Tensor(1, 1, 2, 1.0, 0)
TABLE = np.arange(256).astype(np.uint8).view(np.int8)
EXPONENTIALS = np.full(256, 1 << 15, np.uint16)
S = ArtifactStatus


def graph_of(operator: Operator, *tensors: Tensor) -> IntegerGraph:
    return IntegerGraph(tensors, (operator,), input=0, output=operator.output)


def with_pixel(operator: Operator) -> IntegerGraph:
    """Tensor 1 is a pixel made of tensor 0; the operator may read both and gives tensor 2."""
    pixel = AveragePool(0, 1, Window((4, 6), (1, 1), (0, 0)), 1 << 30, 35)
    return IntegerGraph((IMAGE, PIXEL, IMAGE), (pixel, operator), 0, 2)


def convolution(window: Window, output: Tensor) -> IntegerGraph:
    codes = np.arange(2 * window.taps * 2, dtype=np.uint8).reshape(2, *window.kernel, 2)
    scaling = Requantisation(np.zeros(2, np.int32), np.full(2, 1 << 30, np.int32), np.full(2, 40, np.uint8))
    return graph_of(Convolution(0, 1, window, 1, False, codes, 0, scaling), IMAGE, output)


MULTIPLY = with_pixel(Multiply(0, 1, 2, 1 << 30, 31))
CONCATENATE = graph_of(Concatenate(0, 0, 1, 1 << 30, 1 << 30, 31), IMAGE, Tensor(4, 6, 4, 1.0, 0))
PAD = graph_of(Pad(0, 1, 1, 2), IMAGE, Tensor(6, 9, 2, 1.0, 0))
LOOKUP = graph_of(Lookup(0, 1, TABLE), IMAGE, IMAGE)
SOFTMAX = graph_of(Softmax(0, 1, EXPONENTIALS), IMAGE, IMAGE)
ARGMAX = graph_of(ArgMax(0, 1), IMAGE, Tensor(4, 6, 1, 1.0, 0))
DILATED = convolution(Window((2, 3), (1, 1), (1, 2), (2, 2)), IMAGE)
MAX_POOL = graph_of(MaxPool(0, 1, Window((3, 3), (2, 2), (1, 1))), IMAGE, Tensor(2, 3, 2, 1.0, 0))


def with_large_arena(data: bytes) -> bytes:
    return repaired(data[:16] + struct.pack("<I", 1 << 20) + data[20:])


def last_record(graph: IntegerGraph) -> int:
    """Where the last operator's record begins."""
    kinds = {Multiply: 20}  # the average pool before it
    return 36 + 12 * len(graph.tensors) + kinds.get(type(graph.operators[-1]), 0)


def tensor_field(index: int, field: int) -> int:
    """Of the tensor table: 0 offset, 4 height, 6 width, 8 channels."""
    return 36 + 12 * index + field


@pytest.mark.parametrize(
    ("graph", "at", "value", "status"),
    [
        (MULTIPLY, ("record", 8), b"\x07\0", S.SHAPE),  # no such tensor
        (MULTIPLY, ("record", 10), b"\x3f", S.REQUANTISATION),
        (MULTIPLY, tensor_field(2, 6), b"\x05\0", S.SHAPE),
        (MULTIPLY, tensor_field(1, 8), b"\x01\0", S.SHAPE),
        (CONCATENATE, ("record", 10), b"\0", S.REQUANTISATION),
        (CONCATENATE, tensor_field(1, 8), b"\x03\0", S.SHAPE),
        (CONCATENATE, tensor_field(0, 0), b"\0\0\0\0", S.ARENA_RANGE),  # no operator joins channels in place
        (PAD, ("record", 8), b"\x03\0", S.SHAPE),
        (PAD, ("record", 10), b"\xff\xff", S.SHAPE),
        (PAD, tensor_field(0, 0), b"\0\0\0\0", S.ARENA_RANGE),
        (LOOKUP, ("record", 8), struct.pack("<I", 0xFFFFFFFF), S.DATA_RANGE),
        (LOOKUP, ("record", 8), struct.pack("<I", 36 + 24 + 12 + 1), S.DATA_RANGE),
        (LOOKUP, tensor_field(0, 4), b"\x03\0", S.SHAPE),
        (SOFTMAX, ("record", 8), struct.pack("<I", 36 + 24 + 12 + 1), S.DATA_RANGE),
        (SOFTMAX, ("record", 12), b"\x00\x00", S.REQUANTISATION),  # a sum of zero
        (SOFTMAX, ("record", 12), b"\xff\xff", S.REQUANTISATION),
        (ARGMAX, tensor_field(1, 8), b"\x02\0", S.SHAPE),
        (ARGMAX, tensor_field(1, 0), b"\0\0\0\0", S.ARENA_RANGE),
        (DILATED, ("record", 14), b"\0", S.SHAPE),
        (DILATED, ("record", 15), b"\xff", S.SHAPE),  # 511 columns would lie beyond the image
        (DILATED, tensor_field(1, 4), b"\xff\xff", S.SHAPE),
        (DILATED, ("record", 18), b"\x05", S.ENCODING),  # indices of 5 bits to codes of 1
        (DILATED, ("record", 18), b"\x70", S.ENCODING),  # dense without indices
        (MAX_POOL, ("record", 12), b"\x03", S.SHAPE),  # the first window lies in the padding
        (MAX_POOL, tensor_field(1, 4), b"\x04\0", S.SHAPE),  # the last window lies below the image
    ],
)
def test_a_wrong_field_is_refused_with_the_same_status_on_both_sides(sanitized_driver, graph, at, value, status):
    artifact = pack(graph)
    read_artifact(artifact)
    begin = at if isinstance(at, int) else last_record(graph) + at[1]
    assert artifact[begin : begin + len(value)] != value
    damaged = with_large_arena(artifact[:begin] + value + artifact[begin + len(value) :])
    with pytest.raises(ArtifactError) as caught:
        read_artifact(damaged)
    assert caught.value.status == status
    (answer,) = sanitized_driver.run([(damaged, bytes(IMAGE.elements))])
    assert answer.status == status


@pytest.mark.parametrize(("channels", "status"), [(256, 0), (257, S.SHAPE)])
def test_argmax_counts_to_256(sanitized_driver, channels, status):
    data = pack(graph_of(ArgMax(0, 1), Tensor(1, 1, channels, 1.0, 0), Tensor(1, 1, 1, 1.0, 0)))
    (answer,) = sanitized_driver.run([(data, bytes(channels - 1) + b"\1")])
    assert answer.status == status
    assert answer.output == (b"\x7f" if status == 0 else b"")
    if status != 0:
        with pytest.raises(ArtifactError, match="at most 256 channels"):
            read_artifact(data)


def test_a_gate_that_its_output_overwrites_is_refused(sanitized_driver):
    """Multiplying by a pixel in place of that pixel would read what it has written."""
    data = bytearray(pack(MULTIPLY))
    data[tensor_field(2, 0) : tensor_field(2, 4)] = data[tensor_field(1, 0) : tensor_field(1, 4)]
    damaged = with_large_arena(bytes(data))
    with pytest.raises(ArtifactError, match="lies on part of an input") as caught:
        read_artifact(damaged)
    (answer,) = sanitized_driver.run([(damaged, bytes(IMAGE.elements))])
    assert answer.status == caught.value.status == S.ARENA_RANGE


@pytest.mark.parametrize("needed", [255, 256])
def test_padding_behind_the_image_ends_at_255(sanitized_driver, needed):
    window = Window((1, 1), (1, 1), (0, 0))
    data = bytearray(with_large_arena(pack(convolution(window, Tensor(4, 6, 2, 1.0, 0)))))
    # pack() refuses 256, so the output is made higher, and is moved behind all else in the arena.
    data[tensor_field(1, 0) : tensor_field(1, 6)] = struct.pack("<IH", 1 << 16, 4 + needed)
    data = repaired(bytes(data))
    inputs = bytes(IMAGE.elements)
    if needed == 255:
        assert assert_both_sides_agree(sanitized_driver, [(data, inputs)]) == 1
    else:
        assert assert_both_sides_agree(sanitized_driver, [(data, inputs)]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_behind_a_valid_header_are_refused_or_run_cleanly(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    artifact, inputs = sample(seed)
    cases = []
    for _ in range(300):
        tail = generator.integers(0, 256, len(artifact) - 36, dtype=np.uint8).tobytes()
        cases.append((repaired(artifact[:36] + tail), inputs))
    assert_both_sides_agree(sanitized_driver, cases)
