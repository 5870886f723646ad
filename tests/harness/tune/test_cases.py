"""The micro-benchmarks themselves: that they measure what they say, and that they tell all kinds of work apart."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.graph import Convolution
from dccdka.packing import run_reference
from dccdka.packing.choice import Kernel
from dccdka.packing.work import kinds_of_work, work
from harness.farm.single_run import random_inputs
from harness.tune.cases import MicroBenchmark, micro_benchmarks

BENCHMARKS = list(micro_benchmarks())
_ROOM = 32 * 1024


def test_names_are_unique_and_every_kernel_takes_each_of_its_encodings() -> None:
    assert len({b.name for b in BENCHMARKS}) == len(BENCHMARKS)
    expected = {(kernel, encoding) for kernel in Kernel for encoding in kernel.encodings}
    assert {(b.choice.kernel, b.choice.encoding) for b in BENCHMARKS} == expected


@pytest.mark.parametrize("kernel", Kernel)
def test_amounts_of_work_are_told_apart(kernel: Kernel) -> None:
    """Only what is done once for a layer, whatever its encoding, and once more for the encoding may be one."""
    kinds = kinds_of_work(kernel)
    done = [work(b.choice, b.layer) for b in BENCHMARKS if b.choice.kernel is kernel]
    amounts = np.array([[d.get(kind, 0.0) for kind in kinds] for d in done])
    amounts /= np.linalg.norm(amounts, axis=0)
    takes_raw = any(b.choice.kernel is kernel and b.choice.encoding == 0 for b in BENCHMARKS)
    assert np.linalg.matrix_rank(amounts, tol=1e-3) >= len(kinds) - (0 if takes_raw else 1)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda b: b.name)
def test_the_packer_keeps_the_choice_in_an_artifact_that_fits_small_boards(benchmark: MicroBenchmark) -> None:
    artifact = benchmark.artifact
    convolution = artifact.operators[0]
    assert isinstance(convolution, Convolution)
    assert artifact.choices[0] == benchmark.choice
    assert len(artifact.data) + artifact.arena_bytes < _ROOM


@pytest.mark.parametrize("kernel", Kernel)
def test_outputs_are_neither_constant_nor_all_clamped(kernel: Kernel) -> None:
    for benchmark in [b for b in BENCHMARKS if b.choice.kernel is kernel][::5]:
        outputs = run_reference(benchmark.artifact, random_inputs(benchmark.artifact, 2).inputs)
        inside = (outputs > -128) & (outputs < 127)
        assert inside.mean() > 0.7 and outputs.std() > 5, benchmark.name
