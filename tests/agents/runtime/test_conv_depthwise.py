"""DEPTHWISE computes the bytes of FORMAT.md, in plain C and with the DSP instructions, whatever the shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from .conv_jobs import (
    Job,
    JobKernel,
    Residual,
    check_outputs,
    cross_program,
    host_program,
    over_input,
    pair,
    run_emulated,
    run_on_host,
    spread,
)

_JOBS = 120


def scratch_bytes(job: Job) -> int:
    """FORMAT.md, "Convolution": 8 P + 8 taps + 36 T + 4 + channels."""
    channels, ky, kx, _ = map(int, job.weights.shape)
    (sy, sx), padding, (_, width), rows = job.stride, job.padding[1], job.output_size, job.rows_at_once
    beyond = max(0, (width - 1) * sx + kx - padding)
    pitch = _up(max(min(beyond, int(job.x.shape[1])) + padding, beyond, width), 2)
    plane = _up(padding, 2) + ((rows - 1) * sy + ky) * pitch + 8 * sx
    joined = job.stride == (1, 1) and width % 8 != 0
    tiles = _up((rows - 1) * pitch + width, 8) // 8 if joined else rows * (_up(width, 8) // 8)
    return 8 * plane + 8 * ky * kx + 36 * tiles + 4 + _up(channels, 4)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def random_job(rng: np.random.Generator, *, fast: bool, keeps_size: bool = False) -> Job:
    """Of any shape that DEPTHWISE takes; small. fast: most likely one that the DSP code has a loop for."""
    kernel = (3, 3) if fast else pair(rng.choice([1, 2, 3, 4, 5], 2))
    stride = pair(rng.choice([1, 1, 2, 3] if not fast else [1, 2], 2))
    padding = pair(rng.integers(0, np.add(kernel, 2)))
    if fast and stride[1] == 1:
        padding = (padding[0], int(rng.choice([1, 1, 3])))
    if keeps_size:
        kernel, stride = pair(np.array(kernel) | 1), (1, 1)
        padding = pair(np.array(kernel) // 2)
    size = pair(rng.integers(1, (9, 40)))
    output = pair(np.maximum(1, (np.add(size, 2 * np.array(padding)) - kernel) // stride + 1))
    channels = int(rng.choice([1, 3, 4, 8, 9]))
    weights = rng.integers(-128, 128, (channels, *kernel, 1)).astype(np.int16)
    weights[rng.random(weights.shape) < rng.choice([0.0, 0.5, 0.9])] = 0
    job = Job(
        JobKernel.DEPTHWISE,
        rng.integers(-128, 128, (*size, channels)).astype(np.int8),
        int(rng.integers(-128, 128)),
        weights,
        output,
        rng.integers(-(2**15), 2**15, channels).astype(np.int16),
        rng.integers(-(2**20), 2**20, channels).astype(np.int32),
        0,
        stride,
        padding,
        groups=channels,
        rows_at_once=int(rng.integers(1, output[0] + 1)),
        accumulator_shift=int(rng.choice([0, 0, 1, 7, 15])),
        fraction_bits=int(rng.integers(0, 16)),
    )
    if rng.random() < 0.8:
        job = spread(job, rng)
    if not fast and rng.random() < 0.5:
        low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
        job = replace(job, low=low, high=high)
    if not fast and rng.random() < 0.4:
        other = rng.integers(-128, 128, (*output, channels)).astype(np.int8)
        residual = Residual(other, (9000, -8000), 5000, 14, in_place=bool(rng.random() < 0.5))
        job = replace(job, residual=residual)
    return replace(job, scratch_bytes=scratch_bytes(job))


def overwriting_jobs(rng: np.random.Generator, count: int) -> list[Job]:
    """Whose output lies on the input."""
    made = (over_input(random_job(rng, fast=bool(i % 2), keeps_size=True), rng) for i in range(count))
    return [replace(job, scratch_bytes=scratch_bytes(job)) for job in made]


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    rng = np.random.default_rng(2)
    return [random_job(rng, fast=bool(i % 2)) for i in range(_JOBS)] + overwriting_jobs(rng, _JOBS // 4)


def test_on_this_machine_with_sanitizers(jobs: list[Job], tmp_path: Path) -> None:
    check_outputs(run_on_host(host_program(tmp_path), jobs), jobs)


@pytest.mark.parametrize(("core", "flags"), [("cortex-m4", ()), ("cortex-m4", ("-DDCC_PLAIN",)), ("cortex-m3", ())])
def test_in_the_emulator(jobs: list[Job], core: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    check_outputs(run_emulated(cross_program(jobs, core, tmp_path, flags=flags), core), jobs)
