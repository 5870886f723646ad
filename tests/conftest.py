"""Fixtures that tests of several folders share: what the C compilers make, and a real sshd."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.emulators.loopback_sshd import LoopbackSshd

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def linux_build() -> Path:
    """The build folder, with the Linux runners and the instruction counter up to date."""
    subprocess.run(["make", "-s", "-C", ROOT / "agents" / "linux" / "runner"], check=True)
    return ROOT / "build"


@pytest.fixture(scope="session")
def stm32f405_firmware() -> Path:
    """The firmware's ELF, up to date."""
    subprocess.run(["make", "-s", "-C", ROOT / "agents" / "firmware"], check=True)
    return ROOT / "build" / "firmware" / "stm32f405" / "agent.elf"


@pytest.fixture(scope="session")
def obedient_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As linux_build, with a runtime that does as its artifact says (see tests/agents/linux/obedient_runtime)."""
    folder = tmp_path_factory.mktemp("obedient")
    sources = ROOT / "tests" / "agents" / "linux" / "obedient_runtime"
    variables = [f"RUNTIME_SOURCES={sources}", f"BUILD={folder}"]
    subprocess.run(["make", "-s", "-C", ROOT / "agents" / "linux" / "runner", *variables], check=True)
    return folder


class ObedientArtifact:
    """Builds artifacts for the obedient runtime; the orders are the enumeration in its source."""

    OBEY, FAIL, WRITE_BEYOND, CRASH, HANG, LOOP, NEED_DEEP_STACK = range(7)

    def __call__(
        self, order: int = 0, amount: int = 0, arena: int = 4096, inputs: int = 16, outputs: int = 20
    ) -> bytes:
        return b"OBEY" + struct.pack("<IIIII", arena, inputs, outputs, order, amount)

    def output(self, data: bytes, outputs: int = 20) -> bytes:
        """What a run makes of data."""
        return bytes((data[i % len(data)] + 1) % 256 for i in range(outputs))


@pytest.fixture(scope="session")
def obedient() -> ObedientArtifact:
    return ObedientArtifact()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """A real sshd for the whole run, in a folder whose name has a space in it."""
    with LoopbackSshd(tmp_path_factory.mktemp("state of sshd")) as server:
        yield server
