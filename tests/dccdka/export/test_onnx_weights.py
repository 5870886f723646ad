"""A convolution's weights, biases and fractions for ONNX give, in exact arithmetic, what its integers give."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dccdka.export.onnx_weights import quantized_weights
from dccdka.lowering.graph import POINT, Convolution, Requantisation, Scaling

X_ZERO, Y_ZERO = -128, -7
CHANNELS, TAPS = 6, 12


def convolution(
    multiplier: list[int], bias: list[int], codes: np.ndarray, zero_point: int, scaling: Scaling
) -> Convolution:
    requantisation = Requantisation(scaling, np.array(multiplier, np.int16), np.array(bias, np.int32))
    return Convolution(0, 1, POINT, 1, False, codes.reshape(-1, 1, 1, TAPS), zero_point, requantisation)


@pytest.mark.parametrize("seed", range(20))
def test_exactly_what_the_device_computes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scaling = Scaling(int(generator.integers(0, 3)), int(generator.integers(0, 8)))
    codes = generator.integers(0, 256, (CHANNELS, TAPS), np.uint8)
    zero_point = int(generator.integers(0, 256))
    multiplier = [int(m) for m in generator.integers(-(2**9), 2**9, CHANNELS - 1)] + [0]
    bias = [int(b) for b in generator.integers(-(2**12), 2**12, CHANNELS)]
    made = quantized_weights(convolution(multiplier, bias, codes, zero_point, scaling), X_ZERO, Y_ZERO)
    for x in generator.integers(-128, 128, (100, TAPS)):
        for channel in range(CHANNELS):
            total = int(x @ (codes[channel].astype(int) - zero_point))
            device = (((total << scaling.accumulator_shift) * multiplier[channel] >> 16) + bias[channel]) >> (
                scaling.fraction_bits
            )
            weights = made.codes[channel].ravel().astype(int) - int(made.zero_points[channel])
            products = int((x - X_ZERO) @ weights) + int(made.bias[channel])
            onnx = round(products * Fraction(made.steps[channel]) + Fraction(made.fractions[channel])) + Y_ZERO
            assert onnx == device


def test_the_weights_are_the_devices_own_and_turned_around_by_a_negative_multiplier() -> None:
    codes = np.tile(np.arange(TAPS, dtype=np.uint8), (2, 1))
    made = quantized_weights(convolution([200, -200], [0, 0], codes, 5, Scaling(0, 4)), X_ZERO, Y_ZERO)
    weights = made.codes.reshape(2, TAPS).astype(int) - made.zero_points[:, None]
    np.testing.assert_array_equal(weights, [np.arange(TAPS) - 5, 5 - np.arange(TAPS)])


def test_the_bias_takes_all_but_half_a_step_of_the_products() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 256, (CHANNELS, TAPS), np.uint8)
    bias = generator.integers(-(2**12), 2**12, CHANNELS).tolist()
    made = quantized_weights(convolution([200, -3, 77, 12, -255, 0], bias, codes, 128, Scaling(0, 4)), X_ZERO, Y_ZERO)
    assert (np.abs(made.fractions) <= made.steps / 2).all()
    assert made.fractions[-1] == 0  # a constant channel is a whole number


def test_a_bias_beyond_its_32_bits_goes_into_the_addition() -> None:
    codes = np.full((1, TAPS), 6, np.uint8)
    made = quantized_weights(convolution([1], [2**30], codes, 5, Scaling(0, 15)), X_ZERO, Y_ZERO)
    total = made.bias[0] * made.steps[0] + made.fractions[0]
    # The sum's share of the input's zero point, the half that the shift cuts off, and the output's zero point.
    np.testing.assert_allclose(total, 2**15 + X_ZERO * TAPS * 2.0**-31 - 0.5 - Y_ZERO, atol=2.0**-30)
    assert made.bias[0] == 2**30
