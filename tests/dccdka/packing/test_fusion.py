"""Adds go into convolutions where that changes no byte, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dccdka.lowering.graph import POINT, Add, Convolution, IntegerGraph, MaxPool, Requantisation, Scaling, Tensor
from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs
from dccdka.packing.fusion import fuse_residuals

IMAGE = Tensor(5, 5, 3, 1.0, 2)


def convolution(x: int, y: int) -> Convolution:
    generator = np.random.default_rng(10 * x + y)
    scaling = Requantisation(
        Scaling(4, 6), np.full(3, 900, np.int16), generator.integers(-999, 999, 3).astype(np.int32)
    )
    return Convolution(x, y, POINT, 1, False, generator.integers(0, 256, (3, 1, 1, 3)).astype(np.uint8), 128, scaling)


def add(x: int, second: int, y: int) -> Add:
    return Add(x, second, y, 20000, -9000, 77, 15, -100, 90)


def graph(*operators, tensors: int = 4) -> IntegerGraph:
    return IntegerGraph((IMAGE,) * tensors, operators, 0, operators[-1].output)


def unfused_outputs(given: IntegerGraph, inputs: np.ndarray) -> np.ndarray:
    """The add's own convolution is read once more, by an operator that ends nowhere, so that nothing is fused."""
    count = len(given.tensors)
    made = [o.output for o in given.operators if isinstance(o, Convolution)]
    readers = tuple(MaxPool(tensor, count + i, POINT) for i, tensor in enumerate(made))
    extra = tuple(given.tensors[tensor] for tensor in made)
    whole = replace(given, tensors=(*given.tensors, *extra), operators=(*given.operators, *readers))
    assert not any(isinstance(o, Convolution) and o.residual for o in fuse_residuals(whole).operators)
    return run_reference(read_artifact(pack(whole)), inputs)


@pytest.mark.parametrize("swapped", [False, True])
def test_the_later_convolution_takes_the_add_in(swapped):
    pair = (2, 1) if swapped else (1, 2)
    given = graph(convolution(0, 1), convolution(0, 2), add(*pair, 3))
    fused = fuse_residuals(given)
    first, second = fused.operators
    assert isinstance(second, Convolution)
    assert second.residual is not None
    assert (second.output, second.residual.tensor) == (fused.output, first.output)
    assert (second.residual.multiplier, second.residual.residual_multiplier) == (
        (20000, -9000) if swapped else (-9000, 20000)
    )
    assert len(fused.tensors) == 3
    inputs = random_inputs(np.random.default_rng(0), given, 3)
    fused_outputs = run_reference(read_artifact(pack(given)), inputs)
    np.testing.assert_array_equal(fused_outputs, unfused_outputs(given, inputs))


@pytest.mark.parametrize(
    "operators",
    [
        (convolution(0, 1), MaxPool(1, 2, POINT), add(1, 0, 3)),  # another reads the convolution's output
        (convolution(0, 1), MaxPool(0, 2, POINT), add(1, 2, 3)),  # the other tensor comes after the convolution
        (convolution(0, 1), add(1, 1, 3)),
    ],
)
def test_what_something_else_needs_or_comes_too_late_stays_an_add(operators):
    assert fuse_residuals(graph(*operators)).operators[-1].__class__ is Add


def test_an_output_of_the_network_stays_a_tensor():
    given = replace(graph(convolution(0, 1), add(0, 1, 2), tensors=3), output=1)
    assert any(isinstance(operator, Add) for operator in fuse_residuals(given).operators)


def test_a_convolution_takes_one_add_only():
    given = graph(convolution(0, 1), add(0, 1, 2), add(2, 0, 3))
    assert [type(operator) for operator in fuse_residuals(given).operators] == [Convolution, Add]


def test_fusing_twice_changes_nothing_more():
    for seed in range(20):
        once = fuse_residuals(random_graph(np.random.default_rng(seed), 8))
        twice = fuse_residuals(once)
        assert len(twice.operators) == len(once.operators)
        assert twice.tensors == once.tensors
