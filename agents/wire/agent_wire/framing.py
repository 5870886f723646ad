"""Frames on the byte stream: COBS( sequence | kind | payload | CRC-32 ) 0x00, and a decoder that survives any noise.

COBS: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Trans. Networking 7(2), 1999.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from agent_wire.protocol import PROTOCOL

RESPONSE_BIT = 0x80
DELIMITER = b"\0"

_HEAD = struct.Struct("<HB")
_CRC = struct.Struct("<I")
_MAX_RAW = _HEAD.size + PROTOCOL.max_payload + _CRC.size
MAX_ENCODED = _MAX_RAW + _MAX_RAW // 254 + 1  # bytes of one frame, without its delimiter


@dataclass(frozen=True)
class Frame:
    """One request or response; kind has RESPONSE_BIT set in a response."""

    sequence: int
    kind: int
    payload: bytes


def cobs_encode(data: bytes) -> bytes:
    """data without zero bytes in it, at most one byte longer for every 254, and one."""
    encoded = bytearray()
    for group in data.split(DELIMITER):
        while len(group) >= 254:
            encoded.append(255)  # 254 bytes that no zero follows
            encoded += group[:254]
            group = group[254:]
        encoded.append(len(group) + 1)
        encoded += group
    return bytes(encoded)


def cobs_decode(encoded: bytes) -> bytes | None:
    """The inverse of cobs_encode; None when encoded is not the encoding of anything."""
    groups = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        group = encoded[at + 1 : at + code]
        if code == 0 or len(group) != code - 1 or 0 in group:
            return None
        groups += group
        at += code
        if code < 255 and at < len(encoded):
            groups.append(0)
    return bytes(groups)


def encode_frame(frame: Frame) -> bytes:
    """The bytes to send, delimiter included. Raises ValueError when the payload is longer than one frame takes."""
    if len(frame.payload) > PROTOCOL.max_payload:
        raise ValueError(f"payload of {len(frame.payload)} bytes; a frame takes {PROTOCOL.max_payload}")
    raw = _HEAD.pack(frame.sequence, frame.kind) + frame.payload
    return cobs_encode(raw + _CRC.pack(zlib.crc32(raw))) + DELIMITER


def decode_frame(encoded: bytes) -> Frame | None:
    """encoded: what lay between two delimiters. None unless it is a whole frame with the right CRC."""
    raw = cobs_decode(encoded) if len(encoded) <= MAX_ENCODED else None
    if raw is None or not _HEAD.size + _CRC.size <= len(raw) <= _MAX_RAW:
        return None
    content, crc = raw[: -_CRC.size], raw[-_CRC.size :]
    if _CRC.unpack(crc)[0] != zlib.crc32(content):
        return None
    sequence, kind = _HEAD.unpack_from(content)
    return Frame(sequence, kind, content[_HEAD.size :])


class FrameDecoder:
    """Turns a stream, in pieces of any size, into frames. Drops what is no frame and starts anew at each delimiter."""

    def __init__(self) -> None:
        self.dropped = 0  # damaged frames and stretches of noise seen so far
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        *ended, rest = data.split(DELIMITER)
        for piece in ended:
            encoded = bytes(self._pending) + piece
            self._pending.clear()
            if not encoded:
                continue
            frame = decode_frame(encoded)
            if frame is None:
                self.dropped += 1
            else:
                yield frame
        # One byte more than a frame can have marks the stretch as noise; further bytes of it need not be kept.
        self._pending += rest[: MAX_ENCODED + 1 - len(self._pending)]
