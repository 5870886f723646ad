"""A row of the table: one model and recipe on one machine, measured beside onnxruntime."""

from __future__ import annotations

import platform
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx

from benchmarks.host_runtime import REPOSITORY, run
from benchmarks.hosts.emulated import Sysroot
from benchmarks.hosts.errors import HostBenchmarkError
from benchmarks.hosts.instructions import count, of_one_more
from benchmarks.kernels.cases import Case
from dccdka.export.onnx_model import onnx_model
from dccdka.packing import read_artifact
from harness.emulators.instruction_counter import count_instructions
from harness.errors import HarnessError

_COUNTED_MACS = 5e7  # of the inferences that are counted, about: what else a Python process does hardly shows
_TIMED_MACS = 5e8  # what a process that is timed computes, about; long beside its start
_REPEATS = 5
_ORT_INFERENCES = 300
_RUNNER = REPOSITORY / "agents" / "linux" / "runner"
_BUILD = REPOSITORY / "build"


@dataclass(frozen=True)
class Cost:
    """Of one inference. microseconds: the shortest, on this machine's processor; None where that is emulated."""

    instructions: float
    microseconds: float | None


@dataclass(frozen=True)
class Row:
    """macs: of the dense network, whatever the recipe leaves out. other: onnxruntime's; None where it does not run.

    bit_exact: every output is the reference interpreter's.
    """

    model: str
    recipe: str
    machine: str
    macs: int
    ours: Cost
    other: Cost | None
    bit_exact: bool

    @property
    def instructions_ratio(self) -> float | None:
        """Ours over onnxruntime's: below 1 is better, as for microseconds_ratio."""
        return self.ours.instructions / self.other.instructions if self.other else None

    @property
    def microseconds_ratio(self) -> float | None:
        if self.other is None or self.ours.microseconds is None or self.other.microseconds is None:
            return None
        return self.ours.microseconds / self.other.microseconds

    def as_json(self) -> dict[str, object]:
        ratios = {"instructions_ratio": self.instructions_ratio, "microseconds_ratio": self.microseconds_ratio}
        return {**asdict(self), "instructions_per_mac": self.ours.instructions / self.macs, **ratios}


def measure(case: Case, driver: Path, folder: Path, sysroot: Sysroot | None = None) -> Iterator[Row]:
    """This machine's row, and that of a Cortex-A53, where onnxruntime needs a sysroot.

    driver: benchmarks.host_runtime.build()'s. folder: for the model's file. Raises HostBenchmarkError, and
    HostRuntimeError when the runtime refuses the case.
    """
    model = folder / f"{case.model}.onnx"
    # What onnxruntime has integer kernels for.
    onnx.save(onnx_model(read_artifact(case.artifact), case.model, whole_biases=True), model)
    more = max(1, round(_COUNTED_MACS / case.macs))
    ours, other = _times(case, driver, model)
    yield Row(
        model=case.model,
        recipe=case.recipe,
        machine=platform.machine(),
        macs=case.macs,
        ours=Cost(of_one_more(lambda n: count([driver], _stream(case, n)), more), ours),
        other=Cost(of_one_more(lambda n: count(_onnx_command(model, n)), more), other),
        bit_exact=run(driver, case.artifact, case.inputs) == case.expected.tobytes(),
    )
    emulated = sysroot.count(model, more) / more if sysroot is not None else None
    yield _cortex_a53(case, None if emulated is None else Cost(emulated, None))


def build_counter() -> None:
    """The Raspberry Pi's runtime, and what counts its instructions. Raises HostBenchmarkError."""
    for command in (["one", "ARCH=aarch64"], ["-C", "../counter"]):
        done = subprocess.run(["make", "-s", *command], cwd=_RUNNER, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HostBenchmarkError(f"the counter for the Cortex-A53 does not build: {done.stderr.strip()}")


def _cortex_a53(case: Case, other: Cost | None) -> Row:
    image = _BUILD / "counter" / "aarch64" / "counter.elf"
    try:
        counted = count_instructions(case.artifact, case.inputs[0].tobytes(), image=image)
    except HarnessError as error:
        raise HostBenchmarkError(f"{case.model} {case.recipe}: {error}") from error
    exact = counted.output == case.expected[0].tobytes()
    cost = Cost(counted.instructions, None)
    return Row(case.model, case.recipe, "cortex-a53", case.macs, cost, other, exact)


def _stream(case: Case, inferences: int) -> bytes:
    """What the driver reads; see agents/runtime/host/driver.c."""
    inputs: bytes = case.inputs[0].tobytes() * inferences
    return struct.pack("=II", len(case.artifact), len(inputs)) + case.artifact + inputs


def _onnx_command(model: Path, inferences: int) -> list[str | Path]:
    return [sys.executable, "-m", "benchmarks.hosts.onnx_process", model, str(inferences)]


def _times(case: Case, driver: Path, model: Path) -> tuple[float, float]:
    """Microseconds, ours and onnxruntime's: the shortest of some repeats, in turn, since the machine has other work."""
    inferences = max(1, round(_TIMED_MACS / case.macs))
    single, double = _stream(case, inferences), _stream(case, 2 * inferences)
    ours, shorter, longer = [], [], []
    for _ in range(_REPEATS):
        shorter.append(_seconds(driver, single))
        longer.append(_seconds(driver, double))
        done = subprocess.run(_onnx_command(model, _ORT_INFERENCES), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HostBenchmarkError(f"onnxruntime ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        ours.append(float(done.stdout))
    return (min(longer) - min(shorter)) / inferences * 1e6, min(ours)


def _seconds(driver: Path, stream: bytes) -> float:
    """Of the processor, so that what else the machine does counts little."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([driver], input=stream, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin
