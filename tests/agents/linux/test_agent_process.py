"""The agent as the one file that is uploaded: started by a bare python3, spoken to over its stdin and stdout."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent_wire.framing import Frame, FrameDecoder, encode_frame
from agent_wire.messages import decode_response, encode_request
from agent_wire.protocol import PROTOCOL
from harness.transports.agent_upload import agent_zipapp


@pytest.fixture
def zipapp(tmp_path: Path) -> Path:
    file = tmp_path / "agent.pyz"
    file.write_bytes(agent_zipapp())
    return file


def start(zipapp: Path, runner: Path, *options: str) -> subprocess.Popen[bytes]:
    # -I: nothing of this environment's packages, as on a machine that has only Python.
    command = [sys.executable, "-I", "-S", str(zipapp), "--runner", str(runner), "--profile", "linux-host", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def send(process: subprocess.Popen[bytes], sequence: int, message: str, **values: object) -> None:
    assert process.stdin is not None
    process.stdin.write(encode_frame(Frame(sequence, *encode_request(message, values))))
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes], message: str) -> dict[str, Any]:
    assert process.stdout is not None
    decoder = FrameDecoder()
    while data := os.read(process.stdout.fileno(), 4096):
        for frame in decoder.feed(data):
            return decode_response(message, frame.payload)
    raise AssertionError("the agent ended")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_same_sources_make_the_same_file() -> None:
    first = agent_zipapp()
    agent_zipapp.cache_clear()
    assert agent_zipapp() == first


def test_it_answers_hello_and_ends_with_its_input(zipapp: Path, obedient_build: Path) -> None:
    runner = obedient_build / "linux" / platform.machine() / "runner"
    process = start(zipapp, runner, "--build", "1234")
    send(process, 1, "hello", version=PROTOCOL.version)
    assert receive(process, "hello")["identity"] == "linux-host;edge_agent;1234"
    process.stdin.close()  # type: ignore[union-attr]  # a pipe, as start() made it
    assert process.wait(5) == 0


@pytest.mark.parametrize("ending", ["stdin closes", "agent is killed"])
def test_a_run_that_never_returns_does_not_outlive_the_agent(
    zipapp: Path, obedient_build: Path, obedient: Any, ending: str
) -> None:
    process = start(zipapp, obedient_build / "linux" / platform.machine() / "runner")
    artifact = obedient(obedient.HANG)
    send(process, 1, "load_begin", artifact_bytes=len(artifact), sha256=hashlib.sha256(artifact).digest())
    receive(process, "load_begin")
    send(process, 2, "load_chunk", offset=0, data=artifact)
    receive(process, "load_chunk")
    send(process, 3, "load_end")
    receive(process, "load_end")
    send(process, 4, "input_chunk", offset=0, data=bytes(16))
    receive(process, "input_chunk")
    send(process, 5, "verify")
    (runner,) = children(process.pid)
    time.sleep(0.2)  # now it hangs
    assert alive(runner)
    if ending == "stdin closes":
        process.stdin.close()  # type: ignore[union-attr]  # a pipe, as start() made it
    else:
        process.kill()
    process.wait(5)
    wait_until_gone(runner)
    assert not alive(runner)


def test_a_runner_that_cannot_start_ends_the_agent_with_one_line_that_says_why(zipapp: Path, tmp_path: Path) -> None:
    process = start(zipapp, tmp_path / "no-runner")
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert output == b""
    assert errors.decode() == f"edge_agent: {tmp_path / 'no-runner'} is not on this machine; install it\n"
