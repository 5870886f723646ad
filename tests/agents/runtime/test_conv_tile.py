"""TILE and VECTOR compute the bytes of FORMAT.md, in plain C and with the DSP instructions, whatever the shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.agents.runtime.conv_jobs import (
    Job,
    JobKernel,
    Residual,
    Weights,
    cross_program,
    host_program,
    over_input,
    run_emulated,
    run_on_host,
)

_JOBS = 100
_INDEXED, _RAW = 1, 0


def raw(weights: NDArray[np.int16], zero_point: int) -> Weights:
    """weights int16 [filters, ky, kx, channels]; FORMAT.md, "Weights", RAW."""
    filters, ky, kx, channels = weights.shape
    codes = np.zeros((filters + filters % 2, ky, -(-kx * channels // 4) * 4), np.uint8)
    codes[:filters, :, : kx * channels] = (weights + zero_point).reshape(filters, ky, -1)
    codes[filters:] = zero_point
    codes[1::2] ^= 0x80
    codes[1::2, :, kx * channels :] = 0x80
    fours = codes.reshape(len(codes) // 2, 2, -1, 4)[..., [0, 2, 1, 3]]
    return Weights(_RAW, 8, 0, zero_point, fours.transpose(0, 2, 3, 1).tobytes())


def inputs_of(weights: NDArray[np.int16]) -> int:
    """K of FORMAT.md."""
    _, ky, kx, channels = weights.shape
    return ky * -(-kx * channels // 4) * 4


def tile_scratch_bytes(job: Job) -> int:
    """FORMAT.md, "Convolution"."""
    inputs, at_once = inputs_of(job.weights), job.filters_at_once
    assert job.stored is not None
    decoded = 0 if job.stored.encoding == _RAW else inputs * (at_once + at_once % 2)
    return 8 * at_once + 32 + 8 * inputs + decoded


def random_codes(rng: np.random.Generator, shape: tuple[int, ...], zero_point: int) -> NDArray[np.int16]:
    """Weights, whole range or around zero; at most 2^16 in sum, as these kernels need it."""
    codes = rng.integers(0, 256, shape) if rng.random() < 0.5 else zero_point + rng.normal(0, 20, shape)
    weights = np.clip(codes, 0, 255).astype(np.int16) - zero_point
    too_much = np.abs(weights.reshape(len(weights), -1)).sum(1) >= 2**16
    weights[too_much] //= 4
    return weights


def with_requantisation(rng: np.random.Generator, job: Job, index: int) -> Job:
    """Every third job is clamped, and many have a residual."""
    job = replace(
        job,
        accumulator_shift=int(rng.choice([0, 0, 1, 7, 8, 9, 15])),
        fraction_bits=int(rng.integers(0, 16)),
    )
    if index % 3 == 0:
        low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
        job = replace(job, low=low, high=high)
    if rng.random() < 0.5:
        other = rng.integers(-128, 128, (*job.output_size, len(job.weights))).astype(np.int8)
        multipliers = tuple(int(n) for n in rng.integers(-(2**15), 2**15, 2))
        residual = Residual(other, multipliers, int(rng.integers(-(2**22), 2**22)), int(rng.integers(8, 18)))
        if rng.random() < 0.2:
            residual = replace(residual, low=-3, high=70)
        job = replace(job, residual=replace(residual, in_place=bool(rng.random() < 0.5)))
    return job


def random_image(rng: np.random.Generator, size: tuple[int, int], channels: int) -> NDArray[np.int8]:
    return rng.integers(-128, 128, (*size, channels)).astype(np.int8)


def channel_values(rng: np.random.Generator, filters: int, sums: int) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Multipliers that take sums of so many products to some hundreds, mostly, and biases like them."""
    most = max(2, min(2**15, 2**27 // (sums * 64)))
    return rng.integers(-most, most, filters).astype(np.int16), rng.integers(-(2**12), 2**12, filters).astype(np.int32)


def random_tile_job(rng: np.random.Generator, index: int, *, square: bool = False) -> Job:
    """Of any shape that TILE takes; small. square: as many filters as channels."""
    kernel = tuple(int(n) for n in rng.choice([1, 1, 2, 3, 3, 5], 2))
    stride = tuple(int(n) for n in rng.choice([1, 1, 2, 3], 2))
    padding = tuple(int(rng.integers(0, k + 1)) for k in kernel)
    size = tuple(int(n) for n in rng.integers(1, 12, 2))
    channel_counts = [1, 2, 3, 4, 5, 8, 16, 67]
    if index % 3 == 0:  # neighbouring pixels share columns of the image
        kernel, stride, padding = (kernel[0], 3), (stride[0], 1), (padding[0], int(rng.integers(0, 2)))
        size, channel_counts = (size[0], size[1] + 3), [4, 8, 12]
    if index % 4 == 0:  # each pixel sees itself alone
        kernel, stride, padding, output = (1, 1), (1, 1), (0, 0), size
    else:  # down to where a window's last taps may lie behind the image
        output = tuple(
            max(1, (n + 2 * p - k) // s + 1) for n, p, k, s in zip(size, padding, kernel, stride, strict=True)
        )
    channels, filters = int(rng.choice(channel_counts)), int(rng.integers(1, 10))
    if square:
        filters = channels
    zero_point = int(rng.choice([0, 100, 128, 128, 255]))
    weights = random_codes(rng, (filters, *kernel, channels), zero_point)
    stored = raw(weights, zero_point)
    if index % 2:
        codes = (weights + zero_point).astype(np.uint8).tobytes()
        stored = Weights(_INDEXED, 8, 0, zero_point, codes)
    at_once = min(filters, 2 * int(rng.integers(1, 6)))
    multipliers, biases = channel_values(rng, filters, weights[0].size)
    job = Job(
        JobKernel.TILE,
        random_image(rng, size, channels),
        int(rng.integers(-128, 128)),
        weights,
        output,
        multipliers,
        biases,
        0,
        stride,
        padding,
        filters_at_once=at_once,
        stored=stored,
    )
    return replace(with_requantisation(rng, job, index), scratch_bytes=tile_scratch_bytes(job))


def overwriting_tile_jobs(rng: np.random.Generator, count: int) -> list[Job]:
    """Whose output lies on the input; of the same depth, deeper or less deep."""
    made = (over_input(random_tile_job(rng, 4 * i, square=i % 2 == 0), rng) for i in range(count))
    return [replace(job, scratch_bytes=tile_scratch_bytes(job)) for job in made]


def random_vector_job(rng: np.random.Generator, index: int) -> Job:
    """Of any shape that VECTOR takes; small."""
    size = (1, 1) if index % 2 else tuple(int(n) for n in rng.integers(1, 6, 2))
    channels, filters = int(rng.choice([1, 3, 4, 5, 8, 20, 64, 131])), int(rng.integers(1, 15))
    zero_point = int(rng.choice([0, 100, 128, 128, 255]))
    weights = random_codes(rng, (filters, *size, channels), zero_point)
    image, multipliers_biases = random_image(rng, size, channels), channel_values(rng, filters, weights[0].size)
    job = Job(JobKernel.VECTOR, image, 0, weights, (1, 1), *multipliers_biases, 0, stored=raw(weights, zero_point))
    return with_requantisation(rng, job, index)


def check(outputs: bytes, jobs: list[Job]) -> None:
    """Names the first job whose output is wrong."""
    at = 0
    for index, job in enumerate(jobs):
        expected = job.expected().tobytes()
        assert outputs[at : at + len(expected)] == expected, f"job {index}: {job}"
        at += len(expected)
    assert at == len(outputs)


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    rng = np.random.default_rng(1)
    tiles = [random_tile_job(rng, i) for i in range(_JOBS)]
    vectors = [random_vector_job(rng, i) for i in range(_JOBS // 2)]
    return tiles + vectors + overwriting_tile_jobs(rng, _JOBS // 4)


def test_jobs_tell_results_apart(jobs: list[Job]) -> None:
    """Few outputs lie at an end of int8."""
    outputs = np.concatenate([job.expected().ravel() for job in jobs if (job.low, job.high) == (-128, 127)])
    assert np.mean((outputs > -128) & (outputs < 127)) > 0.5


def test_on_this_machine_with_sanitizers(jobs: list[Job], tmp_path: Path) -> None:
    check(run_on_host(host_program(tmp_path), jobs), jobs)


@pytest.mark.parametrize(("core", "flags"), [("cortex-m4", ()), ("cortex-m4", ("-DDCC_PLAIN",)), ("cortex-m3", ())])
def test_in_the_emulator(jobs: list[Job], core: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    check(run_emulated(cross_program(jobs, core, tmp_path, flags=flags), core), jobs)
