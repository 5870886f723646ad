"""A scaling as the byte of a record: p in its low half, k in its high half (FORMAT.md)."""

from __future__ import annotations

from dccdka.lowering.graph import Scaling
from dccdka.packing.errors import PackingError
from dccdka.packing.fields import FieldReader, FieldWriter
from dccdka.packing.layout import MAX_SCALING_SHIFT


def write_scaling(fields: FieldWriter, name: str, scaling: Scaling) -> None:
    """Raises PackingError, beginning with the name, where a shift does not fit."""
    for shift in (scaling.accumulator_shift, scaling.fraction_bits):
        if not 0 <= shift <= MAX_SCALING_SHIFT:
            message = f"a size exceeds the artifact format's fields: shift of {shift}, at most {MAX_SCALING_SHIFT}"
            raise PackingError(f"{name}: {message}")
    fields.u8(scaling.accumulator_shift | scaling.fraction_bits << 4)


def read_scaling(fields: FieldReader) -> Scaling:
    byte = fields.u8()
    return Scaling(byte & 15, byte >> 4)
