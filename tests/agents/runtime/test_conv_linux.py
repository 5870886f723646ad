"""Convolution kernels compute the bytes of FORMAT.md on what Raspberry Pis have: NEON, or not even floating point.

The jobs are those of the Cortex-M tests. A kernel that accesses the word behind its input, output or scratch crashes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .conv_jobs import Job, check_outputs, linux_program, run_on_host
from .test_conv_band import overwriting_jobs as overwriting_band_jobs
from .test_conv_band import random_job as random_band_job
from .test_conv_depthwise import overwriting_jobs as overwriting_depthwise_jobs
from .test_conv_depthwise import random_job as random_depthwise_job
from .test_conv_tile import overwriting_tile_jobs, random_tile_job, random_vector_job

_JOBS = 100
_OPTIONS = ("-O2", "-static", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
_AARCH64 = ("aarch64-linux-gnu-gcc", "-mcpu=cortex-a53")
_ARMV7 = ("arm-linux-gnueabihf-gcc", "-march=armv7-a", "-mfpu=neon")
_ARMV6 = ("arm-linux-gnueabi-gcc", "-march=armv6", "-marm", "-mfloat-abi=soft")
_TARGETS = {
    "aarch64": (_AARCH64, ("qemu-aarch64-static", "-cpu", "cortex-a53")),
    "aarch64-plain": ((*_AARCH64, "-DDCC_PLAIN"), ("qemu-aarch64-static", "-cpu", "cortex-a53")),
    "armv7": (_ARMV7, ("qemu-arm-static", "-cpu", "cortex-a7")),
    "armv7-plain": ((*_ARMV7, "-DDCC_PLAIN"), ("qemu-arm-static", "-cpu", "cortex-a7")),
    "armv6-soft": (_ARMV6, ("qemu-arm-static", "-cpu", "arm1176")),
}


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    rng = np.random.default_rng(3)
    found = [random_tile_job(rng, i) for i in range(_JOBS)]
    found += [random_vector_job(rng, i) for i in range(_JOBS)]
    found += [random_band_job(rng, plain_clamp=bool(i % 4)) for i in range(_JOBS)]
    found += [random_depthwise_job(rng, fast=bool(i % 2)) for i in range(_JOBS)]
    for overwriting in (overwriting_tile_jobs, overwriting_band_jobs, overwriting_depthwise_jobs):
        found += overwriting(rng, _JOBS // 4)
    return found


@pytest.mark.parametrize("target", _TARGETS)
def test_bytes_under_emulation(jobs: list[Job], target: str, tmp_path: Path) -> None:
    compiler, emulator = _TARGETS[target]
    check_outputs(run_on_host(linux_program(tmp_path, [*compiler, *_OPTIONS]), jobs, emulator), jobs)
