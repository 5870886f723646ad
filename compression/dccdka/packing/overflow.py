"""The proof that no sum leaves 32 bits, whatever the image: the runtime computes modulo 2^32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.accumulators import accumulator_bounds
from dccdka.lowering.graph import Add, AveragePool, Concatenate, Convolution, Multiply, Operator, Residual, Scaling
from dccdka.packing.errors import PackingError

_LEAST, _MOST = -(1 << 31), (1 << 31) - 1
_LARGEST = 128  # magnitude of an int8

_Integers = NDArray[np.int64]


def check_sums(name: str, operator: Operator) -> None:
    """Raises PackingError, beginning with the name, where a sum may wrap."""
    match operator:
        case Convolution():
            requantisation = operator.requantisation
            sums = accumulator_bounds(operator.codes, operator.weight_zero_point)
            _check_requantised(name, sums, requantisation.scaling, requantisation.multiplier, requantisation.bias)
            if operator.residual is not None:
                _check_pair(name, operator.residual)
        case AveragePool():
            reach = np.array([_LARGEST * operator.window.taps], np.int64)
            _check_requantised(name, (-reach, reach), operator.scaling, operator.multiplier, operator.bias)
        case Multiply():
            reach = np.array([255 * 255], np.int64)
            _check_requantised(name, (-reach, reach), operator.scaling, operator.multiplier, operator.bias)
        case Add():
            _check_pair(name, operator)
        case Concatenate():
            _check_reach(name, _LARGEST * abs(operator.multiplier) + abs(operator.offset))
            _check_reach(name, _LARGEST * abs(operator.second_multiplier) + abs(operator.second_offset))


def _check_pair(name: str, pair: Add | Residual) -> None:
    second = pair.residual_multiplier if isinstance(pair, Residual) else pair.second_multiplier
    _check_reach(name, _LARGEST * (abs(pair.multiplier) + abs(second)) + abs(pair.offset))


def _check_requantised(
    name: str,
    sums: tuple[_Integers, _Integers],
    scaling: Scaling,
    multiplier: NDArray[np.int16] | int,
    bias: NDArray[np.int32] | int,
) -> None:
    """sums: the least and the greatest, each [channels]."""
    shifted = [end << scaling.accumulator_shift for end in sums]
    scaled = [(end * np.asarray(multiplier, np.int64) >> 16) + np.asarray(bias, np.int64) for end in shifted]
    for end in (*shifted, *scaled):
        _check_reach(name, int(end.min()))
        _check_reach(name, int(end.max()))


def _check_reach(name: str, value: int) -> None:
    if not _LEAST <= value <= _MOST:
        raise PackingError(
            f"{name}: a sum may reach {value}, beyond 32 bits; use fewer input channels or fewer weight bits"
        )
