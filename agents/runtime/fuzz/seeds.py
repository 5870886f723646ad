"""Writes what the fuzzer's corpus is made from, small artifacts with an input behind: python seeds.py ALL ESSENTIAL

ALL: a folder for all of them. ESSENTIAL: another for the smallest with each kernel, encoding and form of channels, and
with each kernel whose output lies on its input.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dccdka.lowering.graph import Convolution
from dccdka.packing import Artifact, pack, read_artifact
from dccdka.packing.conformance import random_choices, random_graph, random_inputs

COUNT = 1000
MOST_BYTES = 1024
MOST_INPUT_BYTES = 64  # the fuzzer repeats them


def seed(number: int) -> tuple[Artifact, bytes]:
    """Of 1 to 4 operators, and whatever kernel and encoding take each convolution; and an input, or its first bytes.

    The same for the same number.
    """
    generator = np.random.default_rng(number)
    graph = random_graph(generator, operators=1 + number % 4)
    artifact = read_artifact(pack(graph, choose=random_choices(generator)))
    return artifact, random_inputs(generator, graph, count=1).tobytes()[:MOST_INPUT_BYTES]


def forms(artifact: Artifact) -> set[tuple[object, ...]]:
    """Kernel, encoding, and whether channels are WIDE, of all convolutions; and kernels that overwrite their input."""
    found: set[tuple[object, ...]] = set()
    for operator, stored in zip(artifact.operators, artifact.stored, strict=True):
        if isinstance(operator, Convolution) and stored is not None:
            is_wide = stored.channel_bytes == 8 * len(operator.codes)
            found.add((stored.choice.kernel, stored.choice.encoding, is_wide))
            if artifact.tensors[operator.input].region.overlaps(artifact.tensors[operator.output].region):
                found.add((stored.choice.kernel, "overwrites"))
    return found


def write(every: Path, essential: Path) -> None:
    smallest: dict[tuple[object, ...], tuple[str, bytes]] = {}
    for number in range(COUNT):
        artifact, inputs = seed(number)
        name, data = f"{number:04}", artifact.data + inputs
        if len(data) > MOST_BYTES:
            continue
        (every / name).write_bytes(data)
        for form in forms(artifact):
            if form not in smallest or len(data) < len(smallest[form][1]):
                smallest[form] = name, data
    for name, data in smallest.values():
        (essential / name).write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
