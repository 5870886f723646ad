"""How often a timed inference is repeated, and what is kept of the repeats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WARM_UPS = 2
BATCH = 16
FEWEST = 6  # with fewer repeats no two order statistics hold the median with 95%
LIMIT = 512
BUDGET_S = 3.0
TARGET_HALF_WIDTH = 0.01


@dataclass(frozen=True)
class Latency:
    """median, 95th percentile and the 95% interval of the median, in the unit of the samples; n repeats."""

    median: float
    p95: float
    interval: tuple[float, float]
    n: int


def summarise(samples: Sequence[float]) -> Latency:
    """The interval is distribution-free: order statistics around the median, by the binomial's normal approximation
    (Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2)."""
    ordered = sorted(samples)
    n = len(ordered)
    if n == 0:
        raise ValueError("no samples")
    half = 1.96 * math.sqrt(n) / 2
    low = max(0, math.floor(n / 2 - half))
    high = min(n - 1, math.ceil(n / 2 + half))
    middle = n // 2
    median = ordered[middle] if n % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    p95 = ordered[min(n - 1, math.ceil(0.95 * n) - 1)]
    return Latency(median, p95, (ordered[low], ordered[high]), n)


def settled(latency: Latency) -> bool:
    """Whether the interval reaches at most 1% to either side of the median."""
    low, high = latency.interval
    return max(high - latency.median, latency.median - low) <= TARGET_HALF_WIDTH * latency.median


def repeat_until_settled(run_batch: Callable[[int, int], Sequence[float]], one_takes_s: float) -> Latency:
    """Calls run_batch(warm_ups, repeats) until the median is settled, or LIMIT repeats or about BUDGET_S are used up.

    one_takes_s is what one inference takes on the wall clock of the harness; it only bounds the batches.
    """
    affordable = max(FEWEST, int(BUDGET_S / max(one_takes_s, 1e-6)))
    limit = min(LIMIT, affordable)
    samples: list[float] = []
    warm_ups = min(WARM_UPS, affordable)
    while True:
        samples.extend(run_batch(warm_ups, min(BATCH, limit - len(samples))))
        latency = summarise(samples)
        if settled(latency) or len(samples) >= limit:
            return latency
        warm_ups = 0
