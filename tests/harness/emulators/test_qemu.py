"""The board in QEMU as a thing that starts, dies, freezes and is cleaned up after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.emulators.qemu import QemuBoard
from harness.errors import DeviceLost, DeviceUnreachable, UsageError
from harness.farm.session import Deadlines, Session

CODE_OUTSIDE = bytes.fromhex("00100020 01000000")  # a stack, and an entry that is no code


def qemu_of(board: QemuBoard) -> int:
    """The process that listens on the board's port."""
    port = board.port_url.rpartition(":")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            sockets = [str(fd.readlink()) for fd in (process / "fd").iterdir()]
        except OSError:
            continue  # it ended meanwhile
        if command.startswith(b"/usr/bin/qemu-system-arm") and inode_of(port) in sockets:
            return int(process.name)
    raise AssertionError(f"no QEMU has port {port}")


def inode_of(port: str) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == int(port) and fields[3] == "0A":  # listening
            return f"socket:[{fields[9]}]"
    return "none"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends_within(pid: int, seconds: float) -> bool:
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def test_a_board_starts_on_a_port_of_its_own_and_says_what_it_is(stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "one") as one, QemuBoard(stm32f405_firmware, "two") as two:
        assert one.port_url != two.port_url
        for board in (one, two):
            with Session(board.connect(), board.device) as session:
                assert session.hello().profile == "stm32f405"


def test_a_board_can_be_connected_to_again(stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "board-7") as board:
        for _ in range(2):
            with Session(board.connect(), "board-7") as session:
                session.hello()


def test_leaving_stops_the_board_even_when_it_is_frozen(stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "board-7") as board:
        pid = qemu_of(board)
        os.kill(pid, signal.SIGSTOP)
    assert ends_within(pid, 2)


def test_a_board_ends_with_the_harness_however_that_ends(stm32f405_firmware: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from harness.emulators.qemu import QemuBoard\n"
        "board = QemuBoard(Path(sys.argv[1]), 'board-7').__enter__(); print(board.port_url, flush=True); time.sleep(60)"
    )
    harness = subprocess.Popen([sys.executable, "-c", program, str(stm32f405_firmware)], stdout=subprocess.PIPE)
    assert harness.stdout is not None
    board = QemuBoard(stm32f405_firmware, "board-7")
    board.port_url = harness.stdout.readline().decode().strip()
    pid = qemu_of(board)
    harness.kill()
    harness.wait()
    harness.stdout.close()
    assert ends_within(pid, 5)


def test_a_board_that_is_switched_off_is_lost_at_once_and_says_why(stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "board-7") as board, Session(board.connect(), "board-7") as session:
        session.hello()
        os.kill(qemu_of(board), signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(DeviceLost, match="device board-7: its emulator QEMU ended with"):
            session.load(b"artifact")
        assert time.monotonic() - started < 2


def test_a_board_that_freezes_is_lost_within_the_deadline_and_comes_back(stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "board-7") as board:
        session = Session(board.connect(), "board-7", Deadlines(step_s=0.5))
        session.hello()
        pid = qemu_of(board)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(DeviceLost, match=r"did not answer load_begin within 0\.5 s"):
            session.load(b"artifact")
        assert time.monotonic() - started < 1.5
        os.kill(pid, signal.SIGCONT)
        assert session.hello().profile == "stm32f405"
        session.close()


def test_a_firmware_that_locks_up_is_a_lost_device_with_qemus_words(tmp_path: Path) -> None:
    firmware = tmp_path / "agent.bin"
    firmware.write_bytes(CODE_OUTSIDE + bytes(64))
    with QemuBoard(firmware, "board-7") as board:
        session = Session(board.connect(), "board-7")
        with pytest.raises(DeviceLost, match=r"device board-7: its emulator QEMU ended with .*Lockup"):
            session.hello()
        session.close()


def test_a_firmware_that_exceeds_the_flash_is_a_lost_device_with_qemus_words(tmp_path: Path) -> None:
    firmware = tmp_path / "agent.bin"
    firmware.write_bytes(bytes(2 << 20))
    with QemuBoard(firmware, "board-7") as board:
        session = Session(board.connect(), "board-7")
        with pytest.raises(DeviceLost, match=r"QEMU ended with 1: .*agent\.bin"):
            session.hello()
        session.close()


def test_a_qemu_that_does_not_know_the_board_is_an_unreachable_device_with_its_words(
    stm32f405_firmware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "qemu-system-arm"
    old.write_text("#!/bin/sh\necho 'qemu-system-arm: unsupported machine type' >&2; exit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DeviceUnreachable, match=r"board-7: QEMU does not start: .*unsupported machine type"):
        QemuBoard(stm32f405_firmware, "board-7").__enter__()


def test_a_missing_firmware_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"agent\.elf does not exist, the firmware of board-7; build it: make firmware"
    ):
        QemuBoard(tmp_path / "agent.elf", "board-7").__enter__()


def test_a_missing_qemu_says_what_to_install(stm32f405_firmware: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=r"qemu-system-arm is missing.*apt install qemu-system-arm"):
        QemuBoard(stm32f405_firmware, "board-7").__enter__()
