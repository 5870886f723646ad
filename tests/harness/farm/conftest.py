"""An agent in memory with a pretended model, reached over links that go wrong: for faults only, never for results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from agent_wire.messages import Fields, Refused
from agent_wire.protocol import PROTOCOL
from agent_wire.server import AgentServer

_STACK_BYTES = 321


@dataclass
class FakeAgent:
    """Its model's input is two frames long; its output is a digest of artifact and input, so no error goes unseen."""

    input_bytes: int = 1500
    output_bytes: int = 32
    identity: str = "fake;fake agent;0"
    timer_hz: int = 1000
    artifact: bytearray = field(default_factory=bytearray)
    input: bytearray = field(default_factory=bytearray)
    announced: tuple[int, bytes] | None = None
    loaded: bool = False
    durations: list[int] = field(default_factory=list)

    def server(self) -> AgentServer:
        return AgentServer({name: getattr(self, name) for name in PROTOCOL.messages})

    @staticmethod
    def output_of(artifact: bytes, input_bytes: bytes) -> bytes:
        return hashlib.sha256(artifact + input_bytes).digest()

    def hello(self, fields: Fields) -> Fields:
        return {
            "pool_bytes": 100_000,
            "timer_hz": self.timer_hz,
            "core_hz": 2000,
            "runtime_code_bytes": 3000,
            "static_bytes": 40,
            "identity": self.identity,
        }

    def load_begin(self, fields: Fields) -> Fields:
        self.loaded = False
        self.artifact.clear()
        self.announced = (fields["artifact_bytes"], fields["sha256"])
        return {}

    def load_chunk(self, fields: Fields) -> Fields:
        if self.announced is None or self.loaded or fields["offset"] != len(self.artifact):
            raise Refused("bad_state", "a gap")
        self.artifact += fields["data"]
        return {}

    def load_end(self, fields: Fields) -> Fields:
        if self.announced is None or self.loaded or len(self.artifact) != self.announced[0]:
            raise Refused("bad_state", "not whole")
        if hashlib.sha256(self.artifact).digest() != self.announced[1]:
            raise Refused("hash_mismatch", "differs")
        self.loaded = True
        self.input.clear()
        return {"arena_bytes": 4000, "input_bytes": self.input_bytes, "output_bytes": self.output_bytes}

    def input_chunk(self, fields: Fields) -> Fields:
        if fields["offset"] == 0:
            self.input.clear()
        if not self.loaded or fields["offset"] != len(self.input):
            raise Refused("bad_state", "a gap")
        self.input += fields["data"]
        return {}

    def _require_input(self) -> None:
        if not self.loaded or len(self.input) != self.input_bytes:
            raise Refused("bad_state", "no input")

    def verify(self, fields: Fields) -> Fields:
        self._require_input()
        return {"output_bytes": 32, "output": self.output_of(self.artifact, self.input)}

    def run(self, fields: Fields) -> Fields:
        self._require_input()
        self.durations = list(range(1, fields["repeats"] + 1))
        return {}

    def result(self, fields: Fields) -> Fields:
        if not self.durations:
            raise Refused("bad_state", "no run")
        part = self.durations[fields["first"] :][:64]
        return {"arena_peak_bytes": 3999, "stack_bytes": _STACK_BYTES, "peak_rss_bytes": 0, "durations": part}

    def reset(self, fields: Fields) -> Fields:
        self.loaded, self.announced, self.durations = False, None, []
        return {}


class Link:
    """A transport to an agent's `receive`; alter is applied to everything on its way, request or answer."""

    def __init__(
        self,
        receive: Callable[[bytes], Iterable[bytes]],
        alter: Callable[[bytes], Iterable[bytes]] = lambda data: [data],
    ) -> None:
        self.receive = receive
        self.alter = alter
        self.closed = False
        self._arrived = b""

    def write(self, data: bytes) -> None:
        for request in self.alter(data):
            for answer in self.receive(request):
                self._arrived += b"".join(self.alter(answer))

    def read(self, timeout_s: float) -> bytes:
        """Never waits: what has not arrived by now will not."""
        data, self._arrived = self._arrived, b""
        return data

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def fake_agent() -> type[FakeAgent]:
    return FakeAgent


@pytest.fixture(scope="session")
def link() -> type[Link]:
    return Link
