"""What is wrong with a stream of weights."""

from __future__ import annotations

from dccdka.packing.encoding.bits import Bytes


class StreamError(Exception):
    """The bytes are no weights of the announced form."""


def require_size(data: Bytes, needed: int) -> None:
    """Raises StreamError unless data have this many bytes."""
    if len(data) != needed:
        raise StreamError(f"{len(data)} bytes of weights where {needed} belong")
