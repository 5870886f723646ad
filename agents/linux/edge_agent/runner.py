"""Drives the runner process (agents/linux/runner): one process for one artifact, in which it may crash or hang."""

from __future__ import annotations

import select
import signal
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from agent_wire.messages import Refused

_DESCRIBE_TIMEOUT_S = 20.0
_EXIT_OUT_OF_MEMORY = 3


class RunnerUnusable(Exception):
    """The runner cannot be started on this machine; the message says why and what to do."""


class HarnessGone(Exception):
    """The harness hung up while the runner was busy."""


@dataclass(frozen=True)
class Description:
    runtime_code_bytes: int  # .text and .rodata of the runtime
    static_bytes: int  # RAM that the runtime needs beside its arena


@dataclass(frozen=True)
class Loaded:
    arena_bytes: int
    input_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class RunResult:
    arena_peak_bytes: int
    stack_bytes: int
    peak_rss_bytes: int
    durations_ns: list[int]


def describe(command: Sequence[str]) -> Description:
    """Asks the runner that `command` starts about its build. Raises RunnerUnusable."""
    try:
        output = subprocess.run(
            [*command, "--describe"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            timeout=_DESCRIBE_TIMEOUT_S,
            text=True,
        ).stdout
    except FileNotFoundError:
        raise RunnerUnusable(f"{command[0]} is not on this machine; install it") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise RunnerUnusable(
            f"{' '.join(command)} does not run here: {error}; was it built for this machine?"
        ) from None
    sizes = dict(line.split("=") for line in output.split())
    return Description(int(sizes["runtime_code_bytes"]), int(sizes["static_bytes"]))


class Runner:
    """A running runner. Its refusals, crashes included, are raised as Refused; after one it is of no further use."""

    def __init__(self, command: Sequence[str], harness_fd: int) -> None:
        """harness_fd: where the harness's requests come from, watched for its end while the runner is busy."""
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._busy = select.poll()
        self._busy.register(self._from, select.POLLIN)
        self._busy.register(harness_fd, select.POLLRDHUP)
        self._harness_fd = harness_fd

    def load(self, artifact: bytes) -> Loaded:
        arena_bytes, input_bytes, output_bytes = self._ask(b"load %d\n" % len(artifact) + artifact, "loaded", 3)
        return Loaded(arena_bytes, input_bytes, output_bytes)

    def store_input(self, data: bytes) -> None:
        self._ask(b"input %d\n" % len(data) + data, "stored", 0)

    def verify(self) -> bytes:
        (output_bytes,) = self._ask(b"verify\n", "output", 1)
        return self._read(output_bytes)

    def run(self, warm_ups: int, repeats: int) -> RunResult:
        numbers = self._ask(b"run %d %d\n" % (warm_ups, repeats), "ran", 4)
        arena_peak_bytes, stack_bytes, peak_rss_bytes, count = numbers
        durations = struct.unpack(f"<{count}Q", self._read(8 * count))
        return RunResult(arena_peak_bytes, stack_bytes, peak_rss_bytes, list(durations))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, command: bytes, answer: str, count: int) -> list[int]:
        """Sends command, waits, and returns the `count` numbers behind the word `answer`."""
        try:
            self._to.write(command)
            self._to.flush()
        except BrokenPipeError:
            self._refuse_exit()
        self._wait()
        line = self._from.readline()
        if not line.endswith(b"\n"):
            self._refuse_exit()
        word, *numbers = line.decode().split()
        values = [int(number) for number in numbers]
        if word == "rejected":
            raise Refused("artifact_rejected", f"the runtime's loader returned {values[0]}", code=values[0])
        if word == "failed":
            raise Refused("run_failed", f"the runtime returned {values[0]}", code=values[0])
        if word == "overwritten":
            raise Refused("guard_overwritten", "the runtime wrote outside its arena")
        if word != answer or len(values) != count:
            raise Refused("run_failed", f"the runner answered {line!r} instead of {answer}")
        return values

    def _wait(self) -> None:
        for fd, event in self._busy.poll():
            if fd == self._harness_fd and event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                raise HarnessGone

    def _read(self, count: int) -> bytes:
        data = self._from.read(count)
        if len(data) != count:
            self._refuse_exit()
        return data

    def _refuse_exit(self) -> NoReturn:
        code = self._process.wait()
        if code == _EXIT_OUT_OF_MEMORY:
            raise Refused("too_large", "the machine has no memory left for artifact and arena")
        if code < 0:
            raise Refused("run_failed", f"the runner was ended by {signal.Signals(-code).name}", code=128 - code)
        raise Refused("run_failed", f"the runner ended with exit code {code}", code=code)
