"""The runtime compiles for the cores it is meant for, and needs nothing there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dccdka.packing import ArtifactStatus

RUNTIME = Path(__file__).parents[3] / "agents" / "runtime"
WARNINGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module", params=["cortex-m0", "cortex-m4", "cortex-m7"])
def objects(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    command = ["arm-none-eabi-gcc", f"-mcpu={request.param}", "-mthumb", *WARNINGS, f"-I{RUNTIME}/include", "-c"]
    subprocess.run([*command, *sorted((RUNTIME / "src").glob("*.c"))], cwd=folder, check=True)
    return sorted(folder.glob("*.o"))


def test_only_memory_functions_and_compiler_helpers_are_needed_from_outside(objects):
    listing = subprocess.run(["arm-none-eabi-nm", *objects], check=True, capture_output=True, text=True).stdout
    symbols = re.findall(r"^(?:[0-9a-f]{8}| {8}) (\w) (\w+)$", listing, re.MULTILINE)
    undefined = {name for kind, name in symbols if kind == "U"}
    defined = {name for kind, name in symbols if kind != "U"}
    outside = {name for name in undefined - defined if not name.startswith(("__aeabi_", "__gnu_thumb1_"))}
    assert outside <= {"memcpy", "memset"}


def test_no_writable_data(objects):
    sizes = subprocess.run(["arm-none-eabi-size", "-t", *objects], check=True, capture_output=True, text=True).stdout
    _, data, bss = (int(number) for number in sizes.splitlines()[-1].split()[:3])
    assert (data, bss) == (0, 0)


def test_the_python_statuses_are_those_of_the_header():
    header = (RUNTIME / "include" / "dcc_runtime.h").read_text(encoding="utf-8")
    c_names = {name: int(value) for name, value in re.findall(r"DCC_ERROR_(\w+) = (\d+)", header)}
    of_the_caller = {"ALIGNMENT", "ARENA_TOO_SMALL"}
    assert {status.name: status.value for status in ArtifactStatus} == {
        name: value for name, value in c_names.items() if name not in of_the_caller
    }
