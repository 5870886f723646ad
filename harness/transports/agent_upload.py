"""What a Linux device needs to become one: the agent as one file that python3 runs, and a runner for its processor."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shlex
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from harness.errors import UsageError

_PACKAGES = ("edge_agent", "agent_wire")
_MAIN = "import sys\nfrom edge_agent.__main__ import main\nsys.exit(main())\n"
_EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)  # of a zip file; a fixed one, so that the same sources give the same bytes
_FOLDER = PurePosixPath(".cache/dccdka")  # in the home of the user who logs in


@dataclass(frozen=True)
class LinuxAgent:
    """What is started on the device.

    emulator: the command that runs the runner where the device's processor is emulated ("qemu-aarch64-static",
    "-cpu", "cortex-a53"); empty where the machine is the device.
    """

    profile: str
    runner: Path
    emulator: tuple[str, ...] = ()

    def upload(self) -> Upload:
        """Raises UsageError when there is no runner."""
        try:
            runner = self.runner.read_bytes()
        except OSError as error:
            raise UsageError(f"{self.runner}: {error.strerror}; build the runner: make -C agents") from None
        return Upload(self, agent_zipapp(), runner)


@dataclass(frozen=True)
class Upload:
    """The files, in a folder that is named by their content: what is there already is right and stays."""

    agent: LinuxAgent
    zipapp: bytes
    runner: bytes

    @property
    def build(self) -> str:
        return hashlib.sha256(self.zipapp + self.runner).hexdigest()[:16]

    @property
    def folder(self) -> PurePosixPath:
        """Relative to the home folder."""
        return _FOLDER / self.build

    @property
    def files(self) -> dict[str, bytes]:
        return {"agent.pyz": self.zipapp, "runner": self.runner}

    @property
    def command(self) -> str:
        """For the login shell of the device, whichever it is."""
        words = ["--runner", "./runner", "--profile", self.agent.profile, "--build", self.build]
        if self.agent.emulator:
            words += ["--emulator", shlex.join(self.agent.emulator)]
        return f"cd && cd {self.folder} && exec python3 agent.pyz {shlex.join(words)}"


@cache
def agent_zipapp() -> bytes:
    """The packages that make up the agent, as a zip file that `python3 FILE` runs (PEP 441)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for package in _PACKAGES:
            for file in sorted(_package_folder(package).iterdir()):
                if file.suffix in (".py", ".toml"):
                    _add(archive, f"{package}/{file.name}", file.read_bytes())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EARLIEST_DATE), content, zipfile.ZIP_DEFLATED)


def _package_folder(package: str) -> Path:
    specification = importlib.util.find_spec(package)
    if specification is None or not specification.submodule_search_locations:
        raise UsageError(f"the package {package} is not installed beside the harness; install the project again")
    return Path(specification.submodule_search_locations[0])
