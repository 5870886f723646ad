"""Bias and what scales the channels of a layer, folded into its requantisation; the weights' codes stay as trained."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from dccdka.lowering import arithmetic
from dccdka.lowering.accumulators import accumulator_bounds, signed_sums
from dccdka.lowering.graph import Requantisation, Tensor
from dccdka.lowering.layers import Affine


def folded(bias: torch.Tensor | None, channels: int, steps: Iterable[Affine]) -> Affine:
    """What a layer with this bias and the affine layers that follow it, the first one first, make of its products."""
    factor, offset = np.ones(channels), np.zeros(channels) if bias is None else array(bias)
    for step in steps:
        factor, offset = factor * step.factor, offset * step.factor + step.offset
    return Affine(factor, offset)


def convolution_requantisation(
    affine: Affine,
    sum_scale: float,
    weights: tuple[NDArray[np.uint8], int],
    input_zero_point: int,
    output: Tensor,
    limits: tuple[int, int],
) -> Requantisation:
    """Of a convolution whose products, in real values, go through the affine layer.

    sum_scale: real value of one step of the sum of products; weights: codes [c_out, y, x, c] and their zero point. The
    sum is over inputs that still have their zero point in them. Raises OverflowError where a factor is too large.
    """
    factor = affine.factor * (sum_scale / output.scale)
    above, below = (part.sum(axis=1) for part in signed_sums(*weights))
    offset = affine.offset / output.scale + output.zero_point - factor * (input_zero_point * (above + below))
    return arithmetic.requantisation(factor, offset, *accumulator_bounds(*weights), limits)


def affine_of_batch_norm(
    mean: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> Affine:
    """Of batch norm (Ioffe & Szegedy): y = gamma (x - mean) / sqrt(variance + eps) + beta, gamma of any sign.

    mean, variance, weight (gamma; None for 1), bias (beta; None for 0): [c].
    """
    factor = 1 / np.sqrt(array(variance) + eps)
    if weight is not None:
        factor = factor * array(weight)
    offset = np.zeros_like(factor) if bias is None else array(bias)
    return Affine(factor, offset - array(mean) * factor)


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    """A tensor's values in double precision."""
    return tensor.detach().cpu().numpy().astype(np.float64)
