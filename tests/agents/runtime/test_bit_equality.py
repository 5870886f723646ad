"""The C runtime computes the reference interpreter's bytes."""

from __future__ import annotations

import numpy as np

from dccdka.lowering.graph import POINT, Convolution, IntegerGraph, Lookup, Pad, Requantisation, Scaling, Tensor
from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_choices, random_graph, random_inputs


def test_random_graphs_give_the_reference_bytes(driver):
    cases, expected = [], []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=1 + seed % 5)
        inputs = random_inputs(generator, graph, count=3)
        artifact = pack(graph, choose=random_choices(generator))
        cases.append((artifact, inputs.tobytes()))
        expected.append(run_reference(read_artifact(artifact), inputs).tobytes())
    for seed, (answer, outputs) in enumerate(zip(driver.run(cases), expected, strict=True)):
        assert answer.status == 0, f"seed {seed}"
        assert answer.output == outputs, f"seed {seed}"


def test_images_of_224_pixels_and_an_arena_of_25_megabytes(driver):
    generator = np.random.default_rng(0)
    scaling = Requantisation(Scaling(0, 4), np.full(256, 1 << 13, np.int16), np.zeros(256, np.int32))
    codes = generator.integers(0, 4, (256, 1, 1, 3)).astype(np.uint8)
    table = generator.integers(-128, 128, 256).astype(np.int8)
    wide = Tensor(224, 224, 256, 1.0, 0)
    graph = IntegerGraph(
        (Tensor(224, 224, 3, 1.0, 5), wide, wide, Tensor(226, 227, 256, 1.0, -7)),
        (Convolution(0, 1, POINT, 1, False, codes, 1, scaling), Lookup(1, 2, table), Pad(2, 3, 2, 1)),
        input=0,
        output=3,
    )
    artifact = read_artifact(pack(graph, choose=lambda _index, _convolution, choices: choices[0]))
    assert artifact.arena_bytes == 224 * 224 * 256 + 226 * 227 * 256
    inputs = random_inputs(generator, graph, count=1)
    (answer,) = driver.run([(artifact.data, inputs.tobytes())])
    assert answer.status == 0
    assert answer.output == run_reference(artifact, inputs).tobytes()
