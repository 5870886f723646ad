"""A small study on real devices: real images, a real emulated board, a real sshd, trained by Ray in seconds."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.resources import profiles_dir

FASHION = Path("/usr/share/datasets/fashion-mnist")
_IDX_HEADER = {"images": 16, "labels": 8}
_ITEM_BYTES = {"images": 28 * 28, "labels": 1}


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 3000 training and 400 test images of Fashion-MNIST, as idx files."""
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 3000), ("t10k", 400)):
        for kind, dimensions in (("images", 3), ("labels", 1)):
            name = f"{split}-{kind}-idx{dimensions}-ubyte"
            with gzip.open(FASHION / f"{name}.gz") as file:
                header = file.read(_IDX_HEADER[kind])
                items = file.read(count * _ITEM_BYTES[kind])
            (folder / name).write_bytes(header[:4] + count.to_bytes(4, "big") + header[8:] + items)
    return folder


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tables of kernel costs are kept in: a copy of the profiles', without tables."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    for path in profiles_dir().glob("*.yaml"):
        shutil.copy(path, folder)
    monkeypatch.setattr("harness.config.kernel_costs.profiles_dir", lambda: folder)
    return folder


@dataclass(frozen=True)
class SmallStudy:
    """A study file in a folder of its own, and the command line run there."""

    folder: Path
    values: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def name(self) -> str:
        return str(self.values["name"])

    def write(self, inventory: dict[str, Any] | None = None, **changes: Any) -> SmallStudy:
        """Writes the study file, and an inventory beside it when one is given."""
        self.values.update(changes)
        if inventory is not None:
            (self.folder / "devices.yaml").write_text(yaml.safe_dump({"devices": inventory}))
        self.file.write_text(yaml.safe_dump(self.values, sort_keys=False))
        return self

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Runs `harness ARGUMENTS` in a process group of its own."""
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("harness")), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "160"},
        )

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def search(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("search", "study.yaml", *arguments)

    def front(self) -> dict[str, Any]:
        found = self.run("front", self.name, "--json")
        assert found.returncode == 0, found.stderr
        report: dict[str, Any] = json.loads(found.stdout)
        return report


def new_study(folder: Path, data: Path) -> SmallStudy:
    return SmallStudy(
        folder,
        {
            "name": "small",
            "data": {"source": str(data), "validation": 300},
            "model": {"name": "resnet8", "width": 4},
            "teacher": {"name": "resnet8", "width": 4, "training": {"epochs": 1}},
            "training": {"epochs": 1},
            "candidates": 3,
            "seed": 2,
            "devices": ["f405-emulated"],
            "target": "f405-emulated",
            "metrics": {"port": None},
        },
    )


@pytest.fixture
def study(tmp_path: Path, small_data: Path, built: Path) -> SmallStudy:
    """Not yet written: change what the test needs and call write()."""
    return new_study(tmp_path, small_data)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory, small_data: Path, built: Path) -> SmallStudy:
    """Searched to its end, on the board, this machine and the emulated Pi."""
    study = new_study(tmp_path_factory.mktemp("finished"), small_data)
    study.write(devices=["f405-emulated", "this-machine", "pi3-emulated"], candidates=4)
    ended = study.search("--json")
    assert ended.returncode == 0, ended.stderr
    return study


@pytest.fixture(scope="session")
def built(linux_build: Path, stm32f405_firmware: Path) -> Path:
    """The build folder with everything that devices need."""
    return linux_build
