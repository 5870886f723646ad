"""Firmware of one candidate: built beside the folder that it goes to, whatever that is called, and only if it fits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from dccdka.lowering.graph import POINT, Convolution, IntegerGraph, ReLU, Requantisation, Scaling, Tensor
from dccdka.packing import Artifact, pack, read_artifact
from dccdka.packing.narrowing import Images
from harness import candidate_firmware
from harness.candidate_firmware import export_firmware
from harness.config import DeviceEntry, QemuConnection, load_profile
from harness.errors import CandidateError, UsageError
from harness.farm.single_run import say_hello
from harness.results.journal import Journal
from harness.results.objectives import Objectives
from harness.results.records import Candidate

ROOT = Path(__file__).parents[2]


def one_relu() -> Artifact:
    tensor = Tensor(4, 4, 4, scale=0.1, zero_point=0)
    return read_artifact(pack(IntegerGraph((tensor, tensor), (ReLU(0, 1, 0, 127),), input=0, output=1)))


def larger_than_flash() -> Artifact:
    """1024 x 1024 weights of 8 bits, that is all of an STM32F405's flash."""
    codes = np.random.default_rng(0).integers(0, 256, (1024, 1, 1, 1024)).astype(np.uint8)
    scaling = Requantisation(Scaling(0, 4), np.full(1024, 1 << 7, np.int16), np.full(1024, 8, np.int32))
    pixel = Tensor(1, 1, 1024, 1.0, 0)
    layer = Convolution(0, 1, POINT, 1, False, codes, 128, scaling)
    return read_artifact(pack(IntegerGraph((pixel, pixel), (layer,), input=0, output=1)))


def exported(artifact: Artifact, out: Path, monkeypatch: pytest.MonkeyPatch) -> candidate_firmware.CandidateFirmware:
    def stored(_journal: Journal, _candidate: str, count: int) -> tuple[Artifact, Images]:
        return artifact, np.random.default_rng(0).integers(-128, 128, (count, *artifact.input_shape), np.int8)

    monkeypatch.setattr(candidate_firmware, "candidate_with_inputs", stored)
    monkeypatch.setattr(candidate_firmware, "_profile_with_port", lambda *_: load_profile("stm32f405"))
    return export_firmware(Journal(f"sqlite:///{out.parent / 'journal.sqlite'}"), "c001", out)


def test_the_folder_may_have_a_name_that_means_something_to_make_and_to_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a model; $(touch it) & #1"
    artifact = one_relu()
    made = exported(artifact, out, monkeypatch)
    assert made.image == out / "agent.bin"
    assert {path.name for path in out.iterdir()} == {"agent.bin", "agent.elf", "model.c", "model.dcc"}
    assert (out / "model.dcc").read_bytes() == artifact.data
    assert artifact.data in (out / "agent.bin").read_bytes()


@pytest.mark.slow
def test_a_model_larger_than_the_flash_is_the_candidates_fault_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(CandidateError, match=r"^candidate c001: does not fit a stm32f405: .*overflowed by \d+ bytes"):
        exported(larger_than_flash(), out, monkeypatch)
    assert list(out.iterdir()) == []


def test_variables_of_the_environment_do_not_change_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have names that many a program uses."""
    for name in ("MODEL", "BUILD", "RUNTIME_SOURCES"):
        monkeypatch.setenv(name, str(tmp_path / "no" / "such" / "file"))
    command = ["make", "-n", "-C", str(ROOT / "agents" / "firmware")]
    planned = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(tmp_path) not in planned.stdout + planned.stderr


def test_a_folder_that_is_not_empty_is_named_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(UsageError, match=f"^--out: {out}: is not empty; name a new folder$"):
        exported(one_relu(), out, monkeypatch)
    assert (out / "mine").read_text() == "mine"


def test_a_study_without_a_board_that_runs_firmware_is_told_what_to_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_firmware, "candidate_with_inputs", lambda *_: (one_relu(), None))
    on_a_pi = Objectives("raspberry-pi-3", False, ("ram",), (1.0, 1.0))
    monkeypatch.setattr(candidate_firmware, "journaled_objectives", lambda _journal: on_a_pi)
    monkeypatch.setattr(Journal, "candidate", lambda *_: Candidate("c001", 1, {}, "done"))
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"there is firmware for \(stm32f405\); leave --format out for C"):
        export_firmware(Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}"), "c001", out)
    assert not out.exists()


def test_an_image_of_the_inventory_that_is_not_there_is_named(tmp_path: Path) -> None:
    image = tmp_path / "none.elf"
    board = DeviceEntry(profile="stm32f405", connection=QemuConnection(kind="qemu", firmware=image))
    with pytest.raises(UsageError, match=f"^device one: firmware: {image} does not exist$"):
        say_hello("one", board)
