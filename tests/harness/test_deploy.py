"""Packing a network without a search: what does not suit it is told as the user's fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from dccdka.recipe import LayerRule, Recipe
from harness.config import StudyConfig
from harness.deploy import pack_network
from harness.errors import UsageError

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
