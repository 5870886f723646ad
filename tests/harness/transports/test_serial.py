"""The serial transport on what looks like a port to it: a pseudo terminal, as a cable, and a socket, as an emulator."""

from __future__ import annotations

import os
import pty
import socket
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import EXIT_DEVICE, DeviceLost, DeviceUnreachable
from harness.transports.serial import SerialTransport


@pytest.fixture
def cable() -> Iterator[tuple[int, str]]:
    """The board's end, as a file descriptor, and the path of the harness's."""
    board, harness = pty.openpty()
    tty.setraw(harness)
    path = os.ttyname(harness)
    os.close(harness)
    yield board, path
    os.close(board)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url(server: socket.socket) -> str:
    return f"socket://127.0.0.1:{server.getsockname()[1]}"


def test_bytes_go_both_ways_over_a_terminal(cable: tuple[int, str]) -> None:
    board, path = cable
    transport = SerialTransport(path, "board-7")
    transport.write(bytes(range(256)))
    assert os.read(board, 1000) == bytes(range(256))
    os.write(board, b"\0\x11\x13\n\r\xff")  # none of these may be taken for flow control or a line's end
    assert transport.read(1) == b"\0\x11\x13\n\r\xff"
    transport.close()


def test_reading_returns_what_there_is_without_waiting_for_more(listener: socket.socket) -> None:
    transport = SerialTransport(url(listener), "board-7")
    board, _ = listener.accept()
    board.sendall(b"x" * 1000)
    started = time.monotonic()
    assert transport.read(10) == b"x" * 1000
    assert time.monotonic() - started < 1
    transport.close()


def test_silence_gives_nothing_after_the_timeout(listener: socket.socket) -> None:
    transport = SerialTransport(url(listener), "board-7")
    started = time.monotonic()
    assert transport.read(0.1) == b""
    assert 0.09 < time.monotonic() - started < 1
    transport.close()


def test_a_port_that_nobody_listens_on_names_device_port_and_what_to_do(listener: socket.socket) -> None:
    port = url(listener)
    listener.close()
    with pytest.raises(DeviceUnreachable, match=f"device board-7: cannot open port {port}; is the board plugged in"):
        SerialTransport(port, "board-7")


def test_a_port_that_does_not_exist_names_device_and_port(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnreachable, match=r"device board-7: cannot open port .*/ttyUSB9") as unreachable:
        SerialTransport(str(tmp_path / "ttyUSB9"), "board-7")
    assert unreachable.value.exit_code == EXIT_DEVICE
    assert "\n" not in str(unreachable.value)


def test_a_url_of_another_kind_names_device_and_port() -> None:
    with pytest.raises(DeviceUnreachable, match="device board-7: cannot open port carrier-pigeon://x"):
        SerialTransport("carrier-pigeon://x", "board-7")


def test_a_port_that_another_program_holds_is_unreachable(cable: tuple[int, str]) -> None:
    holder = SerialTransport(cable[1], "board-7")
    with pytest.raises(DeviceUnreachable, match="cannot open port"):
        SerialTransport(cable[1], "board-7")
    holder.close()


def test_a_port_that_goes_away_is_a_lost_device(listener: socket.socket) -> None:
    transport = SerialTransport(url(listener), "board-7")
    board, _ = listener.accept()
    board.close()
    with pytest.raises(DeviceLost, match=r"device board-7: port .* went away"):
        transport.read(5)
    transport.close()


def test_a_cable_that_is_pulled_is_a_lost_device() -> None:
    board, harness = pty.openpty()
    transport = SerialTransport(os.ttyname(harness), "board-7")
    os.close(harness)
    os.close(board)
    with pytest.raises(DeviceLost, match="went away"):
        transport.read(5)
    transport.close()
