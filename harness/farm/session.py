"""One conversation with one agent: strictly in turn, retransmitted until answered, with a deadline on every step.

What leaves this module is a right answer or a typed error of harness/errors.py. The layers above never see frames.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent_wire.messages import Fields, MalformedMessage, Refused
from agent_wire.protocol import PROTOCOL
from dccdka.export.firmware_image import AGENT
from harness.errors import (
    ArtifactRejected,
    CandidateError,
    DeviceError,
    DeviceLost,
    DeviceUnreachable,
    DoesNotFit,
    ProtocolMismatch,
)
from harness.farm.exchange import Exchange
from harness.transports.base import Transport

_CHUNK_BYTES = PROTOCOL.max_payload - PROTOCOL.messages["load_chunk"].request.head.size


@dataclass(frozen=True)
class Hello:
    """What an agent says of itself, as protocol.toml explains; profile, agent and build are its identity's parts."""

    pool_bytes: int
    timer_hz: int
    core_hz: int
    runtime_code_bytes: int
    static_bytes: int
    profile: str
    agent: str
    build: str

    @property
    def has_one_model(self) -> bool:
        """Whether it is firmware that was linked for one artifact and takes no other."""
        return self.agent == AGENT


@dataclass(frozen=True)
class Loaded:
    """What the runtime's loader says of the artifact that it accepted."""

    arena_bytes: int
    input_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class RunResult:
    """ticks and durations_s: one for every timed inference. peak_rss_bytes: 0 where there are no processes."""

    durations_s: list[float]
    ticks: list[int]
    arena_peak_bytes: int
    stack_bytes: int
    peak_rss_bytes: int


@dataclass(frozen=True)
class Deadlines:
    """All in seconds. first_verify_s bounds the first inference of an artifact; later ones are held to what it took."""

    boot_s: float = 5.0
    step_s: float = 5.0
    first_verify_s: float = 60.0
    slack: float = 4.0  # a run may take this many times what its inferences took while verifying


class Session:
    """Call hello() first, load(), verify() each input, then run(). Not for use by several threads."""

    def __init__(self, transport: Transport, device_name: str, deadlines: Deadlines | None = None) -> None:
        self._transport = transport
        self._exchange = Exchange(transport)
        self._device = device_name
        self._deadlines = deadlines or Deadlines()
        self._hello: Hello | None = None
        self._loaded: Loaded | None = None
        self._slowest_verify_s: float | None = None
        self._result: RunResult | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def hello(self) -> Hello:
        """Waits for the device to boot. Raises DeviceUnreachable for silence, ProtocolMismatch for another version."""
        fields = self._ask_hello()
        if fields["version"] != PROTOCOL.version:
            raise self._version_mismatch(fields["version"])
        identity = fields["identity"].split(";")
        if len(identity) != 3 or fields["timer_hz"] == 0:
            raise ProtocolMismatch(
                self._device,
                f"answers hello with the identity {fields['identity']!r} and a timer of {fields['timer_hz']} Hz;"
                " flash the agent of this release",
            )
        figures = {name: value for name, value in fields.items() if name not in ("version", "identity")}
        profile, agent, build = identity
        self._hello = Hello(**figures, profile=profile, agent=agent, build=build)
        return self._hello

    def load(self, artifact: bytes) -> Loaded:
        """Ships the artifact and has it checked. Raises DoesNotFit with the bytes, ArtifactRejected with a code."""
        self._loaded = self._slowest_verify_s = self._result = None
        step_s = self._deadlines.step_s
        digest = hashlib.sha256(artifact).digest()
        self._ask("load_begin", step_s, artifact_bytes=len(artifact), sha256=digest)
        self._send_chunks("load_chunk", artifact)
        self._loaded = Loaded(**self._ask("load_end", step_s))
        return self._loaded

    @property
    def longest_output(self) -> int:
        """Bytes of output that one answer holds; of a longer one verify gives the first part."""
        return PROTOCOL.max_payload - 1 - PROTOCOL.messages["verify"].response.head.size

    def verify(self, input_bytes: bytes) -> bytes:
        """One inference; returns its output, of one longer than longest_output the first part."""
        if self._loaded is None:
            raise RuntimeError("verify before load")
        if len(input_bytes) != self._loaded.input_bytes:
            raise ValueError(f"the model takes {self._loaded.input_bytes} bytes of input, not {len(input_bytes)}")
        self._send_chunks("input_chunk", input_bytes)
        started = time.monotonic()
        answer = self._ask("verify", self._inference_deadline_s(1))
        self._slowest_verify_s = max(self._slowest_verify_s or 0.0, time.monotonic() - started)
        output: bytes = answer["output"]
        held = min(self._loaded.output_bytes, self.longest_output)
        if answer["output_bytes"] != self._loaded.output_bytes or len(output) != held:
            raise ProtocolMismatch(
                self._device,
                f"announced {self._loaded.output_bytes} bytes of output and answers with {len(output)}",
            )
        return output

    def run(self, warm_ups: int, repeats: int) -> RunResult:
        """Timed inferences on the input verified last; 1 <= repeats <= PROTOCOL.max_repeats."""
        if self._hello is None or self._slowest_verify_s is None:
            raise RuntimeError("run before verify")
        if not 1 <= repeats <= PROTOCOL.max_repeats:
            raise ValueError(f"{repeats} repeats; an agent keeps the durations of 1 to {PROTOCOL.max_repeats}")
        # One inference more than asked for: the agent takes its watermarks in a pass of its own.
        self._ask("run", self._inference_deadline_s(1 + warm_ups + repeats), warm_ups=warm_ups, repeats=repeats)
        ticks: list[int] = []
        while True:
            part = self._ask("result", self._deadlines.step_s, first=len(ticks))
            ticks += part["durations"]
            if len(ticks) >= repeats:
                break
            if not part["durations"]:
                raise ProtocolMismatch(self._device, f"kept {len(ticks)} durations of {repeats}")
        self._result = RunResult(
            durations_s=[count / self._hello.timer_hz for count in ticks],
            ticks=ticks,
            arena_peak_bytes=part["arena_peak_bytes"],
            stack_bytes=part["stack_bytes"],
            peak_rss_bytes=part["peak_rss_bytes"],
        )
        return self._result

    def result(self) -> RunResult:
        """What the last run measured, once more."""
        if self._result is None:
            raise RuntimeError("result before run")
        return self._result

    def reset(self) -> Hello:
        """Starts the agent afresh and waits until it is back."""
        self._loaded = self._slowest_verify_s = self._result = None
        self._ask("reset", self._deadlines.step_s)
        return self.hello()

    def _inference_deadline_s(self, inferences: int) -> float:
        if self._slowest_verify_s is None:
            return self._deadlines.first_verify_s
        return self._deadlines.step_s + self._deadlines.slack * inferences * self._slowest_verify_s

    def _send_chunks(self, message: str, data: bytes) -> None:
        for offset in range(0, len(data), _CHUNK_BYTES):
            chunk = data[offset : offset + _CHUNK_BYTES]
            self._ask(message, self._deadlines.step_s, offset=offset, data=chunk)

    def _ask_hello(self) -> Fields:
        boot_s = self._deadlines.boot_s
        try:
            answer = self._exchange.ask("hello", boot_s, version=PROTOCOL.version)
        except Refused as refusal:
            if refusal.status != "bad_state":
                raise self._fault("hello", refusal) from None
            self._exchange.move_on()
            return self._ask("hello", boot_s, version=PROTOCOL.version)
        except MalformedMessage as error:
            raise self._not_understood(error) from None
        if answer is None:
            raise DeviceUnreachable(
                self._device,
                f"no agent answered within {boot_s:g} s; check power, cable and port, and that the agent is flashed",
            )
        return answer

    def _ask(self, message: str, deadline_s: float, **values: object) -> Fields:
        try:
            answer = self._exchange.ask(message, deadline_s, **values)
        except Refused as refusal:
            raise self._fault(message, refusal) from None
        except MalformedMessage as error:
            raise self._not_understood(error) from None
        if answer is None:
            raise DeviceLost(
                self._device, f"did not answer {message} within {deadline_s:.3g} s; check its power and cable"
            )
        return answer

    def _fault(self, message: str, refusal: Refused) -> DeviceError | CandidateError:
        """Whose fault a refusal is."""
        match refusal.status:
            case "too_large" if refusal.needed == 0 or refusal.available == 0:
                # Not the artifact's size, then, but the state the device is in: its memory is full now.
                return DeviceLost(self._device, f"is out of memory in {message} ({refusal.message})")
            case "too_large":
                return DoesNotFit(
                    f"{refusal.message} ({message})", refusal.needed, refusal.available, "B", f"device {self._device}"
                )
            case "artifact_rejected":
                # A loader refuses what only later releases allow.
                return ArtifactRejected(
                    f"device {self._device}: {refusal} (code {refusal.code}, {message});"
                    " flash the agent of this release if it has an older one"
                )
            case "run_failed" | "guard_overwritten":
                return ArtifactRejected(f"device {self._device}: {refusal} (code {refusal.code}, {message})")
            case "bad_state":
                return DeviceLost(self._device, f"was reset in the middle of {message} ({refusal.message})")
            case "hash_mismatch":
                return DeviceLost(self._device, "holds other bytes than were sent; its memory or link is faulty")
            case "bad_version":
                return self._version_mismatch(refusal.code)
        return ProtocolMismatch(self._device, f"does not understand {message} ({refusal.message})")

    def _version_mismatch(self, version: int) -> ProtocolMismatch:
        return ProtocolMismatch(
            self._device,
            f"speaks protocol version {version}, this harness {PROTOCOL.version}; flash the agent of this release",
        )

    def _not_understood(self, error: MalformedMessage) -> ProtocolMismatch:
        return ProtocolMismatch(
            self._device,
            f"answers outside protocol version {PROTOCOL.version} ({error}); flash the agent of this release",
        )
