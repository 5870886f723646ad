"""The short form of multipliers and biases holds what it says, in the bits that it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.lowering.graph import Requantisation, Scaling
from dccdka.lowering.narrow_form import NarrowForm, bias_origin, from_fields, narrow_form, nearest, to_fields


def values(exponent_bits: int) -> list[int]:
    """FORMAT.md's formula for every mantissa and exponent."""
    base = 8 - 2**exponent_bits
    return [m << base if e == 0 else (256 + m) << (e - 1 + base) for e in range(2**exponent_bits) for m in range(256)]


@pytest.mark.parametrize("exponent_bits", range(4))
def test_the_nearest_multiplier_is_nearest_of_all(exponent_bits):
    held = np.array([*sorted(values(exponent_bits)), 1 << 20])
    wanted = np.arange(-32768, 32769)
    found = nearest(wanted, exponent_bits)
    assert np.isin(np.abs(found), held).all()
    assert (np.sign(found) * np.sign(wanted) >= 0).all()
    above = np.searchsorted(held, np.abs(wanted))
    distance = np.minimum(np.abs(held[above] - np.abs(wanted)), np.abs(held[above - 1] - np.abs(wanted)))
    assert (np.abs(found - wanted) == distance).all()


@st.composite
def narrow_layers(draw) -> tuple[Requantisation, int, NarrowForm]:
    """A layer that fits a form, its output's zero point, and the form."""
    form = NarrowForm(draw(st.integers(0, 3)), draw(st.booleans()), draw(st.integers(1, 16)), draw(st.integers(0, 15)))
    scaling, zero_point = Scaling(draw(st.integers(0, 15)), draw(st.integers(0, 15))), draw(st.integers(-128, 127))
    channels = draw(st.integers(1, 6))
    magnitudes = draw(st.lists(st.sampled_from(values(form.exponent_bits)), min_size=channels, max_size=channels))
    signs = draw(st.lists(st.sampled_from([-1, 1] if form.signed else [1]), min_size=channels, max_size=channels))
    half = 1 << (form.bias_bits - 1)
    biases = draw(st.lists(st.integers(-half, half - 1), min_size=channels, max_size=channels))
    multiplier = np.array(magnitudes) * signs
    bias = (np.array(biases) << form.bias_shift) + bias_origin(scaling, zero_point)
    return Requantisation(scaling, multiplier.astype(np.int16), bias.astype(np.int32)), zero_point, form


@given(narrow_layers())
def test_a_layer_that_fits_comes_back_from_its_fields_and_costs_no_bit_more(layer):
    requantisation, zero_point, at_most = layer
    form = narrow_form(requantisation, zero_point)
    assert form is not None
    assert form.bits <= at_most.bits
    fields = to_fields(requantisation, zero_point, form)
    assert (fields.mantissa >= 0).all() and (fields.mantissa < 256).all()
    assert (fields.exponent >= 0).all() and (fields.exponent < 2**form.exponent_bits).all()
    assert (-(1 << form.bias_bits - 1) <= fields.bias).all() and (fields.bias < 1 << form.bias_bits - 1).all()
    assert form.signed or not fields.negative.any()
    back = from_fields(fields, form, requantisation.scaling, zero_point)
    assert back.scaling == requantisation.scaling
    assert back.multiplier.tolist() == requantisation.multiplier.tolist()
    assert back.bias.tolist() == requantisation.bias.tolist()


@pytest.mark.parametrize(
    ("multiplier", "bias"),
    [
        ([32703], [0]),  # ten bits and more set
        ([-32768], [0]),
        ([32767], [0]),
        ([0, 0], [1 << 20, 1]),  # 20 bits of bias
    ],
)
def test_what_does_not_fit_has_no_form(multiplier, bias):
    requantisation = Requantisation(Scaling(0, 0), np.array(multiplier, np.int16), np.array(bias, np.int32))
    assert narrow_form(requantisation, 0) is None


@pytest.mark.parametrize(
    ("fraction_bits", "zero_point", "origin"), [(0, -5, -5), (1, 3, 7), (4, -128, -2040), (15, 127, 4177920)]
)
def test_biases_count_from_zero_point_and_half(fraction_bits, zero_point, origin):
    assert bias_origin(Scaling(3, fraction_bits), zero_point) == origin
    layer = Requantisation(Scaling(3, fraction_bits), np.array([1 << 14], np.int16), np.array([origin], np.int32))
    assert narrow_form(layer, zero_point) == NarrowForm(0, signed=False, bias_bits=1, bias_shift=0)
