"""Counts what onnxruntime executes on an emulated Cortex-A53, by QEMU's user-mode emulation and a plugin.

The folder that sysroot.sh fills holds what runs there.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host_runtime import REPOSITORY
from benchmarks.hosts.errors import HostBenchmarkError

_HERE = Path(__file__).parent
_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Sysroot:
    """folder: filled by sysroot.sh. plugin: instruction_total.c, built."""

    folder: Path
    plugin: Path

    @classmethod
    def at(cls, folder: Path) -> Sysroot:
        """Raises HostBenchmarkError for a folder that holds something else, or when the plugin does not build."""
        folder = folder.resolve()
        if not (folder / "root" / "site" / "onnxruntime").is_dir() or not (folder / "usr/bin/qemu-aarch64").is_file():
            raise HostBenchmarkError(f"nothing to emulate with; fill it: sh benchmarks/hosts/sysroot.sh {folder}")
        plugin = REPOSITORY / "build" / "benchmarks" / "hosts" / "instruction_total.so"
        plugin.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
        command: list[str | Path] = ["cc", *flags, "-fPIC", "-shared", "-o", plugin, _HERE / "instruction_total.c"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise HostBenchmarkError(f"the plugin does not build: {made.stderr.strip()}")
        return cls(folder, plugin)

    def count(self, model: Path, inferences: int) -> int:
        """Instructions of all inferences but a first one. Raises HostBenchmarkError."""
        root = self.folder / "root"
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(root / "site")}
        with tempfile.TemporaryDirectory(prefix="dccdka-count-") as folder:
            command: list[str | Path] = [self.folder / "usr/bin/qemu-aarch64", "-cpu", "cortex-a53", "-L", root]
            command += ["-plugin", f"{self.plugin},out=total", root / "usr/bin/python3.11"]
            command += [_HERE / "onnx_process.py", model.resolve(), str(inferences)]
            try:
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, check=False, timeout=_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                raise HostBenchmarkError(f"onnxruntime is not done after {_TIMEOUT_S} s in QEMU") from None
            total = Path(folder) / "total"
            if done.returncode != 0 or not total.is_file():
                words = done.stderr.decode(errors="replace").strip()[-500:]
                raise HostBenchmarkError(f"onnxruntime ended with {done.returncode} in QEMU: {words}")
            return int(total.read_text())
