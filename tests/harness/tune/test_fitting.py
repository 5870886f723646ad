"""Costs per unit of work found again from layers that were priced by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.packing.choice import Kernel
from dccdka.packing.costs import KernelCosts, packaged_costs
from harness.tune.cases import micro_benchmarks
from harness.tune.fitting import Measured, fit_kernel, fit_kernels, nonnegative_least_squares

BENCHMARKS = list(micro_benchmarks())


def priced(costs: KernelCosts, noise: float = 0.0) -> list[Measured]:
    generator = np.random.default_rng(0)
    return [
        Measured(b.choice, b.layer, costs.estimate(b.choice, b.layer) * (1 + noise * generator.standard_normal()))
        for b in BENCHMARKS
    ]


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 12), columns=st.integers(1, 6))
def test_no_nonnegative_step_makes_the_squares_less(seed: int, rows: int, columns: int) -> None:
    """The conditions of Karush, Kuhn and Tucker, which only the best solution fulfils."""
    generator = np.random.default_rng(seed)
    matrix, target = generator.standard_normal((rows, columns)), generator.standard_normal(rows)
    x = nonnegative_least_squares(matrix, target)
    gradient = matrix.T @ (matrix @ x - target)
    assert (x >= 0).all()
    assert (gradient > -1e-8).all()
    assert np.allclose(gradient[x > 0], 0.0, atol=1e-8)


def test_exact_measurements_give_exact_estimates_of_other_layers() -> None:
    costs = packaged_costs()
    for fit in fit_kernels(priced(costs)).values():
        assert fit.largest_error < 1e-6 and fit.measurements >= 10


@pytest.mark.parametrize("kind", ["steps", "inner inputs", "mixed inputs", "loose outputs"])
def test_what_a_unit_of_work_costs_is_found_again(kind: str) -> None:
    found = fit_kernels(priced(packaged_costs()))[Kernel.TILE]
    assert found.costs[kind] == pytest.approx(packaged_costs().kernels[Kernel.TILE].costs[kind])


def test_errors_are_about_as_large_as_the_noise() -> None:
    for fit in fit_kernels(priced(packaged_costs(), noise=0.03)).values():
        assert 0.01 < fit.typical_error < 0.06
        assert fit.typical_error < fit.largest_error < 0.3


def test_a_layer_that_costs_other_than_its_work_shows_as_an_error() -> None:
    measured = [m for m in priced(packaged_costs()) if m.choice.kernel is Kernel.BAND]
    odd = [replace(measured[0], cost=2 * measured[0].cost), *measured[1:]]
    assert fit_kernel(Kernel.BAND, odd).largest_error > 0.4
