"""Names, artifacts and studies that nobody expects: the commands tell them in one line and go on with the rest."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from dccdka.lowering.graph import IntegerGraph, MaxPool, ReLU, Tensor, Window
from dccdka.packing import pack
from harness.cli import _plain
from harness.results.journal import Journal

HARNESS = str(Path(sys.executable).with_name("harness"))
QEMU = {"profile": "stm32f405", "connection": {"kind": "qemu"}}
NOBODY = {"profile": "stm32f405", "connection": {"kind": "serial", "port": "socket://127.0.0.1:9"}}
WITHOUT_KEY = {
    "profile": "raspberry-pi-3",
    "connection": {"kind": "ssh", "host": "127.0.0.1", "user": "pi", "key_file": "/no/such/key"},
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HARNESS, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def with_devices(folder: Path, **devices: Any) -> Path:
    (folder / "devices.yaml").write_text(yaml.safe_dump({"devices": devices}))
    return folder


def test_a_device_name_is_no_markup(tmp_path: Path) -> None:
    listed = run(with_devices(tmp_path, **{"a[/b]": QEMU, "[red]c": NOBODY}), "devices", "list")
    assert listed.returncode == 0, listed.stderr
    assert "a[/b]" in listed.stdout and "[red]c" in listed.stdout
    checked = run(tmp_path, "devices", "check", "[red]c")
    assert checked.returncode == 3
    assert checked.stdout.startswith("lost  device [red]c: ")


def test_control_characters_from_devices_are_not_printed() -> None:
    assert _plain("a\x1b[31mb\nc\u202e") == "a\N{REPLACEMENT CHARACTER}[31mb c\N{REPLACEMENT CHARACTER}"


def test_devices_after_one_that_cannot_be_tried_are_checked_as_well(tmp_path: Path, linux_build: Path) -> None:
    with_devices(tmp_path, locked=WITHOUT_KEY, gone=NOBODY)
    checked = run(tmp_path, "devices", "check", "--json")
    assert checked.returncode == 3
    found = json.loads(checked.stdout)["devices"]
    assert "key_file /no/such/key does not exist" in found["locked"]["error"]
    assert "device gone" in found["gone"]["error"]


def test_where_nothing_but_files_is_wrong_the_check_ends_as_a_usage_error(tmp_path: Path, linux_build: Path) -> None:
    checked = run(with_devices(tmp_path, locked=WITHOUT_KEY), "devices", "check")
    assert checked.returncode == 2
    assert checked.stdout.startswith("lost  device locked: key_file /no/such/key does not exist")


def test_a_misspelt_device_is_told_before_any_is_opened(tmp_path: Path) -> None:
    checked = run(with_devices(tmp_path, gone=NOBODY), "devices", "check", "gone", "gnoe")
    assert checked.returncode == 2 and checked.stdout == ""
    assert "no device named 'gnoe'; known: gone" in checked.stderr


def relu_of(side: int) -> IntegerGraph:
    image = Tensor(side, side, 1, 1.0, 0)
    return IntegerGraph((image, image), (ReLU(0, 1, 0),), 0, 1)


def wide_pool_of(side: int) -> IntegerGraph:
    image = Tensor(side, side, 1, 1.0, 0)
    return IntegerGraph((image, image), (MaxPool(0, 1, Window((31, 31), (1, 1), (15, 15))),), 0, 1)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (relu_of(16384), "needs 268435456 bytes for an arena; at most 67108864"),
        (relu_of(2048), "needs 134217728 bytes for 32 inputs (--inputs); at most 67108864"),
        (wide_pool_of(2048), "bytes for one operator in the reference interpreter; at most 1073741824"),
    ],
    ids=["arena", "inputs", "working"],
)
def test_a_tiny_artifact_that_announces_huge_tensors_is_refused(
    tmp_path: Path, graph: IntegerGraph, words: str
) -> None:
    artifact = tmp_path / "tiny.dcc"
    artifact.write_bytes(pack(graph))
    assert artifact.stat().st_size < 1000
    count = [] if "inputs" in words else ["--inputs", "1"]
    refused = run(with_devices(tmp_path, board=NOBODY), "measure", str(artifact), "--device", "board", *count)
    assert refused.returncode == 2
    assert f"{artifact}: " in refused.stderr and words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_metrics_of_a_study_named_by_its_folder_bear_the_studys_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "copied elsewhere"
    folder.mkdir()
    journal = Journal.in_file(folder / "journal.sqlite")
    journal.set_fact(
        "config",
        {"name": "small", "data": {"source": "x"}, "candidates": 1, "devices": ["a"], "target": "a"},
    )
    journal.set_fact(
        "objectives",
        {"profile": "p", "emulated": True, "metrics": ["ram"], "reference": [0.9, 1.0], "baseline": "dense"},
    )
    journal.close()
    command = [HARNESS, "metrics", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            url = server.stderr.readline().removeprefix("serving ").partition(";")[0]
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=20) == 130
    assert 'dccdka_front_hypervolume_ratio{study="small"}' in text
    assert "copied elsewhere" not in text


def test_a_damaged_journal_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "studies" / "small").mkdir(parents=True)
    path = tmp_path / "studies" / "small" / "journal.sqlite"
    path.touch()
    shown = run(tmp_path, "front", "small")
    assert shown.returncode == 2
    assert shown.stderr.strip().endswith("journal.sqlite: is empty, not the journal of a study")
    assert path.stat().st_size == 0
