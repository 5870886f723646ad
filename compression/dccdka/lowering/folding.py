"""Bias and what scales the channels of a layer, folded into its requantisation; the weights' codes stay as trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dccdka.lowering import arithmetic
from dccdka.lowering.graph import Requantisation
from dccdka.lowering.layers import Affine


def folded_requantisation(
    bias: torch.Tensor | None, channels: int, affine: Iterable[Affine], sum_scale: float, output_scale: float
) -> Requantisation:
    """Of a layer with this bias, followed by affine layers, the first one first.

    sum_scale: real value of one step of the sum of products; output_scale: of one step of the output. Raises
    OverflowError where a factor is too large.
    """
    factor, offset = np.ones(channels), np.zeros(channels) if bias is None else array(bias)
    for step in affine:
        factor, offset = factor * step.factor, offset * step.factor + step.offset
    return arithmetic.requantisation(factor * (sum_scale / output_scale), offset / output_scale)


def affine_of_batch_norm(module: Any) -> Affine:
    """Of batch norm (Ioffe & Szegedy): y = gamma (x - mean) / sqrt(variance + eps) + beta, gamma of any sign."""
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    assert module.running_mean is not None and module.running_var is not None
    mean, variance = array(module.running_mean), array(module.running_var)
    factor = 1 / np.sqrt(variance + module.eps)
    if module.affine:
        factor = factor * array(module.weight)
        return Affine(factor, array(module.bias) - mean * factor)
    return Affine(factor, -mean * factor)


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    """A tensor's values in double precision."""
    return tensor.detach().cpu().numpy().astype(np.float64)
