"""Payloads: named, checked values to bytes and back, as protocol.toml lays them out.

Values are int for u8..u64, bytes for bytes and bytes32, str for text, and a list of int for u64s.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from agent_wire.protocol import PROTOCOL, Layout

Fields = dict[str, Any]  # by field name; the codec has checked the types that the module docstring lists

_MESSAGE_NAMES = {message.kind: name for name, message in PROTOCOL.messages.items()}
_STATUS_NAMES = {number: name for name, number in PROTOCOL.statuses.items()}
_OK = PROTOCOL.statuses["ok"]


class WireError(Exception):
    """Root of what this package raises on purpose."""


class MalformedMessage(WireError):
    """A payload or kind that protocol.toml does not know. The frame's CRC was right, so the other side means it so."""


class Refused(WireError):
    """The agent's answer is a refusal: raised by its handlers, carried over the wire, raised again in the harness."""

    def __init__(self, status: str, message: str, *, code: int = 0, needed: int = 0, available: int = 0) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.code = code
        self.needed = needed
        self.available = available


def encode_request(name: str, values: Mapping[str, Any]) -> tuple[int, bytes]:
    """Kind and payload of a request."""
    message = PROTOCOL.messages[name]
    return message.kind, _encode(message.request, values)


def decode_request(kind: int, payload: bytes) -> tuple[str, Fields]:
    """Name and fields of a request; raises MalformedMessage."""
    if kind not in _MESSAGE_NAMES:
        raise MalformedMessage(f"no message has kind {kind}")
    name = _MESSAGE_NAMES[kind]
    return name, _decode(f"{name} request", PROTOCOL.messages[name].request, payload)


def encode_response(name: str, values: Mapping[str, Any]) -> bytes:
    return bytes([_OK]) + _encode(PROTOCOL.messages[name].response, values)


def encode_refusal(refusal: Refused) -> bytes:
    values = {"code": refusal.code, "needed": refusal.needed, "available": refusal.available}
    head = bytes([PROTOCOL.statuses[refusal.status]])
    # Cut so that a long reason still fits a frame; a character cut in half is dropped on decoding.
    text = refusal.message.encode()[: PROTOCOL.max_payload - 1 - PROTOCOL.refusal.head.size]
    return head + _encode(PROTOCOL.refusal, values | {"message": text.decode(errors="ignore")})


def decode_response(name: str, payload: bytes) -> Fields:
    """Fields of the response to the request `name`; raises Refused for a refusal, MalformedMessage for neither."""
    if not payload:
        raise MalformedMessage(f"{name} response: empty")
    if payload[0] == _OK:
        return _decode(f"{name} response", PROTOCOL.messages[name].response, payload[1:])
    if payload[0] not in _STATUS_NAMES:
        raise MalformedMessage(f"{name} response: no status has number {payload[0]}")
    fields = _decode(f"{name} refusal", PROTOCOL.refusal, payload[1:])
    raise Refused(
        _STATUS_NAMES[payload[0]],
        fields["message"],
        code=fields["code"],
        needed=fields["needed"],
        available=fields["available"],
    )


def _encode(layout: Layout, values: Mapping[str, Any]) -> bytes:
    payload = layout.head.pack(*(values[name] for name, _ in layout.scalars))
    if layout.tail is None:
        return payload
    name, kind = layout.tail
    rest = values[name]
    if kind == "text":
        return payload + str(rest).encode()
    if kind == "u64s":
        return payload + struct.pack(f"<{len(rest)}Q", *rest)
    return payload + bytes(rest)


def _decode(what: str, layout: Layout, payload: bytes) -> Fields:
    head = layout.head
    if len(payload) < head.size or (layout.tail is None and len(payload) != head.size):
        raise MalformedMessage(f"{what}: {len(payload)} bytes instead of {head.size}")
    fields: Fields = dict(zip((name for name, _ in layout.scalars), head.unpack_from(payload), strict=True))
    if layout.tail is not None:
        name, kind = layout.tail
        fields[name] = _decode_tail(what, kind, payload[head.size :])
    return fields


def _decode_tail(what: str, kind: str, rest: bytes) -> str | bytes | list[int]:
    if kind == "bytes":
        return rest
    if kind == "u64s":
        if len(rest) % 8:
            raise MalformedMessage(f"{what}: {len(rest)} bytes are no whole number of u64")
        return list(struct.unpack(f"<{len(rest) // 8}Q", rest))
    try:
        return rest.decode()
    except UnicodeDecodeError:
        raise MalformedMessage(f"{what}: its text is not UTF-8") from None
