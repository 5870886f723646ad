"""A Cortex-M board played by QEMU: started when it is needed, reached through a serial port, gone when the harness is.

It runs the very image that a real board runs. -icount shift=0 makes the board's timer step once for each instruction,
so that ticks repeat exactly; they are instructions, not time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.emulators.tied_process import start_tied
from harness.errors import DeviceLost, DeviceUnreachable, UsageError
from harness.transports.serial import SerialTransport

_START_TIMEOUT_S = 10.0
_DYING_S = 1.0  # from the moment its port closes until its last words are in the log

# netduinoplus2 has an STM32F405. QEMU picks a free port itself, says which, and waits until somebody connects.
_BOARD = ["-M", "netduinoplus2", "-nodefaults", "-display", "none", "-monitor", "none"]
_PORT = ["-chardev", "socket,id=port,host=127.0.0.1,port=0,server=on,wait=on,nodelay=on", "-serial", "chardev:port"]
_COUNTING = ["-icount", "shift=0,sleep=off"]
# QEMU hands every byte of the port from one of its threads to another. On one processor that is a mere switch between
# them; across two it took 2 to 10 times as long and as much of the processors. So each board keeps to one, in turn.
_PROCESSORS = itertools.cycle(sorted(os.sched_getaffinity(0)))
_LISTENING = re.compile(r"QEMU waiting for connection on: .*:(\d+),server")


class QemuBoard:
    """Context manager: the board runs inside it. firmware: the ELF that `make firmware` builds."""

    def __init__(self, firmware: Path, device_name: str) -> None:
        self._firmware = firmware
        self._device = device_name
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.port_url = ""

    def __enter__(self) -> Self:
        """Raises UsageError when QEMU or the firmware is missing, DeviceUnreachable when the board does not start."""
        qemu = shutil.which("qemu-system-arm")
        if qemu is None:
            raise UsageError(f"qemu-system-arm is missing, which plays {self._device}: apt install qemu-system-arm")
        if not self._firmware.is_file():
            raise UsageError(
                f"{self._firmware} does not exist, the firmware of {self._device}; build it: make firmware"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="dccdka-qemu-")
        command = [
            "taskset",
            "--cpu-list",
            str(next(_PROCESSORS)),
            qemu,
            *_BOARD,
            *_PORT,
            *_COUNTING,
            "-kernel",
            str(self._firmware),
        ]
        self._process = start_tied(command, self._log)
        try:
            self.port_url = f"socket://127.0.0.1:{self._wait_for_port()}"
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> BoardPort:
        """The board's serial port."""
        return BoardPort(self)

    def close(self) -> None:
        if self._process is not None:
            # Its whole group at once, and not politely: a stopped or hanging QEMU would not listen.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def explain(self, lost: DeviceLost) -> DeviceLost:
        """lost itself while QEMU runs; when it has died, its last words instead."""
        if self._process is None:
            return lost
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            return lost
        return DeviceLost(self._device, f"its emulator QEMU ended with {code}: {self._words()}")

    @property
    def device(self) -> str:
        return self._device

    @property
    def _log(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the board is not running")
        return Path(self._folder.name) / "qemu.log"

    def _wait_for_port(self) -> int:
        assert self._process is not None
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at:
            ended = self._process.poll() is not None
            if listening := _LISTENING.search(self._log.read_text(errors="replace")):
                return int(listening[1])
            if ended:
                raise DeviceUnreachable(self._device, f"QEMU does not start: {self._words()}")
            time.sleep(0.005)
        raise DeviceUnreachable(self._device, f"QEMU opened no port within {_START_TIMEOUT_S:g} s: {self._words()}")

    def _words(self) -> str:
        """The first line of the log that is not about the port: what follows it are registers."""
        lines = self._log.read_text(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip() and not _LISTENING.search(line)]
        return said[0] if said else "it said nothing"


class BoardPort:
    """The serial port of a QemuBoard, as a Transport; a board that died says why."""

    def __init__(self, board: QemuBoard) -> None:
        self._board = board
        self._port = SerialTransport(board.port_url, board.device)

    def read(self, timeout_s: float) -> bytes:
        try:
            return self._port.read(timeout_s)
        except DeviceLost as lost:
            raise self._board.explain(lost) from None

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except DeviceLost as lost:
            raise self._board.explain(lost) from None

    def close(self) -> None:
        self._port.close()
