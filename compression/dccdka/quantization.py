"""Weights as n-bit integers with a scale and a zero point, learned under quantisation noise (Eqs 4, 6, 7, 10, 11)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def scale_and_zero_point(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Step s and integer zero point z of n-bit codes for a layer, both 0-dimensional floats (Eq. 4).

    The paper divides by 2^n and takes z = round(W_min/s), which leaves the codes below zero; with 2^n levels the step
    is (W_max - W_min)/(2^n - 1), and z = round(-W_min/s) puts them in [0, 2^n - 1]. Zero is always inside the range.
    """
    low, high = torch.aminmax(weight.detach())
    low, high = low.clamp(max=0), high.clamp(min=0)
    # In a layer of zeros any step does.
    scale = ((high - low) / (2**bits - 1)).clamp(min=torch.finfo(weight.dtype).tiny)
    return scale, torch.round(-low / scale)


def quantize(weight: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
    """Codes q = clamp(round(w/s) + z, 0, 2^n - 1) of Eq. 10, as floats, in weight's shape."""
    return (weight / scale).round_().add_(zero_point).clamp_(0, 2**bits - 1)


def dequantize(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Weights (q - z) s of Eq. 11; a code equal to z is exactly zero."""
    return (codes - zero_point) * scale


class _Round(torch.autograd.Function):
    """The weights that the noise picks are rounded to their codes, the others stay float (Eqs 6 and 7).

    The gradient passes straight through; to the untouched weights it is unbiased.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, zero_point: Tensor, bits: int, noise: float) -> Tensor:
        rounded = dequantize(quantize(weight, scale, zero_point, bits), scale, zero_point)
        if noise == 1:
            return rounded
        return torch.where(torch.rand_like(weight) < noise, rounded, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        return gradients[0], None, None, None, None


class Quantize(nn.Module):
    """Parametrization that rounds a random share `noise` of the weights to n bits; at noise 1, all of them.

    noise is p of Quant-Noise (Fan et al., arXiv:2004.07320), whose blocks are single weights for scalar quantisation.
    0, the initial value, leaves the weights as they are.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.noise = 0.0

    def forward(self, weight: Tensor) -> Tensor:
        if self.noise == 0:
            return weight
        scale, zero_point = scale_and_zero_point(weight, self.bits)
        arguments = (weight, scale, zero_point, self.bits, self.noise)
        return _Round.apply(*arguments)  # type: ignore[no-untyped-call, no-any-return]  # untyped
