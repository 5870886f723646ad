"""Gradual pruning follows the corrected Eq. 8 and is exact to one weight."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dccdka.pruning import Prune, magnitude_mask, pruned_count, sparsity_at

SPARSITIES = st.floats(0, 0.99)


@given(
    begin=st.integers(0, 500),
    duration=st.integers(0, 500),
    interval=st.integers(1, 50),
    initial=SPARSITIES,
    final=SPARSITIES,
)
def test_eq_8_begins_at_the_initial_sparsity_and_ends_at_the_final(
    begin: int, duration: int, interval: int, initial: float, final: float
) -> None:
    def at(step: int) -> float:
        return sparsity_at(step, begin=begin, end=begin + duration, interval=interval, final=final, initial=initial)

    last = begin + duration // interval * interval
    assert at(begin - 1) == initial
    if last > begin:
        assert abs(at(begin) - initial) < 1e-9
    assert at(last) == at(begin + duration) == at(10**6) == final
    lowest, highest = sorted((initial, final))
    assert all(lowest - 1e-9 <= at(step) <= highest + 1e-9 for step in range(begin, last + 1, interval))


def test_eq_8_is_a_cube_in_between() -> None:
    # Half-way: 0.8 + (0.2 - 0.8) / 2^3.
    assert abs(sparsity_at(50, begin=0, end=100, interval=10, final=0.8, initial=0.2) - 0.725) < 1e-12


@given(weights=st.integers(1, 400), sparsity=SPARSITIES, seed=st.integers(0, 2**32 - 1))
def test_the_mask_prunes_the_smallest_magnitudes_exactly_to_one_weight(
    weights: int, sparsity: float, seed: int
) -> None:
    weight = torch.randn(weights, generator=torch.Generator().manual_seed(seed))
    mask = magnitude_mask(weight, sparsity)
    pruned = int((mask == 0).sum())
    assert pruned == pruned_count(sparsity, weights) < weights
    assert sparsity * weights - 1 <= pruned <= sparsity * weights + 1e-3
    if pruned:
        assert weight[mask == 0].abs().max() <= weight[mask == 1].abs().min()


def test_equal_magnitudes_do_not_prune_too_much() -> None:
    assert int(magnitude_mask(torch.ones(10), 0.7).sum()) == 3


def test_a_weight_that_outgrows_others_comes_back() -> None:
    prune = Prune(torch.ones(4))
    prune.renew(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    assert prune(torch.ones(4)).tolist() == [0, 0, 1, 1]
    prune.renew(torch.tensor([5.0, 2.0, 3.0, 4.0]), 0.5)
    assert prune(torch.ones(4)).tolist() == [1, 0, 0, 1]
