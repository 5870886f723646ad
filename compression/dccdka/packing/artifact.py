"""The artifact as Python sees it: a checked view of its bytes, and the errors of reading one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from dccdka.lowering.graph import Operator
from dccdka.packing.choice import KernelChoice


class ArtifactStatus(IntEnum):
    """Why an artifact is refused; the values of dcc_status (agents/runtime/include/dcc_runtime.h)."""

    TOO_SHORT = 1
    MAGIC = 2
    VERSION = 3
    CHECKSUM = 4
    OPERATOR = 6
    SHAPE = 7
    ARENA_RANGE = 8
    DATA_RANGE = 9
    ENCODING = 10
    REQUANTISATION = 11


class ArtifactError(Exception):
    """The bytes are no artifact that the runtime would run; status is what the device would answer."""

    def __init__(self, status: ArtifactStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Region:
    """A stretch of the arena."""

    offset: int
    bytes: int

    def overlaps(self, other: Region) -> bool:
        """Whether both share a byte."""
        begin, end = max(self.offset, other.offset), min(self.offset + self.bytes, other.offset + other.bytes)
        return begin < end


@dataclass(frozen=True)
class PlacedTensor:
    """A tensor and where it lies in the arena. Its scale has gone into the multipliers."""

    offset: int
    height: int
    width: int
    channels: int
    zero_point: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def region(self) -> Region:
        return Region(self.offset, self.height * self.width * self.channels)


@dataclass(frozen=True)
class StoredConvolution:
    """How a convolution is executed and stored. Bytes of its data: channels, codebook
    and frequencies, stream of weights, and what only aligns them.
    """

    choice: KernelChoice
    scratch: Region
    channel_bytes: int
    table_bytes: int
    stream_bytes: int
    padding_bytes: int


@dataclass(frozen=True)
class Artifact:
    """A checked artifact. Tensors are named by index; stored is by operator, None for those that are no convolution."""

    data: bytes
    arena_bytes: int
    tensors: tuple[PlacedTensor, ...]
    operators: tuple[Operator, ...]
    stored: tuple[StoredConvolution | None, ...]
    input: int
    output: int
    input_scale: float
    output_scale: float

    @property
    def choices(self) -> tuple[KernelChoice | None, ...]:
        """By operator, None for those that are no convolution."""
        return tuple(None if stored is None else stored.choice for stored in self.stored)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal; the artifact's name."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c)."""
        return self.tensors[self.input].shape

    @property
    def input_zero_point(self) -> int:
        return self.tensors[self.input].zero_point

    @property
    def input_bytes(self) -> int:
        return self.tensors[self.input].region.bytes

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(h, w, c)."""
        return self.tensors[self.output].shape

    @property
    def output_zero_point(self) -> int:
        return self.tensors[self.output].zero_point

    @property
    def output_bytes(self) -> int:
        return self.tensors[self.output].region.bytes
