"""What every transport is to the layers above: a stream of bytes with deadlines."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Raises DeviceUnreachable when it cannot be opened and DeviceLost when the stream ends."""

    def read(self, timeout_s: float) -> bytes:
        """Whatever has arrived, waiting at most timeout_s for the first byte; b"" on time-out."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...
