"""Writes the C view of protocol.toml: python -m agent_wire.generate_header > wire_protocol.h

For every field of every payload the header has its offset, NAME_REQUEST_FIELD_AT or NAME_RESPONSE_FIELD_AT, counted
from the payload's first byte (in a response that is the status), and for every payload the bytes of its fixed part,
..._BYTES.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator

from agent_wire.framing import MAX_ENCODED, RESPONSE_BIT
from agent_wire.protocol import PROTOCOL, SCALARS, Layout


def header() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "/* Generated from agent_wire/protocol.toml by python -m agent_wire.generate_header; do not edit. */"
    yield "#ifndef WIRE_PROTOCOL_H"
    yield "#define WIRE_PROTOCOL_H"
    yield ""
    yield f"#define WIRE_VERSION {PROTOCOL.version}u"
    yield f"#define WIRE_MAX_PAYLOAD {PROTOCOL.max_payload}u"
    yield f"#define WIRE_MAX_ENCODED {MAX_ENCODED}u /* bytes of a COBS-encoded frame without its delimiter */"
    yield f"#define WIRE_MAX_REPEATS {PROTOCOL.max_repeats}u"
    yield f"#define WIRE_RESPONSE_BIT 0x{RESPONSE_BIT:02x}u"
    yield ""
    for name, number in PROTOCOL.statuses.items():
        yield f"#define WIRE_STATUS_{name.upper()} {number}u"
    yield ""
    yield from _layout("WIRE_REFUSAL", PROTOCOL.refusal, first=1)
    for name, message in PROTOCOL.messages.items():
        yield ""
        prefix = f"WIRE_{name.upper()}"
        yield f"#define {prefix}_KIND {message.kind}u"
        yield from _layout(f"{prefix}_REQUEST", message.request, first=0)
        yield from _layout(f"{prefix}_RESPONSE", message.response, first=1)
    yield ""
    yield "#endif"


def _layout(prefix: str, layout: Layout, first: int) -> Iterator[str]:
    at = first
    for name, kind in layout.scalars:
        yield f"#define {prefix}_{name.upper()}_AT {at}u"
        at += struct.calcsize("<" + SCALARS[kind])
    if layout.tail is not None:
        yield f"#define {prefix}_{layout.tail[0].upper()}_AT {at}u"
    yield f"#define {prefix}_BYTES {at}u"


if __name__ == "__main__":
    sys.stdout.write(header())
