"""What a compiler can tell of MISRA C's rules: no recursion, no stack of unknown size, no heap; and no warnings."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[3] / "agents" / "runtime"
SOURCES = sorted((RUNTIME / "src").glob("*.c"))
WARNINGS = ["-std=c99", "-pedantic", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wcast-align", "-Wdouble-promotion"]
WARNINGS += ["-Wmissing-prototypes", "-Wpointer-arith", "-Wshadow", "-Wstrict-prototypes", "-Wundef", "-Wvla"]
WARNINGS += ["-Wwrite-strings", "-Werror"]
INCLUDE = f"-I{RUNTIME / 'include'}"
STRICT = "-Wcast-align=strict"  # gcc's word for what clang means without it
RASPBERRY_PIS = {
    "aarch64": ["aarch64-linux-gnu-gcc"],
    "armv7 with NEON": ["arm-linux-gnueabihf-gcc", "-march=armv7-a", "-mfpu=neon"],
    "armv6": ["arm-linux-gnueabi-gcc", "-march=armv6", "-marm"],
}
CORES = {
    "cortex-m4": ["-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "cortex-m0plus": ["-mthumb", "-mcpu=cortex-m0plus"],
}


@pytest.fixture(scope="module", params=CORES)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the objects of the runtime, and what gcc says of their calls, each as it is written, and frames."""
    folder = tmp_path_factory.mktemp(request.param)
    as_written = ["-fno-inline", "-fno-optimize-sibling-calls", "-fstack-usage", "-fcallgraph-info"]
    options = [*CORES[request.param], "-std=c99", "-O2", *as_written, INCLUDE]
    subprocess.run(["arm-none-eabi-gcc", *options, "-c", *SOURCES], cwd=folder, check=True)
    return folder


def test_nothing_calls_itself(objects: Path) -> None:
    """Directly or by way of others. Calls by a table lead from load and run to operators, which call neither."""
    calls: dict[str, set[str]] = {}
    for report in objects.glob("*.ci"):
        for caller, callee in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', report.read_text()):
            calls.setdefault(caller, set()).add(callee)
    assert any("dcc_model_load" in caller for caller in calls)
    assert not any(callee in ("dcc_model_load", "dcc_model_run") for callees in calls.values() for callee in callees)
    # What calls nothing that is left is taken away, until nothing or a circle is left.
    while ends := {caller for caller, callees in calls.items() if not callees & calls.keys()}:
        calls = {caller: callees for caller, callees in calls.items() if caller not in ends}
    assert calls == {}


def test_every_stack_frame_has_a_known_size(objects: Path) -> None:
    frames = [line.split("\t") for report in objects.glob("*.su") for line in report.read_text().splitlines()]
    assert len(frames) > 50
    assert {kind for _, _, kind in frames} == {"static"}


def test_there_is_no_heap(objects: Path) -> None:
    listing = subprocess.check_output(["arm-none-eabi-nm", *objects.glob("*.o")], text=True)
    defined = set(re.findall(r"^[0-9a-f]+ \w (\w+)$", listing, re.MULTILINE))
    outside = set(re.findall(r"^ +U (\w+)$", listing, re.MULTILINE)) - defined
    assert {name for name in outside if not name.startswith(("__aeabi_", "__gnu_thumb1_"))} <= {"memcpy", "memset"}


def assert_nothing_to_warn_of(compiler: list[str], folder: Path) -> None:
    strict = [STRICT] if compiler[0].endswith("gcc") else []
    subprocess.run([*compiler, *WARNINGS, *strict, INCLUDE, "-c", *SOURCES], cwd=folder, check=True)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_nothing_to_warn_of_on_this_machine(compiler: str, tmp_path: Path) -> None:
    assert_nothing_to_warn_of([compiler], tmp_path)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_nothing_to_warn_of_on_microcontrollers(compiler: str, core: str, tmp_path: Path) -> None:
    prefix = ["arm-none-eabi-gcc"] if compiler == "gcc" else ["clang", "--target=arm-none-eabi", "-isystem", _newlib()]
    assert_nothing_to_warn_of([*prefix, *CORES[core]], tmp_path)


@pytest.mark.parametrize("pi", RASPBERRY_PIS)
def test_nothing_to_warn_of_on_raspberry_pis(pi: str, tmp_path: Path) -> None:
    assert_nothing_to_warn_of(RASPBERRY_PIS[pi], tmp_path)


def _newlib() -> str:
    """The folder of the C library's headers, which clang does not know of."""
    command = ["arm-none-eabi-gcc", "-x", "c", "-M", "-"]
    headers = subprocess.check_output(command, input="#include <string.h>\n", text=True).split()
    return str(next(Path(header).parent for header in headers if header.endswith("/string.h")))
