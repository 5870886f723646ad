"""The fields of a record, as bytes (FORMAT.md): written by the packer, read by the reader."""

from __future__ import annotations

from dccdka.packing.artifact import ArtifactError, ArtifactStatus
from dccdka.packing.errors import PackingError

_U32 = 1 << 32


class FieldWriter:
    """Fields one after the other; `what` names the record in errors.

    Every method raises PackingError where a value does not fit its field.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.data = bytearray()

    def u8(self, *values: int) -> None:
        for value in values:
            self.data.append(self._within(value, 0, 255))

    def i8(self, *values: int) -> None:
        for value in values:
            self.data.append(self._within(value, -128, 127) & 255)

    def u(self, *values: int) -> None:
        """Unsigned LEB128."""
        for value in values:
            rest = self._within(value, 0, _U32 - 1)
            while rest > 127:
                self.data.append(rest & 127 | 128)
                rest >>= 7
            self.data.append(rest)

    def s(self, *values: int) -> None:
        for value in values:
            self.u(2 * value if value >= 0 else -2 * value - 1)

    def _within(self, value: int, least: int, most: int) -> int:
        if not least <= value <= most:
            raise PackingError(f"{self._what}: a size exceeds the artifact format's fields ({value} is above {most})")
        return value


class FieldReader:
    """What FieldWriter wrote, from `at` on.

    Every method raises ArtifactError, DATA_RANGE, where the data end or a varint is longer than it needs to be.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.what = "artifact"

    def u8(self) -> int:
        return self.take(1)[0]

    def i8(self) -> int:
        value = self.u8()
        return value - 256 if value > 127 else value

    def u(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                if value >= _U32 or (byte == 0 and shift > 0):
                    break
                return value
        raise self._error("a number of more bits than it needs")

    def s(self) -> int:
        value = self.u()
        return -(value >> 1) - 1 if value & 1 else value >> 1

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise self._error("the artifact ends inside it")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _error(self, message: str) -> ArtifactError:
        return ArtifactError(ArtifactStatus.DATA_RANGE, f"{self.what}: {message}")
