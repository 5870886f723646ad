"""What a layer stores in its short form moves its outputs by a fraction of a step, and costs some 20 bits a channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from dccdka.lowering.accumulators import accumulator_bounds
from dccdka.lowering.arithmetic import requantisation
from dccdka.lowering.graph import POINT, Convolution, IntegerGraph, Requantisation, Tensor
from dccdka.lowering.narrow_channels import with_narrow_channels
from dccdka.lowering.narrow_form import narrow_form

FILTERS, INPUTS = 12, 40


def layer(
    generator: Generator, spread: float, offset: float, limits: tuple[int, int]
) -> tuple[IntegerGraph, np.ndarray, np.ndarray]:
    """With its real factors and offsets. The largest factor is 2^spread times the least, at most."""
    codes = generator.integers(0, 256, (FILTERS, 1, 1, INPUTS)).astype(np.uint8)
    least, greatest = accumulator_bounds(codes, 128)
    factors = 2.0 ** -generator.uniform(0, spread, FILTERS) * generator.choice([-1, 1], FILTERS) * 1000 / greatest.max()
    offsets = generator.normal(0, offset, FILTERS)
    channels = requantisation(factors, offsets, least, greatest, limits)
    tensors = (Tensor(1, 1, INPUTS, 1.0, 0), Tensor(1, 1, FILTERS, 1.0, int(generator.integers(-128, 128))))
    convolution = Convolution(0, 1, POINT, 1, False, codes, 128, channels, *limits)
    return IntegerGraph(tensors, (convolution,), 0, 1), factors, offsets


def channels_of(graph: IntegerGraph) -> Requantisation:
    convolution = graph.operators[0]
    assert isinstance(convolution, Convolution)
    return convolution.requantisation


@given(
    st.integers(0, 2**32),
    st.floats(0, 7),
    st.floats(1, 1500),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted),
)
def test_outputs_stay_within_three_eighths_of_a_step_and_the_half_that_rounds(seed, spread, offset, limits):
    generator = default_rng(seed)
    graph, factors, offsets = layer(generator, spread, offset, tuple(limits))
    narrow = channels_of(with_narrow_channels(graph))
    assert narrow_form(narrow, graph.tensors[1].zero_point) is not None
    least, greatest = accumulator_bounds(graph.operators[0].codes, 128)
    sums = np.concatenate(([least, greatest], generator.integers(least, greatest + 1, (50, FILTERS))))
    scaling = narrow.scaling
    steps = ((sums << scaling.accumulator_shift) * narrow.multiplier.astype(np.int64) >> 16) + narrow.bias
    results = (steps >> scaling.fraction_bits).clip(*limits)
    exact = (factors * sums + offsets).clip(*limits)
    assert np.abs(results - exact).max() <= 0.5 + 0.375 + 2.0**-scaling.fraction_bits + 0.03


def test_a_typical_layer_takes_about_twenty_bits_a_channel():
    graph, _, _ = layer(default_rng(0), spread=2, offset=150, limits=(-128, 127))
    form = narrow_form(channels_of(with_narrow_channels(graph)), graph.tensors[1].zero_point)
    assert form is not None
    assert form.bits - int(form.signed) <= 22  # factors of batch norm seldom need a sign


def test_equal_positive_factors_take_no_exponent_that_they_do_not_need():
    graph, _, _ = layer(default_rng(0), spread=0, offset=50, limits=(-128, 127))
    convolution = graph.operators[0]
    wide = channels_of(graph)
    even = replace(wide, multiplier=np.full(FILTERS, 235 << 7, np.int16))
    graph = replace(graph, operators=(replace(convolution, requantisation=even),))
    form = narrow_form(channels_of(with_narrow_channels(graph)), graph.tensors[1].zero_point)
    assert form is not None
    assert (form.exponent_bits, form.signed) == (0, False)


@pytest.mark.parametrize("offset", [40_000.0, 1e6])
def test_a_layer_that_no_short_form_holds_stays_as_it_is(offset):
    """A bias of more steps than 16 bits count, which its sums take back."""
    graph, _, _ = layer(default_rng(0), spread=1, offset=1, limits=(-128, 127))
    convolution = graph.operators[0]
    assert isinstance(convolution, Convolution)
    least, greatest = accumulator_bounds(convolution.codes, 128)
    factors = np.where(np.arange(FILTERS) == 0, 1.5 * offset / -least, 0.1 * offset / greatest)
    offsets = np.where(np.arange(FILTERS) == 0, offset, 0.0)
    channels = requantisation(factors, offsets, least, greatest)
    graph = replace(graph, operators=(replace(convolution, requantisation=channels),))
    assert narrow_form(channels, graph.tensors[1].zero_point) is None
    assert channels_of(with_narrow_channels(graph)) is channels
