"""Reads protocol.toml, the one definition of the wire; the rest of this package has names and numbers from here."""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

SCALARS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "bytes32": "32s"}
TAILS = ("text", "bytes", "u64s")


@dataclass(frozen=True)
class Layout:
    """The fields of a payload: scalars at fixed offsets, then at most one field that takes the rest."""

    scalars: tuple[tuple[str, str], ...]
    tail: tuple[str, str] | None

    @property
    def head(self) -> struct.Struct:
        return struct.Struct("<" + "".join(SCALARS[kind] for _, kind in self.scalars))

    @classmethod
    def from_fields(cls, fields: list[list[str]]) -> Layout:
        tail = (fields[-1][0], fields[-1][1]) if fields and fields[-1][1] in TAILS else None
        scalars = fields[:-1] if tail else fields
        if unknown := [name for name, kind in scalars if kind not in SCALARS]:
            raise ValueError(f"protocol.toml: field {unknown[0]}: its type is unknown or only allowed last")
        return cls(tuple((name, kind) for name, kind in scalars), tail)


@dataclass(frozen=True)
class Message:
    kind: int
    request: Layout
    response: Layout


@dataclass(frozen=True)
class Protocol:
    version: int
    max_payload: int
    max_repeats: int
    statuses: Mapping[str, int]
    refusal: Layout
    messages: Mapping[str, Message]


def _load() -> Protocol:
    definition: dict[str, Any] = tomllib.loads(files(__package__).joinpath("protocol.toml").read_text("utf-8"))
    return Protocol(
        version=definition["version"],
        max_payload=definition["max_payload"],
        max_repeats=definition["max_repeats"],
        statuses=definition["status"],
        refusal=Layout.from_fields(definition["refusal"]["fields"]),
        messages={
            name: Message(
                message["kind"],
                Layout.from_fields(message["request"]),
                Layout.from_fields(message["response"]),
            )
            for name, message in definition["messages"].items()
        },
    )


PROTOCOL = _load()
