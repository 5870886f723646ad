"""The other commands, as a user runs them on a finished study."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import SmallStudy


@pytest.fixture(scope="session")
def packed(finished_study: SmallStudy) -> Path:
    made = finished_study.run(
        "pack", "study.yaml", "--sparsity", "0.5", "--clusters", "8", "--bits", "4", "--out", "m.dcc"
    )
    assert made.returncode == 0, made.stderr
    return finished_study.folder / "m.dcc"


@pytest.mark.parametrize("device", ["f405-emulated", "this-machine", "pi3-emulated"])
def test_a_packed_network_is_measured_on_a_device(finished_study: SmallStudy, packed: Path, device: str) -> None:
    done = finished_study.run("measure", str(packed), "--device", device, "--inputs", "3", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["verified_inputs"] == 3
    assert {m["metric"] for m in run["measurements"]} | {a["metric"] for a in run["absent"]} == {
        "latency",
        "ram",
        "flash",
        "energy",
    }


def test_an_exported_candidate_compiles_with_the_printed_command_and_checks_itself(
    finished_study: SmallStudy, tmp_path: Path
) -> None:
    candidate = next(c["id"] for c in finished_study.front()["candidates"] if c["on_front"])
    out = tmp_path / "library"
    done = finished_study.run("export", "small", candidate, "--out", str(out))
    assert done.returncode == 0, done.stderr
    command = re.search(r"^\s*((?:gcc|cc) .*)$", done.stdout, re.MULTILINE)
    assert command is not None, done.stdout
    subprocess.run(command[1], shell=True, check=True, cwd=out)  # noqa: S602 - the very line that users copy
    binary = re.search(r"-o (\S+)", command[1])
    assert binary is not None
    assert subprocess.run([out / binary[1]], check=False).returncode == 0


def test_an_exported_onnx_model_is_compared_with_the_device_and_replaces_no_file(
    finished_study: SmallStudy, tmp_path: Path
) -> None:
    candidate = next(c["id"] for c in finished_study.front()["candidates"] if c["on_front"])
    out = tmp_path / "model.onnx"
    arguments = ("export", "small", candidate, "--format", "onnx", "--out", str(out))
    done = finished_study.run(*arguments)
    assert done.returncode == 0, done.stderr
    steps = re.search(r"differ by at most (\d+) of 256 steps", done.stdout)
    assert steps is not None and int(steps[1]) <= 1, done.stdout
    alone = re.search(r"(\d+) of (\d+) values differ inside, each operator by itself, by at most (\d+)", done.stdout)
    assert alone is not None and int(alone[1]) <= 10 < int(alone[2]) and int(alone[3]) <= 1, done.stdout
    same = re.search(r"([\d.]+)% of the images have the same prediction", done.stdout)
    assert same is not None and float(same[1]) > 99, done.stdout
    written = out.read_bytes()
    refused = finished_study.run(*arguments)
    assert refused.returncode == 2 and "model.onnx: exists" in refused.stderr
    assert out.read_bytes() == written


def test_exported_firmware_runs_its_candidate_on_a_board_and_no_other(
    finished_study: SmallStudy, packed: Path, tmp_path: Path
) -> None:
    candidate = next(c for c in finished_study.front()["candidates"] if c["on_front"])
    out = tmp_path / "firmware"
    arguments = ("export", "small", candidate["id"], "--format", "firmware", "--out", str(out))
    done = finished_study.run(*arguments)
    assert done.returncode == 0, done.stderr
    linked = re.search(r"flash +(\d+) B measured", done.stdout)
    (summed,) = (m for m in candidate["measurements"] if (m["device"], m["metric"]) == ("f405-emulated", "flash"))
    assert linked is not None, done.stdout
    assert summed["kind"] == "estimated"
    assert int(linked[1]) == pytest.approx(summed["value"], rel=0.04)
    assert {path.name for path in out.iterdir()} == {"agent.bin", "agent.elf", "model.c", "model.dcc"}

    inventory = out / "devices.yaml"
    board = {"profile": "stm32f405", "connection": {"kind": "qemu", "firmware": str(out / "agent.elf")}}
    inventory.write_text(json.dumps({"devices": {"one": board}}))
    on_board = ("--device", "one", "--inventory", str(inventory))
    assert finished_study.run("measure", str(out / "model.dcc"), *on_board).returncode == 0
    refused = finished_study.run("measure", str(packed), *on_board)
    assert refused.returncode == 3 and "holds one model, and another was sent" in refused.stderr
    again = finished_study.run(*arguments)
    assert again.returncode == 2 and "is not empty" in again.stderr


def test_firmware_is_not_begun_without_its_tools(
    finished_study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = next(c["id"] for c in finished_study.front()["candidates"] if c["on_front"])
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = finished_study.run("export", "small", candidate, "--format", "firmware", "--out", str(tmp_path / "out"))
    assert refused.returncode == 2 and "make is missing: apt install make" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_artifact_is_refused_before_any_device_is_opened(
    finished_study: SmallStudy, packed: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.dcc"
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    refused = finished_study.run("measure", str(damaged), "--device", "f405-emulated")
    assert refused.returncode == 2
    assert "damaged.dcc" in refused.stderr and "Traceback" not in refused.stderr


def test_devices_that_answer_and_one_that_does_not(study: SmallStudy) -> None:
    study.write(
        inventory={
            "board": {"profile": "stm32f405", "connection": {"kind": "qemu"}},
            "gone": {"profile": "stm32f405", "connection": {"kind": "serial", "port": "socket://127.0.0.1:9"}},
        }
    )
    listed = json.loads(study.run("devices", "list", "--json").stdout)["devices"]
    assert set(listed) == {"board", "gone"}
    checked = study.run("devices", "check", "--json")
    assert checked.returncode == 3
    found = json.loads(checked.stdout)["devices"]
    assert found["board"]["answers"] and found["board"]["profile"] == "stm32f405"
    assert "device gone" in found["gone"]["error"]
    assert study.run("devices", "check", "board").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["front", "nothing"], "no study 'nothing'"),
        (["measure", "none.dcc", "--device", "f405-emulated"], "none.dcc"),
        (["measure", "none.dcc", "--device", "toaster"], "no device named 'toaster'"),
        (["tune", "--device", "toaster"], "no device named 'toaster'"),
        (["export", "small", "c999", "--out", "x"], "c999"),
        (["pack", "study.yaml", "--out", "x.dcc", "--clusters", "1"], "clusters"),
        (["pack", "study.yaml", "--out", "x.dcc", "--weights", "study.yaml"], "study.yaml: not a safetensors file"),
        (["devices", "list", "--inventory", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_bad_arguments_end_in_one_line(finished_study: SmallStudy, arguments: list[str], words: str) -> None:
    refused = finished_study.run(*arguments)
    assert refused.returncode == 2
    assert words in refused.stderr and "Traceback" not in refused.stderr


def test_the_version_is_that_of_the_package(finished_study: SmallStudy) -> None:
    shown = finished_study.run("--version")
    assert (shown.returncode, shown.stdout) == (0, f"harness {version('dccdka-harness')}\n")


@pytest.mark.parametrize("command", ["search", "front", "measure", "tune", "pack", "export", "metrics"])
def test_help_gives_an_example(finished_study: SmallStudy, command: str) -> None:
    shown = finished_study.run(command, "--help")
    assert shown.returncode == 0 and f"Example: harness {command} " in " ".join(shown.stdout.split())
