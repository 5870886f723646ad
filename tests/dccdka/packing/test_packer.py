"""What goes into the artifact comes out of it; what does not fit is refused with the operator's number."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from dccdka.lowering.graph import (
    POINT,
    Add,
    Convolution,
    IntegerGraph,
    Lookup,
    MaxPool,
    Multiply,
    ReLU,
    Requantisation,
    Residual,
    Scaling,
    Softmax,
    Tensor,
    Window,
)
from dccdka.packing import ArtifactError, ArtifactStatus, PackingError, pack, read_artifact
from dccdka.packing.conformance import random_choices, random_graph
from dccdka.packing.fusion import fuse_residuals


def linear_graph(inputs: int, code: int = 255, bias: int = 0) -> IntegerGraph:
    requantisation = Requantisation(Scaling(0, 8), np.array([16384], np.int16), np.array([bias], np.int32))
    codes = np.full((1, 1, 1, inputs), code, np.uint8)
    operator = Convolution(0, 1, POINT, 1, False, codes, 0, requantisation)
    return IntegerGraph((Tensor(1, 1, inputs, 0.5, -128), Tensor(1, 1, 1, 0.25, 3)), (operator,), 0, 1)


def one_channel() -> Requantisation:
    return Requantisation(Scaling(0, 8), np.array([16384], np.int16), np.zeros(1, np.int32))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("forced", [False, True])
def test_a_graph_comes_back_from_its_artifact(seed, forced):
    generator = np.random.default_rng(seed)
    graph = fuse_residuals(random_graph(generator, operators=6))
    artifact = read_artifact(pack(graph, choose=random_choices(generator) if forced else None))
    assert (artifact.input, artifact.output) == (graph.input, graph.output)
    assert [(t.height, t.width, t.channels, t.zero_point) for t in artifact.tensors] == [
        (t.height, t.width, t.channels, t.zero_point) for t in graph.tensors
    ]
    for read, given in zip(artifact.operators, graph.operators, strict=True):
        if isinstance(given, Lookup | Softmax):
            assert (read.input, read.output) == (given.input, given.output)
            field = "table" if isinstance(given, Lookup) else "exponentials"
            np.testing.assert_array_equal(getattr(read, field), getattr(given, field), strict=True)
            continue
        if not isinstance(given, Convolution):
            assert read == given
            continue
        assert isinstance(read, Convolution)
        np.testing.assert_array_equal(read.codes, given.codes)
        for field in ("bias", "multiplier"):
            np.testing.assert_array_equal(getattr(read.requantisation, field), getattr(given.requantisation, field))
        assert read.requantisation.scaling == given.requantisation.scaling
        is_flat = graph.tensors[given.input].height == graph.tensors[given.input].width == 1
        plain = {"codes": None, "requantisation": None}
        expected = replace(given, **plain, flatten_input=given.flatten_input and not is_flat)
        assert repr(replace(read, **plain)) == repr(expected)


def test_the_artifact_describes_input_and_output():
    artifact = read_artifact(pack(linear_graph(6)))
    assert (artifact.input_shape, artifact.input_scale, artifact.input_zero_point) == ((1, 1, 6), 0.5, -128)
    assert (artifact.output_shape, artifact.output_scale, artifact.output_zero_point) == ((1, 1, 1), 0.25, 3)
    assert (artifact.input_bytes, artifact.output_bytes) == (6, 1)
    assert len(artifact.sha256) == 64


def test_packing_twice_gives_the_same_bytes():
    assert pack(linear_graph(9)) == pack(linear_graph(9))


@pytest.mark.parametrize("sparsity", [0.0, 0.8])
def test_packing_and_reading_take_a_few_bytes_a_weight(sparsity):
    """16 million weights: looking all of them up at once, or as bits of 8 bytes, would take 16 to 128 bytes each."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 256, (1024, 1, 1, 1 << 14), dtype=np.uint8)
    codes[generator.random(codes.shape, np.float32) < sparsity] = 128
    scaling = Requantisation(Scaling(0, 8), np.full(1024, 99, np.int16), np.zeros(1024, np.int32))
    tensors = (Tensor(1, 1, 1 << 14, 1.0, 0), Tensor(1, 1, 1024, 1.0, 0))
    graph = IntegerGraph(tensors, (Convolution(0, 1, POINT, 1, False, codes, 128, scaling),), 0, 1)
    tracemalloc.start()
    data = pack(graph)
    _, packing = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    artifact = read_artifact(data)
    _, reading = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(packing, reading) < 6 * codes.size
    np.testing.assert_array_equal(artifact.operators[0].codes, codes)


def test_a_sum_that_may_leave_32_bits_is_refused():
    graph = linear_graph(60000)
    pack(graph)
    (operator,) = graph.operators
    assert isinstance(operator, Convolution)
    shifted = replace(operator, requantisation=replace(operator.requantisation, scaling=Scaling(1, 8)))
    with pytest.raises(PackingError, match=r"operator 0: a sum may reach -?\d+, beyond 32 bits"):
        pack(replace(graph, operators=(shifted,)))
    with pytest.raises(PackingError, match="operator 0"):
        pack(linear_graph(60000, bias=-(2**31)))


def test_a_filter_beyond_the_runtime_limit_is_refused():
    with pytest.raises(PackingError, match="operator 0: a filter of 65536 weights"):
        pack(linear_graph(65536, code=0))


def test_sizes_beyond_the_format_are_refused():
    wide = Tensor(70000, 1, 1, 1.0, 0)
    with pytest.raises(PackingError, match="tensor 0: a size exceeds"):
        pack(IntegerGraph((wide, wide), (ReLU(0, 1, 0),), 0, 1))
    graph = linear_graph(4)
    operator = replace(graph.operators[0], window=Window((1, 1), (300, 1), (0, 0)))
    with pytest.raises(PackingError, match="operator 0: a size exceeds"):
        pack(replace(graph, operators=(operator,)))


def test_tables_of_another_form_and_pools_with_dilation_are_refused():
    image = Tensor(5, 5, 1, 1.0, 0)
    for operator, message in (
        (Lookup(0, 1, np.zeros(255, np.int8)), "operator 0: a table of 255 values"),
        (Softmax(0, 1, np.full(256, 1 << 14, np.uint16)), "operator 0: exponentials must be 256, the first 32768"),
        (MaxPool(0, 1, Window((3, 3), (1, 1), (2, 2), (2, 2))), r"operator 0: a pool with dilation \(2, 2\)"),
    ):
        with pytest.raises(PackingError, match=message):
            pack(IntegerGraph((image, image), (operator,), 0, 1))


def test_a_dilated_row_beyond_16_bits_is_refused():
    wide, one = Tensor(1, 1, 20000, 1.0, 0), Tensor(1, 1, 1, 1.0, 0)
    for dilation in (2, 3):
        window = Window((1, 2), (1, 1), (0, 0), (1, dilation))
        codes = np.zeros((1, 1, 2, 20000), np.uint8)
        graph = IntegerGraph((wide, one), (Convolution(0, 1, window, 1, False, codes, 0, one_channel()),), 0, 1)
        if dilation == 2:
            pack(graph)
        else:
            with pytest.raises(PackingError, match="operator 0: no kernel takes it: kernel width"):
                pack(graph)


@pytest.mark.parametrize("behind", [255, 256])
def test_padding_behind_the_image_beyond_a_byte_is_refused(behind):
    operator = Convolution(0, 1, POINT, 1, False, np.ones((1, 1, 1, 1), np.uint8), 0, one_channel())
    graph = IntegerGraph((Tensor(4, 1, 1, 1.0, 0), Tensor(4 + behind, 1, 1, 1.0, 0)), (operator,), 0, 1)
    if behind == 255:
        read_artifact(pack(graph))
    else:
        with pytest.raises(PackingError, match="operator 0: its input is padded by 256 rows or columns"):
            pack(graph)


def test_numbers_beyond_their_fields_are_refused():
    image = Tensor(5, 5, 1, 1.0, 0)
    convolution = Convolution(0, 1, POINT, 1, False, np.ones((1, 1, 1, 1), np.uint8), 0, one_channel())
    for operator, message in (
        (Add(0, 0, 1, 1 << 15, 1, 0, 5), "operator 0: a multiplier of 32768, beyond 16 bits"),
        (Add(0, 0, 1, 1, 1, 0, 32), "operator 0: a size exceeds .* shift of 32, at most 31"),
        (Multiply(0, 0, 1, Scaling(0, 16), 1, 0), "operator 0: a size exceeds .* shift of 16, at most 15"),
        (
            replace(convolution, residual=Residual(0, 1, -(1 << 15) - 1, 0, 5)),
            "operator 0: a multiplier of -32769, beyond 16 bits",
        ),
    ):
        with pytest.raises(PackingError, match=message):
            pack(IntegerGraph((image, image), (operator,), 0, 1))


@pytest.mark.parametrize("scale", [0.0, 1e-50, 1e39, float("nan")])
def test_a_scale_that_is_no_32_bit_number_is_refused(scale):
    image = Tensor(1, 1, 1, 1.0, 0)
    with pytest.raises(PackingError, match=r"the output's scale of .* is not a positive 32-bit number"):
        pack(IntegerGraph((image, replace(image, scale=scale)), (ReLU(0, 1, 0),), 0, 1))


def test_too_many_operators_are_refused():
    tensors = (Tensor(1, 1, 1, 1.0, 0),) * 601
    operators = tuple(ReLU(i, i + 1, 0) for i in range(600))
    with pytest.raises(PackingError, match="601 tensors, the artifact format allows 512"):
        pack(IntegerGraph(tensors, operators, 0, 600))


@pytest.mark.parametrize(
    ("damage", "status", "message"),
    [
        (lambda data: b"", ArtifactStatus.TOO_SHORT, "0 bytes"),
        (lambda data: b"GIF8" + data[4:], ArtifactStatus.MAGIC, "not an artifact"),
        (lambda data: data[:3] + b"\2" + data[4:], ArtifactStatus.VERSION, "version 2.*pack the model again"),
        (lambda data: data[:-1], ArtifactStatus.TOO_SHORT, "cut off"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), ArtifactStatus.CHECKSUM, "damaged"),
        (lambda data: data + b"x", ArtifactStatus.DATA_RANGE, "1 bytes after its end"),
    ],
)
def test_damage_is_refused_with_its_reason(damage, status, message):
    with pytest.raises(ArtifactError, match=message) as caught:
        read_artifact(damage(pack(linear_graph(9))))
    assert caught.value.status == status
