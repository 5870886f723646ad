"""The packer's table of the Cortex-M4 against the runtime as it is, on layers that the table was not fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.kernels.cases import case_of
from benchmarks.kernels.program import build_plugin
from benchmarks.kernels.rows import measure
from dccdka.lowering.graph import Convolution
from dccdka.packing import pack, read_artifact
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import packaged_costs
from dccdka.packing.work import layer_of
from harness.farm.single_run import random_inputs
from harness.tune.cases import Plan, convolution_graph

TILE = KernelChoice(Kernel.TILE, Encoding.RAW, 20)
BAND = KernelChoice(Kernel.BAND, Encoding.CODED, 10, 4)
DEPTHWISE = KernelChoice(Kernel.DEPTHWISE, Encoding.INDEXED, 1, 13)
VECTOR = KernelChoice(Kernel.VECTOR, Encoding.RAW)


@pytest.mark.parametrize(
    ("choice", "plan", "groups", "zeros"),
    [
        (TILE, Plan((13, 15), 20, 20, (3, 3)), 1, 0.0),
        (BAND, Plan((13, 15), 20, 20, (3, 3)), 1, 0.8),
        (DEPTHWISE, Plan((13, 11), 20, 20, (3, 3)), 20, 0.0),
        (VECTOR, Plan((1, 1), 200, 40), 1, 0.0),
    ],
    ids=lambda value: value.kernel.name if isinstance(value, KernelChoice) else "",
)
def test_the_packed_table_tells_what_a_layer_takes(
    tmp_path: Path, choice: KernelChoice, plan: Plan, groups: int, zeros: float
) -> None:
    generator = np.random.default_rng(3)
    shape = (plan.filters, *plan.kernel, plan.channels // groups)
    codes = generator.choice(np.arange(100, 116, dtype=np.uint8), shape)
    codes[generator.random(shape) < zeros] = 128
    graph = convolution_graph(plan, groups, codes)
    convolution = graph.operators[0]
    assert isinstance(convolution, Convolution)
    artifact = read_artifact(pack(graph, choose=lambda index, operator, choices: choice))
    layer = layer_of(graph, convolution)
    case = case_of("a layer", "", layer.weights * layer.pixels, artifact.data, random_inputs(artifact, 2).inputs)
    row = measure(case, "cortex-m4", build_plugin(), tmp_path)
    assert row.bit_exact
    assert packaged_costs("cortex-m4").estimate(choice, layer) == pytest.approx(row.instructions, rel=0.15)
