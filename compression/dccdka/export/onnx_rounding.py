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
        """In steps of the output."""
        return self.numerator * 2.0**-self.bits

    @property
    def tie_break(self) -> float:
        """What, added before rounding to even, rounds halves up and changes nothing else.

        All products lie on a grid as wide as the multiplier's lowest bit. If halves can come, half its width is safe.
        """
        one = 1 << self.bits
        grid = min((self.multiplier & -self.multiplier) or one, one)
        return grid / one / 2 if self.numerator % grid == 0 else 0.0
