"""The random graphs reach every kernel, encoding and form of channels, and their arenas stay small."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dccdka.lowering.graph import Convolution
from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.choice import Kernel
from dccdka.packing.conformance import random_choices, random_graph, random_inputs


@pytest.fixture(scope="module")
def artifacts():
    made = []
    for seed in range(250):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=8)
        artifact = read_artifact(pack(graph, choose=random_choices(generator)))
        made.append((graph, artifact, random_inputs(generator, graph, 2)))
    return made


def test_every_kernel_meets_every_encoding_that_it_takes_and_both_forms_of_channels(artifacts):
    seen = {
        (stored.choice.kernel, stored.choice.encoding, stored.channel_bytes == 8 * len(operator.codes))
        for _, artifact, _ in artifacts
        for operator, stored in zip(artifact.operators, artifact.stored, strict=True)
        if stored is not None
    }
    every = {(k, e, wide) for k, wide in product(Kernel, (False, True)) for e in k.encodings}
    assert seen == every


def test_every_kernel_adds_residuals(artifacts):
    seen = {
        stored.choice.kernel
        for _, artifact, _ in artifacts
        for operator, stored in zip(artifact.operators, artifact.stored, strict=True)
        if isinstance(operator, Convolution) and operator.residual is not None
    }
    assert seen == set(Kernel)


def test_every_kernel_that_can_writes_over_its_input(artifacts):
    over = [
        (stored.choice.kernel, np.sign(y.channels - x.channels), operator.residual)
        for _, artifact, _ in artifacts
        for operator, stored in zip(artifact.operators, artifact.stored, strict=True)
        if isinstance(operator, Convolution) and stored is not None
        for x, y in [(artifact.tensors[operator.input], artifact.tensors[operator.output])]
        if x.region.overlaps(y.region)
    ]
    deeper = set(product((Kernel.TILE, Kernel.BAND), (-1, 0, 1)))
    assert {(kernel, sign) for kernel, sign, _ in over} == deeper | {(Kernel.DEPTHWISE, 0)}
    for kernel in (Kernel.TILE, Kernel.BAND, Kernel.DEPTHWISE):
        assert {residual is None for own, _, residual in over if own is kernel} == {False, True}


def test_arenas_are_below_64_kilobytes(artifacts):
    assert max(artifact.arena_bytes for _, artifact, _ in artifacts) < 1 << 16


def test_what_the_packer_chooses_computes_the_same(artifacts):
    for graph, artifact, inputs in artifacts[::10]:
        expected = run_reference(read_artifact(pack(graph)), inputs)
        np.testing.assert_array_equal(run_reference(artifact, inputs), expected)


def test_outputs_are_not_all_alike(artifacts):
    outputs = [np.unique(run_reference(artifact, inputs)) for _, artifact, inputs in artifacts[::10]]
    assert np.mean([len(values) > 3 for values in outputs]) > 0.5
