"""Weights as n-bit integers with a scale and a zero point, learned under quantisation noise (Eqs 4, 6, 7, 10, 11).

Functions of rows take one layer a row: values [layers, n], and levels [layers, 1], which is 2^bits - 1 of each layer.
"""

from __future__ import annotations

import torch
from torch import Tensor


def scale_and_zero_point(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Step s and integer zero point z of n-bit codes for a layer, both 0-dimensional floats (Eq. 4)."""
    low, high = torch.aminmax(weight.detach())
    return scale_and_zero_point_of_range(low, high, weight.new_tensor(2**bits - 1))


def scale_and_zero_point_of_range(low: Tensor, high: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Step s and integer zero point z, floats, for the weights from low to high, all of one shape (Eq. 4).

    The paper divides by 2^n and takes z = round(W_min/s), which leaves the codes below zero; with 2^n levels the step
    is (W_max - W_min)/(2^n - 1), and z = round(-W_min/s) puts them in [0, 2^n - 1]. Zero is always inside the range.
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    # In a layer of zeros any step does.
    scale = ((high - low) / levels).clamp(min=torch.finfo(low.dtype).tiny)
    return scale, torch.round(-low / scale)


def quantize(weight: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
    """Codes q = clamp(round(w/s) + z, 0, 2^n - 1) of Eq. 10, as floats, in weight's shape."""
    return quantize_to_levels(weight, scale, zero_point, weight.new_tensor(2**bits - 1))


def quantize_to_levels(weight: Tensor, scale: Tensor, zero_point: Tensor, levels: Tensor) -> Tensor:
    """`quantize` for tensors of scales, zero points and levels that broadcast to the weights."""
    return torch.minimum((weight / scale).round_().add_(zero_point).clamp_(min=0), levels)


def dequantize(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Weights (q - z) s of Eq. 11; a code equal to z is exactly zero."""
    return (codes - zero_point) * scale


def noisy_blocks(blocks: int, noise: float, device: torch.device) -> Tensor:
    """Which of so many blocks are rounded in a forward pass: bool [blocks], each with probability `noise` (Eq. 6).

    Quant-Noise (Fan et al., arXiv:2004.07320). The probability is rounded to 1/65536: 16 random bits of torch's global
    generator for each block take a third of the time of a random float.
    """
    words = torch.empty((blocks + 3) // 4, dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.int16)[:blocks] < min(round(noise * 65536) - 32768, 32767)
