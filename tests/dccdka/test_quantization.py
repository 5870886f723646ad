"""Codes are n-bit integers, zero is exact, and noise picks a share of the blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dccdka.quantization import dequantize, noisy_blocks, quantize, quantize_to_levels, scale_and_zero_point

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


def test_rows_of_different_bits_are_quantised_as_each_by_itself() -> None:
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    bits = (2, 5, 8)
    rows = [scale_and_zero_point(row, n) for row, n in zip(weight, bits, strict=True)]
    scale, zero_point = (torch.stack(each)[:, None] for each in zip(*rows, strict=True))
    codes = quantize_to_levels(weight, scale, zero_point, torch.tensor([[3.0], [31.0], [255.0]]))
    for number, n in enumerate(bits):
        assert torch.equal(codes[number], quantize(weight[number], *rows[number], n))


@pytest.mark.parametrize("noise", [0.01, 0.3, 0.5, 0.99])
def test_noise_is_the_share_of_the_blocks_that_are_picked(noise: float) -> None:
    torch.manual_seed(0)
    picked = noisy_blocks(100_001, noise, torch.device("cpu"))
    assert picked.shape == (100_001,)
    assert picked.dtype == torch.bool
    # Five standard deviations.
    assert abs(float(picked.float().mean()) - noise) < 5 * (noise * (1 - noise) / 100_001) ** 0.5
    # Blocks are picked independently of the one before.
    both = float((picked[1:] & picked[:-1]).float().mean())
    assert abs(both - noise**2) < 0.01


@given(noise=st.floats(0, 1), blocks=st.integers(1, 9))
def test_any_probability_and_number_of_blocks_will_do(noise: float, blocks: int) -> None:
    assert noisy_blocks(blocks, noise, torch.device("cpu")).shape == (blocks,)
