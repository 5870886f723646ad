"""Gradual pruning follows the corrected Eq. 8 and is exact to one weight."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dccdka.pruning import filter_norms, global_masks, magnitude_mask, pruned_count, sparsity_at

SPARSITIES = st.floats(0, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


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


@given(weights=st.integers(1, 400), sparsity=SPARSITIES, seed=SEEDS)
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


@given(values=st.lists(st.integers(-2, 2), min_size=1, max_size=40), sparsity=SPARSITIES)
def test_equal_magnitudes_do_not_prune_too_much(values: list[int], sparsity: float) -> None:
    mask = magnitude_mask(torch.tensor(values, dtype=torch.float32), sparsity)
    assert int((mask == 0).sum()) == pruned_count(sparsity, len(values))


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), sparsity=SPARSITIES, seed=SEEDS)
def test_global_masks_prune_the_smallest_of_all_and_leave_each_layer_one(
    sizes: list[int], sparsity: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(size, generator=generator) * 10**i for i, size in enumerate(sizes)]
    masks = global_masks(weights, sparsity)
    total = sum(sizes)
    assert sum(int((mask == 0).sum()) for mask in masks) == min(pruned_count(sparsity, total), total - len(sizes))
    assert all(mask.any() for mask in masks)
    dead = torch.cat([weight[mask == 0].abs() for weight, mask in zip(weights, masks, strict=True)])
    # All but the last weight of a layer compete.
    live = [weight[mask == 1].abs().sort().values[:-1] for weight, mask in zip(weights, masks, strict=True)]
    if len(dead) and len(torch.cat(live)):
        assert dead.max() <= torch.cat(live).min()


def test_filter_norms_are_of_the_outputs() -> None:
    weight = torch.zeros(3, 2, 1, 2)
    weight[1] = 2.0
    weight[2, 0, 0, 0] = -3.0
    assert filter_norms(weight).tolist() == [0, 16, 9]
