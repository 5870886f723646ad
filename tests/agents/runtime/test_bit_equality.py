"""The C runtime computes the reference interpreter's bytes."""

from __future__ import annotations

import numpy as np

from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs


def test_random_graphs_give_the_reference_bytes(driver):
    cases, expected = [], []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=1 + seed % 5)
        inputs = random_inputs(generator, graph, count=3)
        artifact = pack(graph)
        cases.append((artifact, inputs.tobytes()))
        expected.append(run_reference(read_artifact(artifact), inputs).tobytes())
    for seed, (answer, outputs) in enumerate(zip(driver.run(cases), expected, strict=True)):
        assert answer.status == 0, f"seed {seed}"
        assert answer.output == outputs, f"seed {seed}"
