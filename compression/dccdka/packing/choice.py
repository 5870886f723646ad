"""How a convolution is stored and executed: what the packer chooses for each layer (FORMAT.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Encoding(IntEnum):
    """How weights are stored; the numbers are the format's."""

    RAW = 0
    INDEXED = 1
    BITMAP = 2
    CODED = 3


class Kernel(IntEnum):
    """The loop that executes a convolution; the numbers are the format's."""

    GENERAL = 0
    TILE = 1
    BAND = 2
    DEPTHWISE = 3
    VECTOR = 4

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """Those that the kernel takes."""
        if self is Kernel.VECTOR:
            return (Encoding.RAW,)
        return tuple(e for e in Encoding if self is Kernel.TILE or e is not Encoding.RAW)


@dataclass(frozen=True)
class KernelChoice:
    """filters_at_once: decoded together; rows_at_once: of the output, worked on together.

    wide: channels take more bytes and no decoding; those that NARROW cannot hold are WIDE in any case.
    """

    kernel: Kernel
    encoding: Encoding
    filters_at_once: int = 1
    rows_at_once: int = 1
    wide: bool = False
