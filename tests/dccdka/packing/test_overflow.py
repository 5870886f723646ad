"""The packer's proof is exact: the largest numbers that cannot wrap pass, the next do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dccdka.lowering.graph import (
    POINT,
    Add,
    AveragePool,
    Concatenate,
    Convolution,
    Multiply,
    Operator,
    Requantisation,
    Residual,
    Scaling,
    Window,
)
from dccdka.packing import PackingError
from dccdka.packing.overflow import check_sums

INT32_MAX = 2**31 - 1
UNSCALED = Scaling(0, 0)


def convolution(weights: list[int], scaling: Scaling = UNSCALED, multiplier: int = 1, bias: int = 0) -> Convolution:
    """Weights of one filter, each at most 100 above and 155 below."""
    codes = np.array(weights, np.int64).reshape(1, 1, 1, -1) + 155
    channel = Requantisation(scaling, np.array([multiplier], np.int16), np.array([bias], np.int32))
    return Convolution(0, 1, POINT, 1, False, codes.astype(np.uint8), 155, channel)


def refused(operator: Operator) -> bool:
    try:
        check_sums("operator 3", operator)
    except PackingError as error:
        assert "operator 3: a sum may reach" in str(error)
        return True
    return False


def test_a_shifted_sum_of_a_convolution():
    # -128 x 100 + 127 x -55 = -19785 is its least sum: 2^31 holds 108541 times that.
    for shift in range(16):
        fits = 19785 << shift <= 1 << 31
        assert refused(convolution([100, -55], Scaling(shift, 0))) != fits
    assert not refused(convolution([100, -55] * 3, Scaling(15, 0)))
    assert refused(convolution([100, -55] * 4, Scaling(15, 0)))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_bias_beside_the_scaled_sum(sign):
    # 128 x 64 << 4 = 2^17, times 2^14 >> 16 = 2^15; upwards 127 x 64 makes 127 / 128 of it.
    reach = {1: 127 << 8, -1: 128 << 8}[sign]
    largest = sign * ((INT32_MAX if sign > 0 else 1 << 31) - reach)
    scaling = Scaling(4, 0)
    assert not refused(convolution([64], scaling, 1 << 14, largest))
    assert refused(convolution([64], scaling, 1 << 14, largest + sign))


def test_the_sums_of_an_add_a_residual_and_a_concatenation():
    offset = INT32_MAX - 128 * (20000 + 3000)
    add = Add(0, 1, 2, 20000, -3000, offset, 15)
    assert not refused(add)
    assert refused(replace(add, offset=offset + 1))
    residual = Residual(2, 20000, -3000, offset, 15)
    assert not refused(replace(convolution([1]), residual=residual))
    assert refused(replace(convolution([1]), residual=replace(residual, offset=offset + 1)))
    alone = INT32_MAX - 128 * 3000
    joined = Concatenate(0, 1, 2, 20000, -3000, 0, alone, 15)
    assert not refused(joined)
    assert refused(replace(joined, second_offset=alone + 1))


def test_the_sums_of_pools_and_products():
    pool = AveragePool(0, 1, Window((255, 255), (1, 1), (0, 0)), Scaling(8, 0), 1, 0)
    assert not refused(pool)  # 65025 x 128 << 8 is just below 2^31
    assert refused(replace(pool, scaling=Scaling(9, 0)))
    product = Multiply(0, 1, 2, Scaling(15, 0), 32767, 0)
    assert not refused(product)
    assert refused(replace(product, bias=INT32_MAX))
