"""One measured or estimated value, and how it was obtained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["latency", "ram", "flash", "energy"]
Kind = Literal["measured", "estimated"]
UNITS: dict[Metric, str] = {"latency": "s", "ram": "B", "flash": "B", "energy": "J"}


@dataclass(frozen=True)
class Measurement:
    """value is per inference and in `unit`; interval is the median's 95% interval, None where nothing was repeated.

    method says how the value came about, with the figures of an estimate ("1234567 instructions x 1.46 / 168 MHz").
    """

    device: str
    profile: str
    metric: Metric
    value: float
    kind: Kind
    n: int
    interval: tuple[float, float] | None
    method: str

    @property
    def unit(self) -> str:
        return UNITS[self.metric]


@dataclass(frozen=True)
class Absent:
    """A metric that this device cannot give, and why: shown instead of a number."""

    device: str
    profile: str
    metric: Metric
    reason: str
