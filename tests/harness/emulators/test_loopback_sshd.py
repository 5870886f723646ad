"""The sshd on loopback: private, on loopback only, and gone when the harness is."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.emulators import loopback_sshd
from harness.emulators.loopback_sshd import LoopbackSshd
from harness.errors import UsageError
from harness.transports.ssh_host import SshHost, open_connection


def shell(server: LoopbackSshd, command: str) -> str:
    host = SshHost(server.host, server.port, server.user, server.key_file, server.known_hosts)
    with open_connection(host, "loopback") as client:
        return client.exec_command(command)[1].read().decode()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def stops_listening(port: int) -> bool:
    """Within seconds: a child that sshd has just forked for a connection holds its listening socket for a moment."""
    deadline = time.monotonic() + 5
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not listens(port)


def test_a_login_gets_an_empty_home_inside_the_state_folder(tmp_path: Path) -> None:
    with LoopbackSshd(tmp_path / "with a space") as server:
        assert shell(server, "cd; pwd; ls -A") == f"{server.home}\n"


def test_it_listens_on_loopback_only(sshd: LoopbackSshd) -> None:
    sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = [line.split()[1] for line in sockets.splitlines() if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{sshd.port:04X}")] == [f"0100007F:{sshd.port:04X}"]


def test_it_keeps_its_keys_so_that_a_known_host_stays_known(tmp_path: Path) -> None:
    with LoopbackSshd(tmp_path) as server:
        first = server.known_hosts.read_text().split()[2]
    with LoopbackSshd(tmp_path) as server:
        assert server.known_hosts.read_text().split()[2] == first


def test_it_stops_listening_at_the_end(tmp_path: Path) -> None:
    with LoopbackSshd(tmp_path) as server:
        assert listens(server.port)
    assert stops_listening(server.port)


def test_it_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from harness.emulators.loopback_sshd import LoopbackSshd\n"
        "with LoopbackSshd(Path(sys.argv[1])) as server:\n"
        "    print(server.port, flush=True)\n"
        "    time.sleep(60)\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    port = int(harness.stdout.readline())
    assert listens(port)
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert stops_listening(port)


def test_without_sshd_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(loopback_sshd, "_SYSTEM_FOLDERS", "")
    with pytest.raises(UsageError, match="apt install openssh-server"), LoopbackSshd(tmp_path / "state"):
        pass


def test_the_last_words_of_an_sshd_that_does_not_start_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sshd = tmp_path / "sshd"
    sshd.write_text("#!/bin/sh\necho no entropy today >&2\nexit 1\n")
    sshd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UsageError, match="does not start: no entropy today"), LoopbackSshd(tmp_path / "state"):
        pass
