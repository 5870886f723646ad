"""Convolution kernels run on jobs of their own, without an artifact: on this machine and on emulated Arm cores."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.host_runtime import REPOSITORY
from benchmarks.kernels.commands import output_of
from benchmarks.kernels.counting import MACHINES
from benchmarks.kernels.program import Program

_RUNTIME = REPOSITORY / "agents" / "runtime"
_TARGET = REPOSITORY / "benchmarks" / "kernels" / "target"
_PROGRAM = Path(__file__).parent / "conv_jobs.c"
_SOURCES = (
    "conv_band",
    "conv_depthwise",
    "conv_patch",
    "conv_tile",
    "conv_vector",
    "weights",
    "coded",
    "channels",
    "bits",
    "windows",
)
_WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror")


class JobKernel(IntEnum):
    """The numbers are conv_jobs.c's."""

    BAND = 0
    DEPTHWISE = 1
    TILE = 2
    VECTOR = 3


@dataclass(frozen=True)
class Weights:
    """As they are stored: encoding as FORMAT.md numbers it."""

    encoding: int
    index_bits: int
    gap_bits: int
    zero_point: int
    data: bytes


@dataclass(frozen=True)
class Residual:
    """x int8 [height, width, channels], of the output's shape; in_place: the output lies on it."""

    x: NDArray[np.int8]
    multipliers: tuple[int, int]
    offset: int
    shift: int
    low: int = -128
    high: int = 127
    in_place: bool = False


@dataclass(frozen=True)
class Job:
    """x int8 [height, width, channels]; weights int16 [filters, ky, kx, channels of the group], code - zero point.

    multipliers int16 and biases int32 [filters]. over_input: bytes from where the output begins to where the input
    does, if one lies on the other. stored: the weights' bytes; by default one code of 8 bits each, where all weights
    must be within -128 to 127.
    """

    kernel: JobKernel
    x: NDArray[np.int8]
    input_zero_point: int
    weights: NDArray[np.int16]
    output_size: tuple[int, int]
    multipliers: NDArray[np.int16]
    biases: NDArray[np.int32]
    scratch_bytes: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    filters_at_once: int = 1
    rows_at_once: int = 1
    accumulator_shift: int = 0
    fraction_bits: int = 0
    low: int = -128
    high: int = 127
    residual: Residual | None = None
    over_input: int | None = None
    stored: Weights | None = field(default=None)

    def as_bytes(self) -> bytes:
        """What conv_jobs.c reads."""
        stored = self.stored or Weights(1, 8, 0, 128, (self.weights + 128).astype(np.uint8).tobytes())
        filters, ky, kx, _ = self.weights.shape
        residual = self.residual or Residual(np.zeros(0, np.int8), (0, 0), 0, 0)
        fields = [self.kernel, *self.x.shape, *self.output_size, filters, self.input_zero_point, ky, kx, *self.stride]
        fields += [*self.padding, self.groups, self.filters_at_once, self.rows_at_once, self.low, self.high]
        fields += [self.accumulator_shift, self.fraction_bits, int(self.residual is not None), int(residual.in_place)]
        fields += [*residual.multipliers, residual.offset, residual.shift, residual.low, residual.high]
        fields += [stored.encoding, stored.index_bits, stored.gap_bits, stored.zero_point]
        fields += [len(stored.data), self.scratch_bytes, -1 if self.over_input is None else self.over_input]
        channels = b"".join(struct.pack("<ihh", b, m, 0) for b, m in zip(self.biases, self.multipliers, strict=True))
        parts = [struct.pack(f"<{len(fields)}i", *map(int, fields)), self.x.tobytes(), residual.x.tobytes(), channels]
        return b"".join(part + bytes(-len(part) % 4) for part in [*parts, stored.data])

    def expected(self) -> NDArray[np.int8]:
        """int8 [height, width, filters], by FORMAT.md, "What operators compute"."""
        (height, width), (ky, kx) = self.output_size, self.weights.shape[1:3]
        sums = np.zeros((height, width, len(self.weights)), np.int64)
        below = max(0, (height - 1) * self.stride[0] + ky - self.padding[0] - self.x.shape[0])
        right = max(0, (width - 1) * self.stride[1] + kx - self.padding[1] - self.x.shape[1])
        edges = ((self.padding[0], below), (self.padding[1], right), (0, 0))
        image = np.pad(self.x.astype(np.int64), edges, constant_values=self.input_zero_point)
        group_filters = len(self.weights) // self.groups
        for filter_, weights in enumerate(self.weights.astype(np.int64)):
            first = filter_ // group_filters * weights.shape[-1]
            for y in range(ky):
                for x in range(kx):
                    seen = image[y :: self.stride[0], x :: self.stride[1], first : first + weights.shape[-1]]
                    sums[..., filter_] += seen[:height, :width] @ weights[y, x]
        wrapped = _int32(_int32(sums) << self.accumulator_shift)
        values = _int32(_int32((wrapped * self.multipliers.astype(np.int64)) >> 16) + self.biases) >> self.fraction_bits
        values = np.clip(values, self.low, self.high)
        if (r := self.residual) is not None:
            values = _int32(values * r.multipliers[0] + r.x.astype(np.int64) * r.multipliers[1] + r.offset)
            values = np.clip(values >> r.shift, r.low, r.high)
        return values.astype(np.int8)


def pair(numbers: NDArray[np.integer]) -> tuple[int, int]:
    """Of two, such as a size."""
    first, second = numbers.tolist()
    return first, second


def spread(job: Job, rng: np.random.Generator) -> Job:
    """With multipliers and biases that bring most outputs between the ends of int8; a residual plays no part."""
    accumulator_shift, fraction_bits = int(rng.choice([0, 0, 1, 3])), int(rng.integers(4, 9))
    magnitudes = np.abs(job.weights.astype(np.int64)).sum((1, 2, 3)).clip(1) * 16
    factors = rng.uniform(0.3, 1.5, len(magnitudes)) * rng.choice([-1, 1, 1], len(magnitudes)) * 2.0**22 / magnitudes
    multipliers = (factors * 2.0 ** (fraction_bits - accumulator_shift)).round().clip(-(2**15), 2**15 - 1)
    return replace(
        job,
        multipliers=multipliers.astype(np.int16),
        biases=rng.integers(-40 << fraction_bits, 40 << fraction_bits, len(magnitudes)).astype(np.int32),
        accumulator_shift=accumulator_shift,
        fraction_bits=fraction_bits,
    )


def over_input(job: Job, rng: np.random.Generator) -> Job:
    """Done so that the output may lie on the input, and there; without its scratch. A residual in place is the input.

    A depthwise job must keep the size, of the others each pixel must see itself alone.
    """
    assert job.x.shape[:2] == job.output_size
    filters = len(job.weights)
    larger = job.output_size[0] * job.output_size[1] * filters - job.x.size
    at = -(-max(0, larger) // 4) * 4
    if job.kernel is JobKernel.DEPTHWISE:
        job = replace(job, rows_at_once=job.output_size[0])
    else:
        job = replace(job, filters_at_once=filters)
        at += 4 * int(rng.integers(0, 2))
    residual = job.residual
    if residual is not None and residual.in_place:
        is_input = at == larger == 0
        residual = replace(residual, x=job.x) if is_input else replace(residual, in_place=False)
    return replace(spread(job, rng), over_input=at, residual=residual)


def check_outputs(outputs: bytes, jobs: Sequence[Job]) -> None:
    """Of all jobs, back to back; the test fails with the first job whose outputs are wrong."""
    at = 0
    for index, job in enumerate(jobs):
        expected = job.expected().tobytes()
        assert outputs[at : at + len(expected)] == expected, f"job {index}: {job}"
        at += len(expected)
    assert at == len(outputs)


def _int32(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((values + 2**31) % 2**32) - 2**31


def host_program(folder: Path) -> Path:
    """For this machine, with address and undefined-behaviour sanitizers; raises if it does not compile."""
    return linux_program(folder, ["cc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"])


def linux_program(folder: Path, compiler: Sequence[str]) -> Path:
    """compiler: with the options that name the machine. Raises if it does not compile."""
    program = folder / "program-linux"
    sources = [_PROGRAM, *(_RUNTIME / "src" / f"{name}.c" for name in _SOURCES)]
    includes = [f"-I{_RUNTIME / 'include'}", f"-I{_RUNTIME / 'src'}"]
    output_of([*compiler, *_WARNINGS, *includes, "-o", program, *sources])
    return program


def run_on_host(program: Path, jobs: Sequence[Job], emulator: Sequence[str] = ()) -> bytes:
    """All outputs back to back; the test fails if the program does."""
    stream = b"".join(job.as_bytes() for job in jobs)
    done = subprocess.run([*emulator, program], input=stream, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def cross_program(jobs: Sequence[Job], core: str, folder: Path, *, flags: Sequence[str] = ()) -> Program:
    """For an emulated core, with the jobs in it. flags: of the compiler, such as -DDCC_PLAIN."""
    (folder / "artifact.bin").write_bytes(b"")
    (folder / "inputs.bin").write_bytes(b"".join(job.as_bytes() for job in jobs))
    elf = folder / "program.elf"
    compiler = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb"]
    output_of([*compiler, "-c", "-Wa,-I," + str(folder), "-o", folder / "model.o", _TARGET / "model.S"])
    (folder / "target").mkdir(exist_ok=True)  # the linker script tells what is measured by this name
    options = ["-O2", "-ffunction-sections", "-fdata-sections", *_WARNINGS, *flags]
    options += [f"-I{_RUNTIME / 'include'}", f"-I{_RUNTIME / 'src'}", f"-I{_TARGET}"]
    objects = [folder / "model.o"]
    for source in (_PROGRAM, _TARGET / "start.c", *(_RUNTIME / "src" / f"{name}.c" for name in _SOURCES)):
        objects.append(folder / (f"{source.stem}.o" if source.parent.name == "src" else f"target/{source.stem}.o"))
        output_of([*compiler, *options, "-c", "-o", objects[-1], source])
    link = ["-nostartfiles", "-Wl,--gc-sections,--no-warn-rwx-segments", "-T", _TARGET / "program.ld"]
    output_of([*compiler, *link, "-o", elf, *objects])
    return Program(elf)


def run_emulated(program: Program, core: str) -> bytes:
    """All outputs back to back."""
    command: list[str | Path] = ["qemu-system-arm", "-M", MACHINES[core], "-kernel", program.elf, "-display", "none"]
    command += ["-nodefaults", "-nic", "none", "-semihosting-config", "enable=on,target=native"]
    return output_of(command)
