"""How integers round, said to ONNX: devices round halves up, ONNX rounds them to even."""

from __future__ import annotations

from dataclasses import dataclass

from dccdka.lowering.graph import Scaling


@dataclass(frozen=True)
class Rounding:
    """floor((multiplier * integer + numerator) / 2^bits).

    The sums lie on a grid as wide as the multiplier's lowest bit, so a whole stretch of offsets rounds all of them
    alike; in its middle neither halves nor small errors matter. multiplier: of several, all their bits together, of
    which only the lowest counts.
    """

    multiplier: int
    numerator: int
    bits: int

    @classmethod
    def of(cls, scaling: Scaling, multiplier: int, bias: int) -> Rounding:
        """((a << p) M >> 16) + B >> k is one shift: (a (M << p) + (B << 16)) >> 16 + k."""
        return cls(multiplier << scaling.accumulator_shift, bias << 16, 16 + scaling.fraction_bits)

    @property
    def offset(self) -> float:
        """The middle of what a rounding to the nearest integer may add before, in steps of the output."""
        return (self.numerator - self.numerator % self._grid + self._grid / 2) / self._one - 0.5

    @property
    def slack(self) -> float:
        """How far from the middle an offset may be, which leaves as much again to errors of floating point."""
        return self._grid / self._one / 4

    @property
    def _one(self) -> int:
        return 1 << self.bits

    @property
    def _grid(self) -> int:
        return min((self.multiplier & -self.multiplier) or self._one, self._one)
