"""How integers round, said to ONNX: devices round halves up, ONNX rounds them to even."""

from __future__ import annotations

from dataclasses import dataclass

from dccdka.lowering.graph import Scaling

NEGLIGIBLE = 2.0**-9  # of an output step: what no node is added for


@dataclass(frozen=True)
class Rounding:
    """floor((multiplier * integer + numerator) / 2^bits).

    multiplier: of several, all their bits together, of which only the lowest counts.
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
        """What a rounding to the nearest integer is to add before, in steps of the output.

        The sums lie on a grid as wide as the multiplier's lowest bit, so a whole stretch of offsets rounds all of them
        alike; in its middle neither halves nor small errors matter.
        """
        one = 1 << self.bits
        grid = min((self.multiplier & -self.multiplier) or one, one)
        return (self.numerator - self.numerator % grid + grid / 2) / one - 0.5
