"""What is said about a table: where one kernel overtakes another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import KernelCosts, KernelFit, packaged_costs
from dccdka.packing.work import kinds_of_work
from harness.tune.report import LAYERS, as_object, as_tables, choices, preferences, with_zeros

LAYER = LAYERS["3x3, 64 to 64 channels, 8x8"]


def only_steps(**steps: float) -> KernelCosts:
    """Where nothing but the steps of these kernels costs anything, and all others cost too much."""
    fits = {}
    for kernel in Kernel:
        cost = steps.get(kernel.name)
        kinds = kinds_of_work(kernel)
        costs = {kind: 1e9 if cost is None else (cost if kind == "steps" else 0.0) for kind in kinds}
        fits[kernel] = KernelFit(costs)
    return replace(packaged_costs(), kernels=fits)


def test_the_share_of_zeros_where_bands_overtake_tiles_is_found() -> None:
    # A tile's step is 16 products, a band's 16 of a pair that is not zero: equal where 12 = 16 (1 - zeros^2).
    found = preferences(only_steps(TILE=12.0, BAND=16.0), LAYER)
    assert [p.kernel for p in found] == [Kernel.TILE, Kernel.BAND]
    assert found[0].zeros == 0.0
    assert found[1].zeros == pytest.approx(0.5, abs=0.011)


def test_one_kernel_that_is_always_cheapest_is_told_once() -> None:
    assert [(p.zeros, p.kernel) for p in preferences(only_steps(TILE=1.0, BAND=99.0), LAYER)] == [(0.0, Kernel.TILE)]


def test_zeros_empty_pairs_by_chance() -> None:
    sparse = with_zeros(LAYER, 0.8)
    assert sparse.nonzeros == round(0.2 * LAYER.weights)
    assert sparse.entries == round(0.36 * LAYER.weights / 2)


def test_only_an_output_of_one_pixel_may_be_a_vector() -> None:
    vector = KernelChoice(Kernel.VECTOR, Encoding.RAW)
    assert vector in choices(LAYERS["linear, 640 to 128"]) and vector not in choices(LAYER)


def test_tables_and_object_tell_of_every_kernel_and_layer() -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(as_tables(packaged_costs()))
    for name in (*(kernel.name for kernel in Kernel), *LAYERS):
        assert name in shown.get()
    found = as_object(packaged_costs())
    assert KernelCosts.from_object(found["costs"]) == packaged_costs()
