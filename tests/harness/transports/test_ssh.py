"""The SSH transport against the real sshd, with the real agent and runner behind it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.emulators.loopback_sshd import LoopbackSshd
from harness.errors import ArtifactRejected, DeviceLost, DeviceUnreachable, UsageError
from harness.farm.session import Deadlines, Session
from harness.transports.agent_upload import LinuxAgent
from harness.transports.ssh import SshTransport
from harness.transports.ssh_host import SshHost

INPUT = bytes(range(16))


def at(server: LoopbackSshd) -> SshHost:
    return SshHost(server.host, server.port, server.user, server.key_file, server.known_hosts)


@pytest.fixture
def host(sshd: LoopbackSshd) -> SshHost:
    return at(sshd)


@pytest.fixture
def own_sshd(tmp_path: Path) -> Iterator[LoopbackSshd]:
    """One that no other test has used: its home is empty and only this test's agent runs there."""
    with LoopbackSshd(tmp_path) as server:
        yield server


@pytest.fixture
def native(obedient_build: Path) -> LinuxAgent:
    return LinuxAgent("linux-host", obedient_build / "linux" / platform.machine() / "runner")


@pytest.fixture
def emulated_pi(obedient_build: Path) -> LinuxAgent:
    emulator = ("qemu-aarch64-static", "-cpu", "cortex-a53")
    return LinuxAgent("raspberry-pi-3", obedient_build / "linux" / "aarch64" / "runner", emulator)


def agent_pid(home: Path) -> int:
    """The agent that runs in the uploads below home."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            in_home = (process / "cwd").readlink().is_relative_to(home)
            if in_home and b"agent.pyz" in (process / "cmdline").read_bytes():
                return int(process.name)
        except OSError:
            continue  # it ended meanwhile
    raise AssertionError("no agent runs")


def test_this_machine_is_verified_and_measured(host: SshHost, native: LinuxAgent, obedient: Any) -> None:
    with Session(SshTransport(host, native, "this-machine"), "this-machine") as session:
        hello = session.hello()
        assert (hello.profile, hello.agent) == ("linux-host", "edge_agent")
        session.load(obedient())
        assert session.verify(INPUT) == obedient.output(INPUT)
        result = session.run(2, 100)
        assert len(result.durations_s) == 100
        assert all(1e-8 < duration < 1e-2 for duration in result.durations_s)
        assert result.peak_rss_bytes > 0


def test_the_emulated_pi_gives_its_bits_and_no_time_of_its_own(
    host: SshHost, emulated_pi: LinuxAgent, obedient: Any
) -> None:
    with Session(SshTransport(host, emulated_pi, "pi"), "pi") as session:
        hello = session.hello()
        assert (hello.profile, hello.agent) == ("raspberry-pi-3", "edge_agent+qemu-aarch64-static")
        session.load(obedient())
        assert session.verify(INPUT) == obedient.output(INPUT)
        result = session.run(2, 3)
        assert (result.durations_s, result.peak_rss_bytes) == ([0.0] * 3, 0)
        assert result.stack_bytes >= 1000


def test_agent_and_runner_are_uploaded_once(own_sshd: LoopbackSshd, native: LinuxAgent) -> None:
    SshTransport(at(own_sshd), native, "first").close()
    (folder,) = (own_sshd.home / ".cache" / "dccdka").iterdir()
    first = {file.name: file.stat().st_ino for file in folder.iterdir()}
    SshTransport(at(own_sshd), native, "second").close()
    assert {file.name: file.stat().st_ino for file in folder.iterdir()} == first
    assert set(first) == {"agent.pyz", "runner"}


def test_an_upload_that_was_cut_short_is_made_again(
    host: SshHost, sshd: LoopbackSshd, native: LinuxAgent, obedient: Any
) -> None:
    SshTransport(host, native, "first").close()
    runner = sshd.home / native.upload().folder / "runner"
    runner.write_bytes(runner.read_bytes()[:1000])
    with Session(SshTransport(host, native, "second"), "second") as session:
        session.hello()
        session.load(obedient())


def test_a_read_waits_no_longer_than_it_is_told(host: SshHost, native: LinuxAgent) -> None:
    transport = SshTransport(host, native, "quiet")
    started = time.monotonic()
    assert transport.read(0.2) == b""
    assert 0.15 < time.monotonic() - started < 1.0
    transport.close()


def test_a_candidate_that_crashes_is_the_candidates_fault_and_the_device_goes_on(
    host: SshHost, native: LinuxAgent, obedient: Any
) -> None:
    with Session(SshTransport(host, native, "this-machine"), "this-machine") as session:
        session.hello()
        session.load(obedient(obedient.CRASH))
        with pytest.raises(ArtifactRejected, match=r"SIGILL|SIGTRAP"):
            session.verify(INPUT)
        session.load(obedient())
        assert session.verify(INPUT) == obedient.output(INPUT)


def test_an_agent_that_is_killed_in_the_middle_of_a_run_is_a_lost_device(
    own_sshd: LoopbackSshd, native: LinuxAgent, obedient: Any
) -> None:
    deadlines = Deadlines(first_verify_s=20)
    with Session(SshTransport(at(own_sshd), native, "doomed"), "doomed", deadlines) as session:
        session.hello()
        session.load(obedient(obedient.HANG))
        threading.Timer(0.3, os.kill, (agent_pid(own_sshd.home), signal.SIGKILL)).start()
        started = time.monotonic()
        with pytest.raises(DeviceLost, match=r"device doomed: the agent on .* ended"):
            session.verify(INPUT)
        assert time.monotonic() - started < 5  # at once, not when the deadline passes


def test_an_agent_that_freezes_is_a_lost_device_when_the_deadline_passes(
    own_sshd: LoopbackSshd, native: LinuxAgent, obedient: Any
) -> None:
    deadlines = Deadlines(first_verify_s=1, step_s=1)
    with Session(SshTransport(at(own_sshd), native, "frozen"), "frozen", deadlines) as session:
        session.hello()
        session.load(obedient())
        pid = agent_pid(own_sshd.home)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        try:
            with pytest.raises(DeviceLost, match="device frozen: did not answer"):
                session.verify(INPUT)
            assert 0.9 < time.monotonic() - started < 3
        finally:
            os.kill(pid, signal.SIGKILL)


def test_an_unknown_host_key_is_refused_with_the_command_that_adds_it(
    host: SshHost, native: LinuxAgent, tmp_path: Path
) -> None:
    stranger = replace(host, known_hosts=tmp_path / "known hosts")
    with pytest.raises(DeviceUnreachable) as refused:
        SshTransport(stranger, native, "stranger")
    message = str(refused.value)
    assert message.startswith("device stranger: ")
    assert "ssh-ed25519 SHA256:" in message
    assert "\n" not in message
    assert os.system(message.partition("add it: ")[2] + " 2>/dev/null") == 0
    SshTransport(stranger, native, "friend").close()


def test_a_changed_host_key_is_refused_loudly(
    host: SshHost, sshd: LoopbackSshd, native: LinuxAgent, tmp_path: Path
) -> None:
    other_key = sshd.key_file.with_suffix(".pub").read_text()
    known_hosts = tmp_path / "known hosts"
    known_hosts.write_text(f"[{host.host}]:{host.port} {other_key}")
    stale = replace(host, known_hosts=known_hosts)
    with pytest.raises(DeviceUnreachable, match=r"device board: THE HOST KEY OF .* HAS CHANGED") as refused:
        SshTransport(stale, native, "board")
    assert os.system(str(refused.value).partition("old key: ")[2] + " >/dev/null 2>&1") == 0
    with pytest.raises(DeviceUnreachable, match="is not in"):
        SshTransport(stale, native, "board")


def test_a_port_nobody_listens_on_is_named(host: SshHost, native: LinuxAgent) -> None:
    with pytest.raises(DeviceUnreachable, match=r"device nobody: no SSH server answers at .*@127.0.0.1:1 "):
        SshTransport(replace(host, port=1), native, "nobody")


def test_a_key_that_is_not_admitted_is_named(host: SshHost, sshd: LoopbackSshd, native: LinuxAgent) -> None:
    wrong = sshd.key_file.with_name("host_key")
    with pytest.raises(DeviceUnreachable, match=r"device locked: .* does not admit us with key .*host_key"):
        SshTransport(replace(host, key_file=wrong), native, "locked")


def test_a_key_file_that_does_not_exist_is_named(host: SshHost, native: LinuxAgent, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device board: key_file .*no-key does not exist"):
        SshTransport(replace(host, key_file=tmp_path / "no-key"), native, "board")


def test_a_key_file_of_a_bad_format_is_not_the_servers_fault(
    host: SshHost, sshd: LoopbackSshd, native: LinuxAgent, tmp_path: Path
) -> None:
    for text in (b"no key at all", b"\xff\x00", sshd.key_file.with_suffix(".pub").read_bytes()):
        key = tmp_path / "key"
        key.write_bytes(text)
        with pytest.raises(UsageError, match=r"device board: key_file .*key is not a private key that can be used"):
            SshTransport(replace(host, key_file=key), native, "board")


def test_a_key_file_that_cannot_be_read_is_not_the_servers_fault(
    host: SshHost, native: LinuxAgent, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"device board: key_file .* cannot be read: Is a directory"):
        SshTransport(replace(host, key_file=tmp_path), native, "board")
    with pytest.raises(UsageError, match=r"device board: key_file ~nobody-of-this-name/key: "):
        SshTransport(replace(host, key_file=Path("~nobody-of-this-name/key")), native, "board")


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without keys and without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def test_a_user_without_any_key_is_told_so(host: SshHost, native: LinuxAgent, empty_home: Path) -> None:
    with pytest.raises(DeviceUnreachable, match=r"does not admit us with any key in ~/.ssh or ssh-agent"):
        SshTransport(replace(host, key_file=None), native, "board")


def test_a_key_with_a_default_name_admits_us_without_key_file(
    host: SshHost, sshd: LoopbackSshd, native: LinuxAgent, empty_home: Path
) -> None:
    (empty_home / ".ssh" / "id_ed25519").write_bytes(sshd.key_file.read_bytes())
    SshTransport(replace(host, key_file=None), native, "board").close()


def test_a_key_with_a_passphrase_is_used_through_the_agent_as_the_message_says(
    host: SshHost, sshd: LoopbackSshd, native: LinuxAgent, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = empty_home / "locked"
    locked.write_bytes(sshd.key_file.read_bytes())
    locked.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", locked], check=True, stdout=subprocess.DEVNULL)
    with pytest.raises(UsageError, match="has a passphrase; add it to ssh-agent and leave key_file out"):
        SshTransport(replace(host, key_file=locked), native, "board")
    socket = empty_home / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            until = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < until:
                time.sleep(0.02)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            subprocess.run(["ssh-add", "-q", sshd.key_file], check=True)
            SshTransport(replace(host, key_file=None), native, "board").close()
        finally:
            agent.terminate()


def test_known_hosts_that_cannot_be_read_are_named(host: SshHost, native: LinuxAgent, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("host ssh-ed25519 not*base64\n")
    with pytest.raises(UsageError, match=f"{known_hosts}: cannot be read as known hosts: host ssh-ed25519 not"):
        SshTransport(replace(host, known_hosts=known_hosts), native, "board")


def test_a_runner_that_does_not_run_there_is_told_with_what_the_agent_said(host: SshHost, tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    runner.write_bytes(b"\x7fELF for some other machine")
    with (
        Session(SshTransport(host, LinuxAgent("linux-host", runner), "other"), "other") as session,
        pytest.raises(DeviceUnreachable, match=r"does not start \(exit status 3; edge_agent: .*built for this machine"),
    ):
        session.hello()


def test_a_runner_that_was_never_built_is_named(host: SshHost, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-runner: No such file or directory; build the runner: make -C agents"):
        SshTransport(host, LinuxAgent("linux-host", tmp_path / "no-runner"), "board")
