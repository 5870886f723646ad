"""Packing a network without a search, and models for other tools: what does not suit is told, and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dccdka.packing import Artifact, read_artifact
from dccdka.packing.narrowing import Images
from dccdka.recipe import LayerRule, Recipe
from harness import deploy
from harness.config import StudyConfig
from harness.deploy import export_onnx, pack_network
from harness.errors import CandidateError, UsageError
from harness.results.journal import Journal

STUDY = StudyConfig.model_validate(
    {
        "name": "small",
        "data": {"source": "fashion-mnist"},
        "model": {"name": "resnet8", "width": 2},
        "candidates": 1,
        "devices": ["f405-emulated"],
        "target": "f405-emulated",
    }
)


def test_options_that_do_not_suit_the_network_are_told() -> None:
    recipe = Recipe(1, 0, None, 8, layers=(LayerRule("stage9.*", bits=4),))
    with pytest.raises(UsageError, match=r"^recipe: layers: the rule for 'stage9\.\*' matches no layer"):
        pack_network(STUDY, recipe, None, print)


def test_a_layer_too_small_for_its_clusters_is_told() -> None:
    said: list[str] = []
    assert pack_network(STUDY, Recipe(1, 0.75, 64, 8), None, said.append)
    assert said[0] == "layer conv: its 5 live weights are too few for 64 clusters; has 6"


def test_weights_of_no_network_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.safetensors: not a safetensors file"):
        pack_network(STUDY, Recipe(1, 0, None, 8), tmp_path / "none.safetensors", print)


def test_an_onnx_model_that_is_off_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = read_artifact(pack_network(STUDY, Recipe(1, 0, None, 8), None, print))
    images = np.random.default_rng(0).integers(-128, 128, (40, *artifact.input_shape), np.int8)

    def stored(_journal: Journal, _candidate: str, count: int) -> tuple[Artifact, Images]:
        return artifact, images[:count]

    journal, out = Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}"), tmp_path / "model.onnx"
    monkeypatch.setattr(deploy, "candidate_with_inputs", stored)
    monkeypatch.setattr("dccdka.export.onnx_check.MOST_STEPS", -1)  # as if every operator were off
    with pytest.raises(CandidateError, match=r"^candidate c001: operator \d+_\w+: .* export C instead$") as refused:
        export_onnx(journal, "c001", out)
    assert refused.value.exit_code == 1
    assert not out.exists()
    monkeypatch.undo()
    monkeypatch.setattr(deploy, "candidate_with_inputs", stored)
    found = export_onnx(journal, "c001", out)
    assert out.stat().st_size > 1000
    assert found.whole.images == 40
    assert max(operator.steps for operator in found.operators) <= 1
