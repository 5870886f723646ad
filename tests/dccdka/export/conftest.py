"""Exported libraries of random models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dccdka.packing import Artifact, pack, read_artifact, run_reference
from dccdka.packing.choosing import Choose
from dccdka.packing.conformance import random_choices, random_graph, random_inputs

RUNTIME = Path(__file__).parents[3] / "agents" / "runtime"


def library_arguments(seed: int, operators: int, choose: Choose | None = None) -> dict[str, Any]:
    """For export_library, of a random model and input, with the reference interpreter's output."""
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators)
    sample = random_inputs(generator, graph, count=1)
    artifact = read_artifact(pack(graph, choose=choose or random_choices(generator)))
    return {
        "artifact": artifact,
        "name": f"model_{seed}",
        "runtime_dir": RUNTIME,
        "sample_input": sample.tobytes(),
        "expected_output": run_reference(artifact, sample).tobytes(),
    }


@pytest.fixture(scope="session")
def arguments() -> dict[str, Any]:
    """Of a model with several kinds of operators."""
    return library_arguments(seed=7, operators=12)


@pytest.fixture(scope="session")
def artifacts() -> list[Artifact]:
    """Of which some use every kind of operator, every kernel and every encoding."""
    return [library_arguments(seed, operators=20)["artifact"] for seed in range(12)]
