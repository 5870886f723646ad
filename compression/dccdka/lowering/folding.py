"""Bias and batch norm of a layer, folded into its requantisation; the weights' codes stay as trained."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dccdka.lowering import arithmetic
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import Requantisation
from dccdka.lowering.layers import Normalise, Weighted


def folded_requantisation(
    layer: Weighted, norm: Normalise | None, sum_scale: float, output_scale: float
) -> Requantisation:
    """sum_scale: real value of one step of the sum of products; output_scale: of one step of the output.

    With norm (Ioffe & Szegedy): y = gamma (x - mean) / sqrt(variance + eps) + beta, gamma of any sign.
    """
    channels = len(layer.module.weight)
    bias = layer.module.bias
    factor, offset = np.ones(channels), np.zeros(channels) if bias is None else _array(bias)
    if norm is not None:
        gamma_by_deviation, shift = _batch_norm(norm.module, layer.name)
        factor, offset = gamma_by_deviation, offset * gamma_by_deviation + shift
    try:
        return arithmetic.requantisation(factor * (sum_scale / output_scale), offset / output_scale)
    except OverflowError as error:
        raise LoweringError(f"module {layer.name}: {error}; its scale or batch norm is extreme") from error


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and offset per channel: y = x * factor + offset."""
    if module.running_mean is None or module.running_var is None:
        raise LoweringError(f"the batch norm after module {name} keeps no statistics; use track_running_stats=True")
    mean, variance = _array(module.running_mean), _array(module.running_var)
    factor = 1 / np.sqrt(variance + module.eps)
    if module.affine:
        factor = factor * _array(module.weight)
        return factor, _array(module.bias) - mean * factor
    return factor, -mean * factor


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().numpy().astype(np.float64)
