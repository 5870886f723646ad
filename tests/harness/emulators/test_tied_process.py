"""Programs that are tied to the harness end when it says so, whether they listen or not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.emulators import tied_process
from harness.emulators.tied_process import start_tied, stop_tied


def pid_in(log: Path) -> int:
    deadline = time.monotonic() + 5
    while "\n" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(log.read_text())


def runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("deaf", [False, True])
def test_a_program_is_gone_when_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> None:
    monkeypatch.setattr(tied_process, "_STOP_TIMEOUT_S", 0.3 if deaf else 5.0)
    log = tmp_path / "log"
    trap = "trap '' TERM; " if deaf else ""
    process = start_tied(["sh", "-c", f"{trap}echo $$; while :; do sleep 0.05; done"], log)
    pid = pid_in(log)
    assert runs(pid)
    stop_tied(process)
    deadline = time.monotonic() + 2
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(pid)


def test_a_program_that_ends_by_itself_gives_its_exit_status(tmp_path: Path) -> None:
    process = start_tied(["sh", "-c", "echo gone; exit 7"], tmp_path / "log")
    assert process.wait(5) == 7
    assert (tmp_path / "log").read_text() == "gone\n"
    stop_tied(process)
