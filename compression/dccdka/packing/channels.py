"""Biases and multipliers of a convolution's channels as bytes (FORMAT.md): NARROW where that holds them, else WIDE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Requantisation, Scaling
from dccdka.lowering.narrow_form import NarrowFields, NarrowForm, from_fields, to_fields

WIDE_BYTE = 0x80

_MANTISSA_BITS = 8
_WIDE = np.dtype([("bias", "<i4"), ("multiplier", "<i2"), ("zero", "<i2")])

_Integers = NDArray[np.int64]


def form_byte(form: NarrowForm | None) -> int:
    """None: WIDE, here as below."""
    if form is None:
        return WIDE_BYTE
    return form.exponent_bits | form.signed << 2 | form.bias_bits - 1 << 3


def narrow_form_of_byte(byte: int, bias_shift: int) -> NarrowForm:
    """Of a byte below WIDE_BYTE."""
    return NarrowForm(byte & 3, bool(byte & 4), (byte >> 3 & 15) + 1, bias_shift)


def channels_bytes(form: NarrowForm | None, channels: int) -> int:
    return _WIDE.itemsize * channels if form is None else (form.bits * channels + 7) // 8


def encode_channels(requantisation: Requantisation, zero_point: int, form: NarrowForm | None) -> bytes:
    """zero_point: the output's; NARROW must hold the channels exactly."""
    if form is None:
        records = np.zeros(len(requantisation.bias), _WIDE)
        records["bias"], records["multiplier"] = requantisation.bias, requantisation.multiplier
        return records.tobytes()
    fields = to_fields(requantisation, zero_point, form)
    columns = (
        _bits_of(fields.mantissa, _MANTISSA_BITS),
        _bits_of(fields.exponent, form.exponent_bits),
        _bits_of(fields.negative.astype(np.int64), int(form.signed)),
        _bits_of(fields.bias, form.bias_bits),
    )
    return np.packbits(np.concatenate(columns, axis=1), bitorder="little").tobytes()


def decode_channels(
    data: bytes, form: NarrowForm | None, channels: int, zero_point: int, scaling: Scaling
) -> Requantisation:
    """Inverse of `encode_channels`; data are exactly the channels."""
    if form is None:
        records = np.frombuffer(data, _WIDE)
        return Requantisation(scaling, records["multiplier"].copy(), records["bias"].copy())
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=form.bits * channels, bitorder="little")
    ends = np.cumsum((_MANTISSA_BITS, form.exponent_bits, int(form.signed), form.bias_bits))
    mantissa, exponent, negative, bias = map(_number, np.split(bits.reshape(channels, -1), ends[:-1], axis=1))
    bias -= (bias >> form.bias_bits - 1) << form.bias_bits  # two's complement
    return from_fields(NarrowFields(mantissa, exponent, negative > 0, bias), form, scaling, zero_point)


def _bits_of(values: _Integers, bits: int) -> NDArray[np.uint8]:
    columns: NDArray[np.uint8] = (values[:, np.newaxis] >> np.arange(bits) & 1).astype(np.uint8)
    return columns


def _number(bits: NDArray[np.uint8]) -> _Integers:
    number: _Integers = bits.astype(np.int64) @ (1 << np.arange(bits.shape[1], dtype=np.int64))
    return number
