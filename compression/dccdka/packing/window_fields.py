"""A window among a record's fields: only what differs from the usual, or across from down, is stored (FORMAT.md)."""

from __future__ import annotations

from dccdka.lowering.graph import Window
from dccdka.packing.fields import FieldReader, FieldWriter
from dccdka.packing.layout import Present

_USUAL = {Present.KERNEL: 1, Present.STRIDE: 1, Present.PADDING: 0, Present.DILATION: 1}
_ACROSS = 4  # how far the bits of x lie above those of y
# What no window has: a byte that names unknown pairs gives one that every check refuses.
_UNKNOWN = Window((0, 0), (0, 0), (0, 0), (0, 0))


def write_window(fields: FieldWriter, window: Window) -> None:
    present, stored = 0, []
    pairs = window.kernel, window.stride, window.padding, window.dilation
    for (bit, usual), (y, x) in zip(_USUAL.items(), pairs, strict=True):
        if y != usual:
            present |= bit
            stored.append(y)
        if x != y:
            present |= bit << _ACROSS
            stored.append(x)
    fields.u8(present)
    fields.u(*stored)


def read_window(fields: FieldReader, *, dilated: bool) -> Window:
    """dilated: whether it may have a dilation."""
    present = fields.u8()
    pairs = []
    for bit, usual in _USUAL.items():
        y = fields.u() if present & bit else usual
        x = fields.u() if present & bit << _ACROSS else y
        pairs.append((y, x))
    dilation = Present.DILATION | Present.DILATION << _ACROSS
    return _UNKNOWN if present & dilation and not dilated else Window(*pairs)
