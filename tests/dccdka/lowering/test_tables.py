"""The tables stand for their functions at every input that there is."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.graph import Tensor
from dccdka.lowering.tables import exponentials, lookup_table


def test_a_table_holds_the_nearest_code_and_saturates():
    output = Tensor(1, 1, 1, scale=0.5, zero_point=-28)
    values = np.linspace(-100, 100, 256)
    table = lookup_table(values, output)
    assert table.dtype == np.int8
    real = (table.astype(float) + 28) * 0.5
    assert np.allclose(real, values.clip(-50, 77.5), atol=0.25)


def test_where_a_function_is_not_defined_the_table_is_zero_or_saturates():
    output = Tensor(1, 1, 1, scale=0.5, zero_point=3)
    assert lookup_table(np.array([np.nan, np.inf, -np.inf]), output).tolist() == [3, 127, -128]


@pytest.mark.parametrize("scale", [1e-6, 0.02, 1.0, 100.0])
def test_exponentials_fall_from_two_to_the_fifteenth(scale):
    table = exponentials(scale)
    assert (table.dtype, table.shape, int(table[0])) == (np.uint16, (256,), 1 << 15)
    assert np.allclose(table, 32768 * np.exp(-scale * np.arange(256)), atol=0.5)
