"""GNU objdump's listing of Thumb code as data."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"\s*([0-9a-f]+):\t([0-9a-f]{4}(?: [0-9a-f]{4})?)\s*\t(\S+)(?:\t(.*))?$")
_COMMENT = re.compile(r"\s*[@;].*$|\s*<.*>$")


@dataclass(frozen=True)
class Instruction:
    """address and size in bytes. name: objdump's, without .n and .w. operands: the rest, comments cut off."""

    address: int
    size: int
    name: str
    operands: str


def parse_disassembly(listing: str) -> dict[int, Instruction]:
    """By address; data between the code is left out."""
    found = {}
    for line in listing.splitlines():
        if (parts := _LINE.match(line)) and not parts[3].startswith("."):
            address, size = int(parts[1], 16), (len(parts[2]) + 1) // 5 * 2
            operands = _COMMENT.sub("", parts[4] or "")
            found[address] = Instruction(address, size, re.sub(r"\.[nw]$", "", parts[3]), operands)
    return found
