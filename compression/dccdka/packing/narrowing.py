"""What every kernel of the reference interpreter takes, gives and ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.artifact import PlacedTensor

Images = NDArray[np.int8]  # [n, h, w, c]
Values = Mapping[int, Images]  # by tensor index
Kernel = Callable[[Values], Images]  # the operator as a function of the values of all tensors computed so far


def narrow(
    products: NDArray[np.int64], shift: NDArray[np.uint8] | int, output: PlacedTensor, low: int, high: int
) -> Images:
    """Shift, add the zero point and clamp; products has the rounding in it already and is overwritten."""
    products >>= np.asarray(shift, np.int64)
    products += output.zero_point
    return np.clip(products, low, high, out=products).astype(np.int8)
