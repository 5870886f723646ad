"""What the agent does for each message of the protocol; framing and retransmission are agent_wire's affair."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent_wire.messages import Fields, Refused
from agent_wire.protocol import PROTOCOL
from agent_wire.server import AgentServer
from edge_agent.runner import Description, Loaded, Runner, RunResult

_NANOSECONDS_HZ = 1_000_000_000
_MAX_POOL_BYTES = 256 * 1024 * 1024
_VERIFY_OUTPUT_BYTES = PROTOCOL.max_payload - 5  # behind status u8 and output_bytes u32
_DURATIONS_PER_RESULT = 64


@dataclass(frozen=True)
class Identity:
    """What the agent says of itself: "profile;agent;build"."""

    profile: str
    emulator: tuple[str, ...]  # the command that emulates the device's processor; empty on the device itself
    build: str

    def __str__(self) -> str:
        agent = "+".join(["edge_agent", *(Path(word).name for word in self.emulator[:1])])
        return f"{self.profile};{agent};{self.build}"


@dataclass
class _Held:
    """What the harness has sent since the last reset, and what came of it."""

    artifact: bytearray = field(default_factory=bytearray)
    artifact_bytes: int = 0
    artifact_sha256: bytes = b""
    runner: Runner | None = None
    loaded: Loaded | None = None
    input: bytearray = field(default_factory=bytearray)
    input_stored: bool = False
    last_run: RunResult | None = None


class Agent:
    """Holds the artifact and input that the harness has sent, and the runner process that has loaded them.

    Under an emulator time and resident memory are the emulator's: durations and peak_rss_bytes are then 0, so that
    nobody can take them for the device's.
    """

    def __init__(
        self, identity: Identity, runner_command: Sequence[str], description: Description, harness_fd: int
    ) -> None:
        self._identity = identity
        self._runner_command = list(runner_command)
        self._description = description
        self._harness_fd = harness_fd
        self._pool_bytes = pool_bytes()
        self._held = _Held()

    def server(self) -> AgentServer:
        return AgentServer(
            {
                "hello": self._hello,
                "load_begin": self._load_begin,
                "load_chunk": self._load_chunk,
                "load_end": self._load_end,
                "input_chunk": self._input_chunk,
                "verify": self._verify,
                "run": self._run,
                "result": self._result,
                "reset": self._reset,
            }
        )

    def close(self) -> None:
        """Ends the runner and forgets what the harness has sent."""
        if self._held.runner is not None:
            self._held.runner.close()
        self._held = _Held()

    def _hello(self, request: Fields) -> Fields:
        return {
            "pool_bytes": self._pool_bytes,
            "timer_hz": _NANOSECONDS_HZ,
            "core_hz": 0 if self._identity.emulator else core_hz(),
            "runtime_code_bytes": self._description.runtime_code_bytes,
            "static_bytes": self._description.static_bytes,
            "identity": str(self._identity),
        }

    def _load_begin(self, request: Fields) -> Fields:
        self._require_pool("artifact", request["artifact_bytes"])
        self.close()
        self._held.artifact_bytes = request["artifact_bytes"]
        self._held.artifact_sha256 = request["sha256"]
        return {}

    def _load_chunk(self, request: Fields) -> Fields:
        _append(self._held.artifact, request, self._held.artifact_bytes)
        return {}

    def _load_end(self, request: Fields) -> Fields:
        held = self._held
        if not held.artifact_sha256 or held.runner is not None:
            raise Refused("bad_state", "no artifact was announced")
        if hashlib.sha256(held.artifact).digest() != held.artifact_sha256:
            raise Refused("hash_mismatch", f"{len(held.artifact)} bytes arrived and their SHA-256 differs")
        held.runner = Runner(self._runner_command, self._harness_fd)
        loaded = held.runner.load(bytes(held.artifact))
        needed = held.artifact_bytes + loaded.arena_bytes + loaded.input_bytes
        self._require_pool("artifact, arena and input", needed)
        held.loaded = loaded
        return {
            "arena_bytes": loaded.arena_bytes,
            "input_bytes": loaded.input_bytes,
            "output_bytes": loaded.output_bytes,
        }

    def _input_chunk(self, request: Fields) -> Fields:
        held = self._held
        if held.loaded is None:
            raise Refused("bad_state", "no artifact is loaded")
        if request["offset"] == 0:
            held.input.clear()
        held.input_stored = False
        _append(held.input, request, held.loaded.input_bytes)
        return {}

    def _verify(self, request: Fields) -> Fields:
        output = self._runner_with_input().verify()
        return {"output_bytes": len(output), "output": output[:_VERIFY_OUTPUT_BYTES]}

    def _run(self, request: Fields) -> Fields:
        if not 1 <= request["repeats"] <= PROTOCOL.max_repeats:
            raise Refused("bad_message", f"{request['repeats']} repeats; 1 to {PROTOCOL.max_repeats} are possible")
        result = self._runner_with_input().run(request["warm_ups"], request["repeats"])
        if self._identity.emulator:
            result = replace(result, peak_rss_bytes=0, durations_ns=[0] * len(result.durations_ns))
        self._held.last_run = result
        return {}

    def _result(self, request: Fields) -> Fields:
        last_run = self._held.last_run
        if last_run is None:
            raise Refused("bad_state", "nothing was run")
        first = request["first"]
        return {
            "arena_peak_bytes": last_run.arena_peak_bytes,
            "stack_bytes": last_run.stack_bytes,
            "peak_rss_bytes": last_run.peak_rss_bytes,
            "durations": last_run.durations_ns[first : first + _DURATIONS_PER_RESULT],
        }

    def _reset(self, request: Fields) -> Fields:
        self.close()
        return {}

    def _require_pool(self, what: str, needed: int) -> None:
        if needed > self._pool_bytes:
            raise Refused("too_large", what, needed=min(needed, 0xFFFFFFFF), available=self._pool_bytes)

    def _runner_with_input(self) -> Runner:
        held = self._held
        if held.runner is None or held.loaded is None:
            raise Refused("bad_state", "no artifact is loaded")
        if len(held.input) != held.loaded.input_bytes:
            raise Refused("bad_state", f"{len(held.input)} of {held.loaded.input_bytes} input bytes have arrived")
        if not held.input_stored:
            held.runner.store_input(bytes(held.input))
            held.input_stored = True
        return held.runner


def _append(buffer: bytearray, request: Fields, size: int) -> None:
    """Appends a chunk that must follow what buffer has, and end within size."""
    offset, data = request["offset"], request["data"]
    if offset != len(buffer):
        raise Refused("bad_message", f"chunk at {offset} where {len(buffer)} bytes have arrived")
    if offset + len(data) > size:
        raise Refused("bad_message", f"chunk up to {offset + len(data)} of {size} bytes")
    buffer += data


def pool_bytes() -> int:
    """A quarter of the memory that is free, and no more than any candidate for a small device could want."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min(int(line.split()[1]) * 1024 // 4, _MAX_POOL_BYTES)
    return _MAX_POOL_BYTES


def core_hz() -> int:
    """The highest clock of the first core; 0 where the kernel does not say."""
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").read_text()) * 1000
    except OSError:
        return 0
