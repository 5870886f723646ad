"""BAND computes the bytes of FORMAT.md, in plain C and with the DSP instructions, whatever the shape."""

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
    """FORMAT.md, "Convolution": 8 F + 4 (F + 1) + 8 per entry of the group with most entries + band."""
    filters, ky, kx, channels = map(int, job.weights.shape)
    filled = np.zeros((filters, ky * kx, -(-channels // 4), 4), bool)
    filled.reshape(filters, ky * kx, -1)[..., :channels] = job.weights.reshape(filters, ky * kx, channels) != 0
    entries = (filled[..., :2] | filled[..., 2:]).sum((1, 2, 3))
    at_once = job.filters_at_once
    most = max(int(entries[first : first + at_once].sum()) for first in range(0, filters, at_once))
    width, (sy, sx) = job.output_size[1], job.stride
    if (ky, kx, sy, sx, *job.padding) == (1, 1, 1, 1, 0, 0) and job.x.shape[:2] == job.output_size:
        rows, pitch = 1, max(8, job.rows_at_once * width)
    else:
        rows, pitch = (job.rows_at_once - 1) * sy + ky, max(8, width) + (kx - 1) // sx
    band = rows * (-(-channels // 4) * 4 // 2) * min(sx, kx) * pitch * 4
    return 8 * at_once + 4 * (at_once + 1) + 8 * most + band


def random_job(rng: np.random.Generator, *, plain_clamp: bool, point: bool = False, square: bool = False) -> Job:
    """Of any shape that BAND takes; small. point: each pixel sees itself alone; square: as many filters as channels."""
    kernel, stride = pair(rng.choice([1, 1, 2, 3, 3, 5], 2)), pair(rng.choice([1, 1, 2, 3], 2))
    padding, size = pair(rng.integers(0, np.add(kernel, 2))), pair(rng.integers(1, (9, 24)))
    if point or rng.random() < 0.15:
        kernel, stride, padding, output = (1, 1), (1, 1), (0, 0), size
    else:  # down to where a window's last tap may lie behind the image
        output = pair(np.maximum(1, (np.add(size, 2 * np.array(padding)) - kernel) // stride + 1))
    channels, filters = int(rng.choice([1, 2, 3, 4, 5, 8, 16, 66])), int(rng.integers(1, 8))
    if square:
        filters = channels
    weights = rng.integers(-128, 128, (filters, *kernel, channels)).astype(np.int16)
    weights[rng.random(weights.shape) < rng.choice([0.0, 0.5, 0.8, 0.9, 1.0])] = 0
    if rng.random() < 0.3:
        weights[rng.integers(0, filters)] = 0
    job = Job(
        JobKernel.BAND,
        rng.integers(-128, 128, (*size, channels)).astype(np.int8),
        int(rng.integers(-128, 128)),
        weights,
        output,
        rng.integers(-(2**15), 2**15, filters).astype(np.int16),
        rng.integers(-(2**20), 2**20, filters).astype(np.int32),
        0,
        stride,
        padding,
        filters_at_once=int(rng.integers(1, filters + 1)),
        rows_at_once=int(rng.integers(1, output[0] + 1)),
        accumulator_shift=int(rng.choice([0, 0, 1, 7, 15])),
        fraction_bits=int(rng.integers(0, 16)),
    )
    if rng.random() < 0.8:
        job = spread(job, rng)
    if not plain_clamp:
        low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
        job = replace(job, low=low, high=high)
    if rng.random() < 0.4:
        other = rng.integers(-128, 128, (*output, filters)).astype(np.int8)
        multipliers = pair(rng.integers(-(2**15), 2**15, 2))
        residual = Residual(other, multipliers, int(rng.integers(-(2**22), 2**22)), int(rng.integers(0, 20)))
        if rng.random() < 0.3:
            residual = replace(residual, low=-3, high=70, shift=15)
        job = replace(job, residual=replace(residual, in_place=bool(rng.random() < 0.5)))
    return replace(job, scratch_bytes=scratch_bytes(job))


def overwriting_jobs(rng: np.random.Generator, count: int) -> list[Job]:
    """Whose output lies on the input; of the same depth, deeper or less deep."""
    made = [random_job(rng, plain_clamp=bool(i % 4), point=True, square=i % 2 == 0) for i in range(count)]
    return [replace(job, scratch_bytes=scratch_bytes(job)) for job in (over_input(job, rng) for job in made)]


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    rng = np.random.default_rng(1)
    return [random_job(rng, plain_clamp=bool(i % 4)) for i in range(_JOBS)] + overwriting_jobs(rng, _JOBS // 4)


def test_on_this_machine_with_sanitizers(jobs: list[Job], tmp_path: Path) -> None:
    check_outputs(run_on_host(host_program(tmp_path), jobs), jobs)


@pytest.mark.parametrize(("core", "flags"), [("cortex-m4", ()), ("cortex-m4", ("-DDCC_PLAIN",)), ("cortex-m3", ())])
def test_in_the_emulator(jobs: list[Job], core: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    check_outputs(run_emulated(cross_program(jobs, core, tmp_path, flags=flags), core), jobs)
