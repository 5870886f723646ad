"""The short form of a layer's multipliers and biases in an artifact: some 20 bits a channel (NARROW in FORMAT.md).

A multiplier is a float of 8 bits of mantissa, 0 to 3 bits of exponent and a sign where one is needed; a bias counts
steps of a power of two from where the output's zero point lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Requantisation, Scaling

LARGEST_MULTIPLIER = 511 << 6
MOST_EXPONENT_BITS = 3
MOST_BIAS_BITS = 16

_Integers = NDArray[np.int64]


@dataclass(frozen=True)
class NarrowForm:
    """Fields of one channel, common to all of a layer."""

    exponent_bits: int
    signed: bool
    bias_bits: int
    bias_shift: int

    @property
    def bits(self) -> int:
        """Of a channel."""
        return 8 + self.exponent_bits + int(self.signed) + self.bias_bits


@dataclass(frozen=True, eq=False)
class NarrowFields:
    """Each [channels]; the bias is signed, negative only where the form is."""

    mantissa: _Integers
    exponent: _Integers
    negative: NDArray[np.bool_]
    bias: _Integers


def narrow_form(requantisation: Requantisation, zero_point: int) -> NarrowForm | None:
    """The form of fewest bits that holds every channel exactly; None where there is none. zero_point: the output's."""
    multiplier = requantisation.multiplier.astype(np.int64)
    exact = (bits for bits in range(MOST_EXPONENT_BITS + 1) if (nearest(multiplier, bits) == multiplier).all())
    exponent_bits = next(exact, None)
    bias = _above_origin(requantisation.bias, requantisation.scaling, zero_point)
    shift = common_zeros(bias)
    bias_bits = bits_of_signed(bias >> shift)
    if exponent_bits is None or bias_bits > MOST_BIAS_BITS:
        return None
    return NarrowForm(exponent_bits, bool((multiplier < 0).any()), bias_bits, shift)


def to_fields(requantisation: Requantisation, zero_point: int, form: NarrowForm) -> NarrowFields:
    """What is stored; the form must hold the channels exactly."""
    multiplier = requantisation.multiplier.astype(np.int64)
    mantissa, exponent = _float_of(np.abs(multiplier), form.exponent_bits)
    bias = _above_origin(requantisation.bias, requantisation.scaling, zero_point) >> form.bias_shift
    return NarrowFields(mantissa, exponent, multiplier < 0, bias)


def from_fields(fields: NarrowFields, form: NarrowForm, scaling: Scaling, zero_point: int) -> Requantisation:
    """What the fields stand for; biases modulo 2^32."""
    magnitude = _value_of(fields.mantissa, fields.exponent, form.exponent_bits)
    multiplier = np.where(fields.negative, -magnitude, magnitude)
    bias = (fields.bias << form.bias_shift) + bias_origin(scaling, zero_point)
    return Requantisation(scaling, multiplier.astype(np.int16), bias.astype(np.int32))


def bias_origin(scaling: Scaling, zero_point: int) -> int:
    """The bias of a channel that adds nothing: the output's zero point and the half that rounds."""
    bits = scaling.fraction_bits
    return (zero_point << bits) + (1 << bits >> 1)


def nearest(multiplier: _Integers, exponent_bits: int) -> _Integers:
    """The nearest multipliers that so many bits of exponent hold."""
    mantissa, exponent = _float_of(np.abs(multiplier), exponent_bits)
    magnitude = _value_of(mantissa, exponent, exponent_bits)
    return np.where(multiplier < 0, -magnitude, magnitude)


def bits_of_signed(values: _Integers) -> int:
    """Bits of the shortest two's complement that holds them all, at least one."""
    return 1 + int(np.where(values < 0, ~values, values).max(initial=0)).bit_length()


def common_zeros(values: _Integers) -> int:
    """Zero bits at the low end of all values, at most 31."""
    together = int(np.bitwise_or.reduce(values, initial=0))
    return 0 if together == 0 else min(31, (together & -together).bit_length() - 1)


def _above_origin(bias: NDArray[np.int32], scaling: Scaling, zero_point: int) -> _Integers:
    """int32 values, as the device's sum is modulo 2^32."""
    return (bias.astype(np.int64) - bias_origin(scaling, zero_point)).astype(np.int32).astype(np.int64)


def _float_of(magnitude: _Integers, exponent_bits: int) -> tuple[_Integers, _Integers]:
    """Mantissa and exponent of the nearest value; the largest where the magnitude is beyond."""
    base = 8 - (1 << exponent_bits)
    largest = (1 << exponent_bits) - 1
    # Exponent 0 is denormal: as fine as exponent 1, but for the 256 that the others have in front of their mantissa.
    lengths = np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)  # bits of each magnitude
    exponent = np.clip(lengths - 8 - base, 0, largest)
    finest = np.maximum(exponent - 1, 0) + base
    whole = (magnitude + (np.int64(1) << finest >> 1)) >> finest  # with the leading one
    carried = (whole == 512) | ((exponent == 0) & (whole == 256))
    exponent = np.minimum(exponent + carried, largest)
    finest = np.maximum(exponent - 1, 0) + base
    whole = (magnitude + (np.int64(1) << finest >> 1)) >> finest
    whole = np.minimum(whole, np.where(exponent > 0, 511, 255))
    return np.where(exponent > 0, whole - 256, whole), exponent


def _value_of(mantissa: _Integers, exponent: _Integers, exponent_bits: int) -> _Integers:
    base = 8 - (1 << exponent_bits)
    values: _Integers = np.where(
        exponent == 0, mantissa << base, (256 + mantissa) << (np.maximum(exponent, 1) - 1 + base)
    )
    return values
