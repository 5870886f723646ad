"""Biases and multipliers come back exactly from both forms, whose bytes are the format's."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from dccdka.lowering.graph import Requantisation, Scaling
from dccdka.lowering.narrow_form import NarrowForm, bias_origin, narrow_form
from dccdka.packing.channels import (
    WIDE_BYTE,
    channels_bytes,
    decode_channels,
    encode_channels,
    form_byte,
    narrow_form_of_byte,
)

SCALING = Scaling(3, 6)


def test_one_narrow_channel_by_hand():
    # Exponent bits 2, so multipliers are (256 + m) << (e + 3): m 0x55, e 2, negative, bias -3 of 5 bits, shift 4.
    form = NarrowForm(exponent_bits=2, signed=True, bias_bits=5, bias_shift=4)
    assert form_byte(form) == 2 | 4 | 4 << 3
    data = (0x55 | 2 << 8 | 1 << 10 | (-3 & 31) << 11).to_bytes(2, "little")
    decoded = decode_channels(data, form, 1, zero_point=-7, scaling=SCALING)
    assert decoded.multiplier.tolist() == [-((256 + 0x55) << 5)]
    assert decoded.bias.tolist() == [-3 * 16 + (-7 << 6) + 32]
    assert encode_channels(decoded, -7, form) == data


def test_wide_channels_by_hand():
    channels = Requantisation(SCALING, np.array([-5, 32767], np.int16), np.array([-(2**31), 9], np.int32))
    data = encode_channels(channels, 0, None)
    assert data == struct.pack("<ihhihh", -(2**31), -5, 0, 9, 32767, 0)
    assert form_byte(None) == WIDE_BYTE
    decoded = decode_channels(data, None, 2, 0, SCALING)
    np.testing.assert_array_equal(decoded.multiplier, channels.multiplier)
    np.testing.assert_array_equal(decoded.bias, channels.bias)


@pytest.mark.parametrize("exponent_bits", range(4))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("count", [1, 5, 64])
def test_whatever_the_form_channels_come_back(exponent_bits, signed, count):
    generator = np.random.default_rng(count)
    base = 8 - (1 << exponent_bits)
    mantissa, exponent = generator.integers(0, 256, count), generator.integers(0, 1 << exponent_bits, count)
    multiplier = np.where(exponent > 0, (256 + mantissa) << np.maximum(exponent - 1, 0) + base, mantissa << base)
    if signed:
        multiplier *= generator.choice([-1, 1], count)
    bias = (generator.integers(-500, 500, count) << 3) + bias_origin(SCALING, 11)
    given = Requantisation(SCALING, multiplier.astype(np.int16), bias.astype(np.int32))
    form = narrow_form(given, 11)
    assert form is not None
    assert narrow_form_of_byte(form_byte(form), form.bias_shift) == form
    data = encode_channels(given, 11, form)
    assert len(data) == channels_bytes(form, count) <= (8 + 3 + 1 + 10) * count / 8 + 1
    decoded = decode_channels(data, form, count, 11, SCALING)
    np.testing.assert_array_equal(decoded.multiplier, given.multiplier)
    np.testing.assert_array_equal(decoded.bias, given.bias)
    assert (decoded.multiplier.dtype, decoded.bias.dtype) == (np.int16, np.int32)
