"""A window among a record's fields: only what differs from the usual is stored (FORMAT.md)."""

from __future__ import annotations

from dccdka.lowering.graph import Window
from dccdka.packing.fields import FieldReader, FieldWriter
from dccdka.packing.layout import Present

_USUAL = {Present.KERNEL: (1, 1), Present.STRIDE: (1, 1), Present.PADDING: (0, 0), Present.DILATION: (1, 1)}
# What no window has: a byte that names unknown pairs gives one that every check refuses.
_UNKNOWN = Window((0, 0), (0, 0), (0, 0), (0, 0))


def write_window(fields: FieldWriter, window: Window) -> None:
    pairs = dict(zip(_USUAL, (window.kernel, window.stride, window.padding, window.dilation), strict=True))
    stored = {present: pair for present, pair in pairs.items() if pair != _USUAL[present]}
    fields.u8(sum(stored))
    for pair in stored.values():
        fields.u(*pair)


def read_window(fields: FieldReader, *, dilated: bool) -> Window:
    """dilated: whether it may have a dilation."""
    byte = fields.u8()
    kernel, stride, padding, dilation = (
        (fields.u(), fields.u()) if byte & present else usual for present, usual in _USUAL.items()
    )
    known = sum(Present) if dilated else sum(Present) - Present.DILATION
    return Window(kernel, stride, padding, dilation) if byte & ~known == 0 else _UNKNOWN
