"""Repeats end when the median is known well enough, or when time is up."""

import statistics
from itertools import cycle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.farm.latency import LIMIT, repeat_until_settled, settled, summarise


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=200))
def test_median_is_the_samples_median_and_lies_in_its_interval(samples: list[float]) -> None:
    found = summarise(samples)
    assert found.median == statistics.median(samples)
    assert found.interval[0] <= found.median <= found.interval[1]
    assert found.n == len(samples)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    rounds = 400
    covered = 0
    for _ in range(rounds):
        low, high = summarise(generator.exponential(size=60).tolist()).interval
        covered += low <= np.log(2) <= high
    assert 0.92 <= covered / rounds <= 1.0


def test_equal_samples_settle_at_once() -> None:
    calls: list[tuple[int, int]] = []

    def run(warm_ups: int, repeats: int) -> list[float]:
        calls.append((warm_ups, repeats))
        return [5.0] * repeats

    assert settled(repeat_until_settled(run, 0.001))
    assert len(calls) == 1


def test_a_median_that_never_settles_ends_at_the_limit() -> None:
    values = cycle([1.0, 3.0])
    found = repeat_until_settled(lambda _, repeats: [next(values) for _ in range(repeats)], 1e-6)
    assert found.n == LIMIT


def test_slow_inferences_are_repeated_less() -> None:
    values = cycle([1.0, 3.0])
    found = repeat_until_settled(lambda _, repeats: [next(values) for _ in range(repeats)], 1.0)
    assert found.n == 6
