"""Opens a device of the inventory, whatever it is: starts its emulator or server, connects, and says hello."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from harness.config import (
    DeviceEntry,
    LoopbackSshConnection,
    Profile,
    QemuConnection,
    SerialConnection,
    SshConnection,
    check_entry,
)
from harness.emulators.instruction_counter import InstructionCount, count_instructions
from harness.emulators.loopback_sshd import LoopbackSshd
from harness.emulators.qemu import QemuBoard
from harness.errors import ProtocolMismatch, UsageError
from harness.farm.session import Hello, Session
from harness.resources import build_dir
from harness.transports.agent_upload import LinuxAgent
from harness.transports.base import Transport
from harness.transports.serial import SerialTransport
from harness.transports.ssh import SshTransport
from harness.transports.ssh_host import SshHost


@dataclass(frozen=True)
class OpenDevice:
    """A device that has said hello. close() ends the conversation, and the emulator where there is one.

    counter: counts the instructions of (artifact, input) beside the device, where its own clock is an emulator's.
    """

    name: str
    entry: DeviceEntry
    profile: Profile
    session: Session
    hello: Hello
    counter: Callable[[bytes, bytes], InstructionCount] | None
    _resources: ExitStack

    @property
    def firmware(self) -> str:
        """Which build of which agent: a measurement holds for this one only."""
        return f"{self.hello.agent} {self.hello.build}"

    def close(self) -> None:
        self._resources.close()


class DeviceOpener:
    """Context manager that owns what devices share: the sshd on loopback. state: a folder for its keys and logs."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._shared = ExitStack()
        self._sshd: LoopbackSshd | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.close()

    def open(self, name: str, entry: DeviceEntry, profile: Profile) -> OpenDevice:
        """Raises DeviceUnreachable, ProtocolMismatch (also for a board of another profile), or UsageError."""
        check_entry(name, entry, profile)
        with ExitStack() as resources:
            session = Session(self._connect(name, entry, profile, resources), name)
            resources.callback(session.close)
            hello = session.hello()
            if hello.profile != profile.name:
                raise ProtocolMismatch(
                    name, f"says that it is a {hello.profile!r}, the inventory that it is a {profile.name!r}"
                )
            clock_hz = profile.clock_hz.value
            is_board = entry.connection.kind == "serial" and not entry.emulated
            if is_board and clock_hz and hello.core_hz != clock_hz:
                raise ProtocolMismatch(
                    name,
                    f"runs at {hello.core_hz / 1e6:g} MHz, but the profile's figures hold at {clock_hz / 1e6:g} MHz;"
                    " check its oscillator, or write a profile for this clock",
                )
            counter = _count_on_cortex_a53 if entry.user_emulator is not None else None
            return OpenDevice(name, entry, profile, session, hello, counter, resources.pop_all())

    def _connect(self, name: str, entry: DeviceEntry, profile: Profile, resources: ExitStack) -> Transport:
        connection = entry.connection
        match connection:
            case SerialConnection():
                return SerialTransport(connection.port, name)
            case QemuConnection():
                firmware = build_dir() / "firmware" / profile.name / "agent.elf"
                if connection.firmware is not None:
                    firmware = connection.firmware.expanduser()
                    if not firmware.is_file():
                        raise UsageError(f"device {name}: firmware: {firmware} does not exist")
                return resources.enter_context(QemuBoard(firmware, name)).connect()
            case LoopbackSshConnection():
                sshd = self._loopback_sshd()
                host = SshHost(sshd.host, sshd.port, sshd.user, sshd.key_file, sshd.known_hosts)
                return SshTransport(host, _linux_agent(entry, profile), name)
            case SshConnection():
                host = SshHost(
                    connection.host, connection.port, connection.user, connection.key_file, connection.known_hosts
                )
                return SshTransport(host, _linux_agent(entry, profile), name)
        assert_never(connection)

    def _loopback_sshd(self) -> LoopbackSshd:
        with self._lock:
            if self._sshd is None:
                self._sshd = self._shared.enter_context(LoopbackSshd(self._state / "sshd"))
            return self._sshd


def _linux_agent(entry: DeviceEntry, profile: Profile) -> LinuxAgent:
    machine = platform.machine() if profile.architecture == "native" else profile.architecture
    emulator = (entry.user_emulator, "-cpu", profile.core) if entry.user_emulator is not None else ()
    return LinuxAgent(profile.name, build_dir() / "linux" / machine / "runner", emulator)


def _count_on_cortex_a53(artifact: bytes, model_input: bytes) -> InstructionCount:
    return count_instructions(artifact, model_input, image=build_dir() / "counter" / "aarch64" / "counter.elf")
