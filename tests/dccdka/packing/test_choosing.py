"""Kernels and encodings for the whole network, by flash, memory and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise, product

import numpy as np
import pytest

from dccdka.lowering.graph import (
    POINT,
    Add,
    Convolution,
    IntegerGraph,
    Multiply,
    Pad,
    Requantisation,
    Scaling,
    Tensor,
    Window,
)
from dccdka.packing import PackingError, pack, read_artifact
from dccdka.packing.arena import plan_arena
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.choosing import STACK_BYTES, choose_kernels
from dccdka.packing.costs import DECODED, KINDS, CodeSizes, packaged_costs
from dccdka.packing.kernels import refusal
from dccdka.packing.sizes import artifact_sizes
from dccdka.packing.work import Layer
from dccdka.packing.workload import workload_of

NO_CODE = CodeSizes(0, 0, dict.fromkeys(KINDS, 0), dict.fromkeys(Kernel, 0), dict.fromkeys(DECODED, 0))
SAME = Window((3, 3), (1, 1), (1, 1))


def layer(sparsity: float = 0.0, codes: int = 256, filters: int = 16, image: tuple[int, int, int] = (16, 16, 16)):
    generator = np.random.default_rng(0)
    weights = generator.integers(0, codes, (filters, 3, 3, image[2])).astype(np.uint8)
    weights[generator.random(weights.shape) < sparsity] = codes // 2
    scaling = Requantisation(Scaling(0, 8), np.full(filters, 999, np.int16), np.zeros(filters, np.int32))
    operator = Convolution(0, 1, SAME, 1, False, weights, codes // 2, scaling)
    tensors = (Tensor(*image, 1.0, 0), Tensor(*image[:2], filters, 1.0, 0))
    return IntegerGraph(tensors, (operator,), 0, 1)


@dataclass(frozen=True)
class Costs:
    """What a choice costs, whatever the layer: as much as KernelCosts that the packer asks of it."""

    of: Callable[[KernelChoice], float]
    code: CodeSizes = field(default=NO_CODE)

    def estimate(self, choice: KernelChoice, layer: Layer) -> float:
        return self.of(choice)


def only(wanted: object, field: str) -> Costs:
    """Whatever else has another value in this field of its choice is out of the question."""
    return Costs(lambda choice: 1 if getattr(choice, field) == wanted else 1e9)


def chosen(graph: IntegerGraph, costs) -> KernelChoice:
    return read_artifact(pack(graph, costs)).choices[0]


def test_dense_weights_of_8_bits_stay_as_they_are_read():
    choice = chosen(layer(), packaged_costs())
    assert (choice.kernel, choice.encoding) == (Kernel.TILE, Encoding.RAW)


def test_sparse_weights_keep_their_smallest_encoding_whatever_it_costs():
    graph = layer(sparsity=0.8, codes=16)
    choice = chosen(graph, only(Encoding.BITMAP, "encoding"))
    assert choice.encoding is Encoding.CODED


def test_of_encodings_that_take_alike_the_one_that_is_cheaper_to_decode_is_taken():
    graph = layer(sparsity=0.0, codes=16, filters=64)
    operator = graph.operators[0]
    assert isinstance(operator, Convolution)
    forms = workload_of(graph, operator).forms
    assert forms[Encoding.INDEXED].bytes < 1.02 * forms[Encoding.CODED].bytes
    for encoding in (Encoding.INDEXED, Encoding.CODED):
        assert chosen(graph, only(encoding, "encoding")).encoding is encoding


def two_layers(small: tuple[int, int, int]) -> IntegerGraph:
    """Dense 3 x 3 layers of 8 bits: the first of few filters on the small image, the second of many on a larger one."""
    generator = np.random.default_rng(0)
    first, second = layer(filters=16, image=small).operators[0], layer(filters=64).operators[0]
    assert isinstance(first, Convolution) and isinstance(second, Convolution)
    codes = generator.integers(0, 256, (64, 3, 3, 16)).astype(np.uint8)
    tensors = (Tensor(*small, 1.0, 0), Tensor(*small[:2], 16, 1.0, 0), Tensor(*small[:2], 64, 1.0, 0))
    return IntegerGraph(tensors, (first, replace(second, input=1, output=2, codes=codes)), 0, 2)


def test_a_decoder_counts_as_storage():
    """RAW fills rows of 9 weights up to 12: more than INDEXED takes for the layer, but less than its decoder."""
    graph = two_layers((8, 8, 3))
    first = graph.operators[0]
    assert isinstance(first, Convolution)
    forms = workload_of(graph, first).forms
    assert forms[Encoding.RAW].bytes > 1.3 * forms[Encoding.INDEXED].bytes
    indexed_is_free = Costs(lambda choice: 1 if choice.encoding is Encoding.INDEXED else 2)
    artifact = read_artifact(pack(graph, indexed_is_free))
    assert artifact.choices[0].encoding is Encoding.INDEXED
    decoders = replace(NO_CODE, encodings=dict.fromkeys(DECODED, 700))
    artifact = read_artifact(pack(graph, replace(indexed_is_free, code=decoders)))
    assert [choice.encoding for choice in artifact.choices] == [Encoding.RAW, Encoding.RAW]


def test_a_kernel_is_linked_where_the_network_becomes_faster_by_more_than_flash_grows_by():
    graph = layer(sparsity=0.8, codes=16)
    stored = artifact_sizes(read_artifact(pack(graph, only(Kernel.BAND, "kernel"))))
    weights = stored.stream + stored.tables + stored.channels

    def kernel(band_code: int) -> Kernel:
        code = CodeSizes(
            1000, 0, NO_CODE.kinds, {**NO_CODE.kernels, Kernel.TILE: 500, Kernel.BAND: band_code}, NO_CODE.encodings
        )
        # Scratch grows by a known share, so that only flash is left to decide.
        times = {Kernel.TILE: 1.0, Kernel.BAND: 0.8}
        return chosen(roomy(graph), Costs(lambda choice: times.get(choice.kernel, 99.0), code)).kernel

    limit = round(1.25 * (weights + 1500) - weights - 1000)
    assert kernel(limit - 20) is Kernel.BAND
    assert kernel(limit + 20) is Kernel.TILE


def test_no_other_choice_for_all_layers_together_is_better_by_more_than_a_step_of_the_arena():
    graph = two_layers((6, 6, 4))
    costs = packaged_costs()
    workloads = {i: workload_of(graph, operator) for i, operator in enumerate(graph.operators)}
    plan, found = choose_kernels(graph, workloads, costs)

    def weight(choices: dict[int, KernelChoice]) -> float:
        arena = plan.arena_bytes({i: workloads[i].scratch(choice) for i, choice in choices.items()})
        time = sum(costs.estimate(choice, workloads[i].layer) for i, choice in choices.items())
        parts = {choice.kernel for choice in choices.values()}, {choice.encoding for choice in choices.values()}
        stored = sum(workloads[i].stored_bytes(choice) for i, choice in choices.items())
        return (costs.code.of(*parts) + stored) * (arena + STACK_BYTES) * time

    encodings = {choice.encoding for choice in found.values()}
    ways = product(*(list(workloads[i].feasible(encodings)) for i in workloads))
    best = min(weight(dict(enumerate(way))) for way in ways)
    assert best <= weight(found) <= 1.03 * best


def test_channels_are_wide_where_time_is_worth_more_than_their_bytes():
    generator = np.random.default_rng(0)

    def connected(inputs: int) -> KernelChoice:
        codes = generator.integers(0, 256, (64, 1, 1, inputs)).astype(np.uint8)
        scaling = Requantisation(Scaling(0, 8), np.full(64, 320, np.int16), np.zeros(64, np.int32))
        operator = Convolution(0, 1, POINT, 1, False, codes, 128, scaling)
        tensors = Tensor(1, 1, inputs, 1.0, 0), Tensor(1, 1, 64, 1.0, 0)
        times = {True: 0.9, False: 1.0}
        costs = Costs(lambda choice: times[choice.wide] if choice.kernel is Kernel.VECTOR else 99.0)
        return chosen(IntegerGraph(tensors, (operator,), 0, 1), costs)

    # 64 channels take about 350 bytes more.
    assert connected(16) == KernelChoice(Kernel.VECTOR, Encoding.RAW)
    assert connected(128) == KernelChoice(Kernel.VECTOR, Encoding.RAW, wide=True)


def roomy(graph: IntegerGraph) -> IntegerGraph:
    """With a large tensor that is not needed beside the layer and leaves room for any scratch."""
    output = graph.tensors[1]
    tensors = (*graph.tensors, Tensor(80, 80, output.channels, 1.0, 0))
    return replace(graph, tensors=tensors, operators=(*graph.operators, Pad(1, 2, 0, 0)), output=2)


def test_scratch_takes_what_is_free():
    costs = Costs(lambda choice: 1e9 if choice.kernel is not Kernel.BAND else 1 / choice.filters_at_once)
    graph = roomy(layer(sparsity=0.8, codes=16, filters=64, image=(4, 4, 16)))
    assert chosen(graph, costs).filters_at_once == 64
    assert read_artifact(pack(graph, costs)).arena_bytes == plan_arena(graph).bytes


def points(*channels: int, size: tuple[int, int] = (16, 16)) -> IntegerGraph:
    """Pointwise layers from a depth to the next, dense and of 8 bits."""
    generator = np.random.default_rng(0)
    operators = []
    for i, (depth, filters) in enumerate(pairwise(channels)):
        codes = generator.integers(0, 256, (filters, 1, 1, depth)).astype(np.uint8)
        scaling = Requantisation(Scaling(0, 8), np.full(filters, 999, np.int16), np.zeros(filters, np.int32))
        operators.append(Convolution(i, i + 1, POINT, 1, False, codes, 128, scaling))
    return IntegerGraph(tuple(Tensor(*size, c, 1.0, 0) for c in channels), tuple(operators), 0, len(operators))


def test_layers_overwrite_their_input_where_that_takes_less_memory():
    artifact = read_artifact(pack(points(16, 16, 32, 8)))
    regions = [tensor.region for tensor in artifact.tensors]
    assert all(x.overlaps(y) for x, y in pairwise(regions))
    assert [choice.filters_at_once for choice in artifact.choices] == [16, 32, 8]
    largest_scratch = 8 * 32 + 32 + 8 * 16
    assert artifact.arena_bytes <= 16 * 16 * 32 + largest_scratch


def test_a_layer_whose_filters_do_not_fit_all_at_once_leaves_its_input_alone():
    """4 pixels of 512 channels take 4 kB twice, but the decoded filters 256 kB."""
    decoded = Costs(lambda choice: 1.0 if choice.encoding is Encoding.CODED else 1e9)
    graph = points(512, 512, size=(2, 2))
    operator = graph.operators[0]
    assert isinstance(operator, Convolution)
    sparse = np.where(operator.codes > 250, operator.codes, 128).astype(np.uint8)
    artifact = read_artifact(pack(replace(graph, operators=(replace(operator, codes=sparse),)), decoded))
    first, second = (tensor.region for tensor in artifact.tensors)
    assert not first.overlaps(second)
    assert artifact.arena_bytes < 3 * 2 * 2 * 512


def test_an_input_that_is_read_again_is_kept():
    graph = points(16, 16, 16)
    first, second = graph.operators
    assert isinstance(second, Convolution)
    product_of_both = Multiply(1, 2, 3, Scaling(0, 4), 1 << 7, 0)
    operators = first, replace(second, input=0), product_of_both
    graph = replace(graph, tensors=(*graph.tensors, graph.tensors[0]), operators=operators, output=3)
    regions = [tensor.region for tensor in read_artifact(pack(graph)).tensors]
    assert not regions[0].overlaps(regions[1])
    assert regions[0] == regions[2]


def test_an_input_that_is_added_as_residual_too_is_overwritten():
    graph = points(16, 16)
    add = Add(1, 0, 2, 1 << 14, 1 << 14, 0, 15)
    graph = replace(graph, tensors=(*graph.tensors, graph.tensors[0]), operators=(*graph.operators, add), output=2)
    artifact = read_artifact(pack(graph))
    assert len(artifact.operators) == 1
    assert artifact.tensors[0].region == artifact.tensors[1].region


def test_the_arena_grows_only_where_the_network_becomes_faster_by_a_larger_share():
    graph = layer(sparsity=0.8, codes=16)

    def packed(band: float):
        costs = Costs(lambda choice: {Kernel.GENERAL: 1.0, Kernel.BAND: band}.get(choice.kernel, 2.0))
        return read_artifact(pack(graph, costs))

    least, most = packed(1.0), packed(0.1)
    assert [a.choices[0].kernel for a in (least, most)] == [Kernel.GENERAL, Kernel.BAND]
    growth = (most.arena_bytes + STACK_BYTES) / (least.arena_bytes + STACK_BYTES)
    assert growth > 1.1
    assert packed(1.02 / growth).choices[0].kernel is Kernel.GENERAL
    assert packed(0.98 / growth).choices[0].kernel is Kernel.BAND


def test_choices_are_feasible_and_many():
    graph = layer(sparsity=0.5, codes=40)
    operator = graph.operators[0]
    assert isinstance(operator, Convolution)
    workload = workload_of(graph, operator)
    feasible = list(workload.feasible())
    assert {choice.kernel for choice in feasible} == {Kernel.GENERAL, Kernel.TILE, Kernel.BAND}
    assert len(set(feasible)) == len(feasible) > 100
    assert all(refusal(choice, workload.shape) is None for choice in feasible)
    assert {1, 16} <= {choice.rows_at_once for choice in feasible if choice.kernel is Kernel.BAND}


def test_weights_too_large_for_sums_of_24_bits_get_another_kernel():
    graph = layer(codes=256, filters=2, image=(4, 4, 200))
    operator = graph.operators[0]
    assert isinstance(operator, Convolution)
    extreme = replace(operator, codes=np.where(operator.codes > 127, 255, 0).astype(np.uint8), weight_zero_point=128)
    graph = replace(graph, operators=(extreme,))
    assert workload_of(graph, extreme).magnitude > 1 << 16
    assert chosen(graph, packaged_costs()).kernel in (Kernel.BAND, Kernel.GENERAL)


def test_what_no_kernel_takes_is_refused():
    graph = layer()
    operator = graph.operators[0]
    assert isinstance(operator, Convolution)
    wide = Window((1, 2), (1, 1), (0, 0), (1, 60000))
    image, output = Tensor(1, 60001, 2, 1.0, 0), Tensor(1, 1, 1, 1.0, 0)
    codes = np.zeros((1, 1, 2, 2), np.uint8)
    scaling = Requantisation(Scaling(0, 0), np.ones(1, np.int16), np.zeros(1, np.int32))
    dilated = Convolution(0, 1, wide, 1, False, codes, 0, scaling)
    graph = IntegerGraph((image, output), (dilated,), 0, 1)
    with pytest.raises(PackingError, match="operator 0: no kernel takes it"):
        choose_kernels(graph, {0: workload_of(graph, dilated)}, packaged_costs())


def test_a_choice_that_is_not_feasible_is_refused():
    for choice, message in (
        (KernelChoice(Kernel.DEPTHWISE, Encoding.INDEXED), "operator 0: DEPTHWISE does not take its shape"),
        (KernelChoice(Kernel.BAND, Encoding.CODED), "operator 0: its weights cannot be CODED"),
    ):
        with pytest.raises(PackingError, match=message):
            pack(layer(), choose=lambda *_, choice=choice: choice)
