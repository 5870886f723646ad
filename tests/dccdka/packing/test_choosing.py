"""The cheapest kernel that memory and storage allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dccdka.lowering.graph import Convolution, IntegerGraph, Pad, Requantisation, Scaling, Tensor, Window
from dccdka.packing import PackingError, pack, read_artifact
from dccdka.packing.arena import plan_arena
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.choosing import choose_kernels, workload_of
from dccdka.packing.costs import packaged_costs
from dccdka.packing.kernels import refusal
from dccdka.packing.work import Layer

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


def test_scratch_takes_what_is_free():
    costs = Costs(lambda choice: 1e9 if choice.kernel is not Kernel.BAND else 1 / choice.filters_at_once)
    small = layer(sparsity=0.8, codes=16, filters=64, image=(4, 4, 16))
    # A large tensor that is not needed beside the layer leaves room for all filters at once.
    roomy = replace(small, tensors=(*small.tensors, Tensor(80, 80, 64, 1.0, 0)), output=2)
    roomy = replace(roomy, operators=(*small.operators, Pad(1, 2, 0, 0)))
    assert chosen(roomy, costs).filters_at_once == 64
    assert read_artifact(pack(roomy, costs)).arena_bytes == plan_arena(roomy).bytes


def test_the_arena_grows_only_where_the_network_becomes_faster_by_more():
    graph = layer(sparsity=0.8, codes=16)

    def packed(band: float):
        costs = Costs(lambda choice: {Kernel.GENERAL: 1.0, Kernel.BAND: band}.get(choice.kernel, 2.0))
        return read_artifact(pack(graph, costs))

    least, most = packed(1.0), packed(0.1)
    assert [a.choices[0].kernel for a in (least, most)] == [Kernel.GENERAL, Kernel.BAND]
    growth = most.arena_bytes / least.arena_bytes
    assert growth > 1.2
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
        choose_kernels(graph, {0: workload_of(graph, dilated)}, plan_arena(graph), packaged_costs())


def test_a_choice_that_is_not_feasible_is_refused():
    for choice, message in (
        (KernelChoice(Kernel.DEPTHWISE, Encoding.INDEXED), "operator 0: DEPTHWISE does not take its shape"),
        (KernelChoice(Kernel.BAND, Encoding.CODED), "operator 0: its weights cannot be CODED"),
    ):
        with pytest.raises(PackingError, match=message):
            pack(layer(), choose=lambda *_, choice=choice: choice)
