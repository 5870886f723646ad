"""Starts a program that cannot outlive the harness: however the harness ends, the program is terminated."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

# The shell starts the program and a reader of the pipe that only we hold open. When we close the pipe or die, even by
# SIGKILL, the reader sees the end of the file and terminates the program. (The kernel's parent-death signal would
# follow the *thread* that started the program, which may be a short-lived worker.) A program that has ended by itself
# cannot be killed; that complaint must not stand behind the program's own last words in the log.
_WATCHED = 'exec 3<&0; "$@" 3<&- & program=$!; { read -r _; kill $program 2>/dev/null; } <&3 & wait $program'
_STOP_TIMEOUT_S = 5.0


def start_tied(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts command in a session of its own, its output appended to log. End it with stop_tied."""
    with log.open("ab") as output:
        return subprocess.Popen(
            ["sh", "-c", _WATCHED, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop_tied(process: subprocess.Popen[bytes]) -> None:
    """Terminates the program and waits for it; kills it and its session when it does not listen."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
