"""Which agents the suite is held against: a fixture for each, that gives an open transport to the real thing.

To add an agent, write such a fixture and put its name into AGENTS.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent_wire.framing import RESPONSE_BIT, Frame, FrameDecoder, encode_frame
from agent_wire.messages import Fields, Refused, decode_response, encode_request
from agent_wire.protocol import PROTOCOL
from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs
from harness.emulators.loopback_sshd import LoopbackSshd
from harness.emulators.qemu import QemuBoard
from harness.farm.session import Session
from harness.transports.agent_upload import LinuxAgent
from harness.transports.base import Transport
from harness.transports.ssh import SshTransport
from harness.transports.ssh_host import SshHost

AGENTS = ["stm32f405_in_qemu", "linux_over_ssh"]


@pytest.fixture(scope="module")
def stm32f405_in_qemu(stm32f405_firmware: Path) -> Iterator[Transport]:
    with QemuBoard(stm32f405_firmware, "stm32f405 in QEMU") as board:
        port = board.connect()
        yield port
        port.close()


@pytest.fixture(scope="module")
def linux_over_ssh(sshd: LoopbackSshd, linux_build: Path) -> Iterator[Transport]:
    agent = LinuxAgent("linux-host", linux_build / "linux" / platform.machine() / "runner")
    host = SshHost(sshd.host, sshd.port, sshd.user, sshd.key_file, sshd.known_hosts)
    transport = SshTransport(host, agent, "this machine over SSH")
    yield transport
    transport.close()


@pytest.fixture(scope="module", params=AGENTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    opened: Transport = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
def session(transport: Transport) -> Session:
    """A conversation with an agent that holds nothing."""
    session = Session(transport, "the agent under test")
    session.hello()
    session.reset()
    return session


class RawLink:
    """Single frames, to say what a Session never would. Sequences are the test's: next_sequence() or an old one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._decoder = FrameDecoder()
        self._received: list[Frame] = []
        self._sequence = random.randrange(0x10000)

    def next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % 0x10000
        return self._sequence

    def greet(self) -> Fields:
        """Hello until the agent has booted and takes our sequences for new."""
        for _ in range(100):
            self.send(self.next_sequence(), "hello", version=PROTOCOL.version)
            answer = self.receive(timeout_s=0.05)
            if answer is None:
                continue
            try:
                return decode_response("hello", answer.payload)
            except Refused:
                self._sequence += 0x8000
        raise AssertionError("the agent does not answer hello")

    def send(self, sequence: int, message: str, **values: object) -> bytes:
        """Returns what it sent, to be sent again."""
        sent = encode_frame(Frame(sequence, *encode_request(message, values)))
        self.write(sent)
        return sent

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def receive(self, timeout_s: float = 5.0) -> Frame | None:
        while not self._received:
            data = self._transport.read(timeout_s)
            if not data:
                return None
            self._received += self._decoder.feed(data)
        return self._received.pop(0)

    def ask(self, message: str, **values: object) -> Fields:
        """A whole exchange; raises Refused."""
        sequence = self.next_sequence()
        self.send(sequence, message, **values)
        answer = self.receive()
        assert answer is not None, f"no answer to {message}"
        assert (answer.sequence, answer.kind) == (sequence, PROTOCOL.messages[message].kind | RESPONSE_BIT)
        return decode_response(message, answer.payload)


@pytest.fixture
def raw(transport: Transport, session: Session) -> RawLink:
    """To an agent that has just been reset."""
    link = RawLink(transport)
    link.greet()
    return link


class Candidate:
    """An artifact of random operators, inputs for it, and what the reference interpreter makes of them."""

    def __init__(self, seed: int, operators: int = 5, inputs: int = 4) -> None:
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators)
        self.artifact = pack(graph)
        samples = random_inputs(generator, graph, inputs)
        self.inputs = [sample.tobytes() for sample in samples]
        self.outputs = [output.tobytes() for output in run_reference(read_artifact(self.artifact), samples)]


@pytest.fixture(scope="session")
def candidates() -> list[Candidate]:
    return [Candidate(seed) for seed in range(8)]
