"""Codes are n-bit integers, zero is exact, and noise rounds a share of the weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dccdka.quantization import Quantize, dequantize, quantize, scale_and_zero_point

weights = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=50).map(torch.tensor)
bit_widths = st.integers(2, 8)


@given(weight=weights, bits=bit_widths)
def test_codes_are_integers_of_n_bits_and_so_is_the_zero_point(weight: torch.Tensor, bits: int) -> None:
    scale, zero_point = scale_and_zero_point(weight, bits)
    codes = quantize(weight, scale, zero_point, bits)
    for integers in (codes, zero_point):
        assert torch.equal(integers, integers.round())
        assert integers.min() >= 0
        assert integers.max() <= 2**bits - 1


@given(weight=weights, bits=bit_widths)
def test_zero_stays_exactly_zero_and_no_weight_moves_further_than_a_step(weight: torch.Tensor, bits: int) -> None:
    weight = torch.cat([weight, torch.zeros(1)])
    scale, zero_point = scale_and_zero_point(weight, bits)
    rounded = dequantize(quantize(weight, scale, zero_point, bits), scale, zero_point)
    assert rounded[-1] == 0
    # Half a step, and another half at the end of the range, where z was rounded.
    assert torch.all((rounded - weight).abs() <= scale * 1.0001)


def test_the_step_divides_the_range_by_one_less_than_the_levels() -> None:
    scale, zero_point = scale_and_zero_point(torch.tensor([-1.0, 0.5, 2.0]), 2)
    assert (float(scale), int(zero_point)) == (1.0, 1)


def test_a_range_without_zero_is_widened_to_it() -> None:
    scale, zero_point = scale_and_zero_point(torch.tensor([1.5, 3.0]), 2)
    assert (float(scale), int(zero_point)) == (1.0, 0)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_noise_is_the_share_of_the_weights_that_are_rounded(noise: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(20_000)
    step = Quantize(3)
    step.noise = noise
    scale, zero_point = scale_and_zero_point(weight, 3)
    rounded = dequantize(quantize(weight, scale, zero_point, 3), scale, zero_point)
    noisy = step(weight)
    assert torch.all((noisy == weight) | (noisy == rounded))
    assert abs(float((noisy == rounded).float().mean()) - noise) < 0.02


def test_the_gradient_passes_straight_through() -> None:
    weight = torch.randn(50, requires_grad=True)
    step = Quantize(2)
    step.noise = 0.5
    (step(weight) * torch.arange(50.0)).sum().backward()
    assert torch.equal(weight.grad, torch.arange(50.0))  # type: ignore[arg-type]  # set by backward
