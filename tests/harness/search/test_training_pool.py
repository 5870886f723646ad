"""How trainings share the machine's processors and GPUs."""

from __future__ import annotations

import os

import pytest
import ray

from harness.search.training_pool import TrainingPool


@pytest.mark.parametrize(
    ("workers", "gpus", "resources"),
    [
        (4, 0, {"cpu": 1.0}),
        (4, 1, {"cpu": 1.0, "gpu": 0.25}),
        (4, 4, {"cpu": 1.0, "gpu": 1.0}),
        (2, 3, {"cpu": 1.0, "gpu": 1.0}),
        (3, 2, {"cpu": 1.0, "gpu": 1 / 2}),  # as two thirds of a GPU one of them would wait for another to end
        (5, 2, {"cpu": 1.0, "gpu": 1 / 3}),
    ],
)
def test_a_training_has_a_processor_and_at_most_one_gpu(
    monkeypatch: pytest.MonkeyPatch, workers: int, gpus: int, resources: dict[str, float]
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    pool = TrainingPool(workers, gpus)
    assert (asked["num_cpus"], asked["num_gpus"]) == (workers, gpus)
    assert pool._resources == resources
