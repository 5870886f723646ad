"""`harness tune` on the emulated board: what it stores, and that nothing is stored where it does not end well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dccdka.packing.costs import KernelCosts
from harness.config import DeviceEntry, QemuConnection
from harness.errors import DeviceLost, HarnessError, UsageError, WrongOutput
from harness.farm.device import OpenDevice
from harness.resources import profiles_dir
from harness.tune import tuning
from harness.tune.cases import micro_benchmarks
from harness.tune.tuning import tune

BOARD = DeviceEntry(profile="stm32f405", connection=QemuConnection(kind="qemu"))
HARNESS = str(Path(sys.executable).with_name("harness"))


def ignored(done: int, total: int) -> None:
    pass


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sixth micro-benchmark."""
    chosen = list(micro_benchmarks())[::6]
    monkeypatch.setattr(tuning, "micro_benchmarks", lambda: iter(chosen))


@pytest.mark.usefixtures("few", "stm32f405_firmware")
def test_counts_of_an_emulated_board_are_stored_beside_its_profile_as_estimates(profiles: Path) -> None:
    heard: list[tuple[int, int]] = []
    tuned = tune("board", BOARD, lambda done, total: heard.append((done, total)))
    assert tuned.file == profiles / "stm32f405.emulated.costs.json"
    assert KernelCosts.load(tuned.file) == tuned.costs
    assert (tuned.costs.unit, tuned.costs.estimated) == ("instructions", True)
    assert "board" in tuned.costs.source and tuned.costs.runtime
    assert heard[0][0] == 0 and heard[-1][0] == heard[-1][1] == len(heard) - 1
    assert all(fit.measurements >= 1 for fit in tuned.costs.kernels.values())


@pytest.mark.slow
@pytest.mark.usefixtures("stm32f405_firmware")
def test_every_kernel_of_the_board_costs_what_its_work_says(profiles: Path) -> None:
    tuned = tune("board", BOARD, ignored)
    for kernel, fit in tuned.costs.kernels.items():
        assert fit.typical_error < 0.05, kernel
        assert fit.largest_error < 0.35, kernel


@pytest.mark.usefixtures("few", "stm32f405_firmware")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DeviceLost("board", "did not answer"), DeviceLost),
        (WrongOutput("differs"), HarnessError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_does_not_come_to_its_end_leaves_the_profile_as_it_was(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: type[BaseException]
) -> None:
    measured = tuning.duration_of_inference
    before = sorted(profiles.iterdir())
    calls = 0

    def fails_later(*arguments: Any) -> float:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise error
        return measured(*arguments)

    monkeypatch.setattr(tuning, "duration_of_inference", fails_later)
    with pytest.raises(told) as raised:
        tune("board", BOARD, ignored)
    assert sorted(profiles.iterdir()) == before
    if isinstance(error, WrongOutput):
        assert "micro-benchmark GENERAL" in str(raised.value)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_device(*arguments: object) -> OpenDevice:
        raise AssertionError("a device was opened")

    monkeypatch.setattr(tuning.DeviceOpener, "open", no_device)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write everywhere
    with pytest.raises(UsageError, match="cannot be written"):
        tune("board", BOARD, ignored)


def test_a_device_that_does_not_answer_ends_the_command_with_one_line(tmp_path: Path) -> None:
    inventory = tmp_path / "devices.yaml"
    gone = {"profile": "stm32f405", "connection": {"kind": "serial", "port": "socket://127.0.0.1:9"}}
    inventory.write_text(json.dumps({"devices": {"gone": gone}}))
    command = [HARNESS, "tune", "--device", "gone", "--inventory", str(inventory)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 3
    assert "device gone" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.usefixtures("stm32f405_firmware")
def test_ctrl_c_ends_the_command_and_says_that_nothing_was_stored() -> None:
    before = {path: path.read_bytes() for path in profiles_dir().iterdir()}
    process = subprocess.Popen(
        [HARNESS, "tune", "--device", "f405-emulated"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "layers on f405-emulated" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "nothing was stored" in told and "Traceback" not in told
    assert {path: path.read_bytes() for path in profiles_dir().iterdir()} == before
