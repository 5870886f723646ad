"""The tables of functions that integers cannot compute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Tensor

CODES = np.arange(-128, 128)


def lookup_table(values: NDArray[np.floating], output: Tensor) -> NDArray[np.int8]:
    """int8 [256] from the function's real value at each code; what the function does not define becomes zero."""
    steps = np.nan_to_num(values.astype(np.float64) / output.scale, nan=0.0, posinf=1e9, neginf=-1e9)
    table: NDArray[np.int8] = np.clip(np.rint(steps) + output.zero_point, -128, 127).astype(np.int8)
    return table


def exponentials(scale: float) -> NDArray[np.uint16]:
    """2^15 exp(-d scale) for the distances d = 0 ... 255 from the largest input, uint16 [256]."""
    table: NDArray[np.uint16] = np.rint((1 << 15) * np.exp(-scale * np.arange(256))).astype(np.uint16)
    return table
