"""What is given in place of something else is refused by the library's own errors, with what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dccdka
from dccdka.datasets import Dataset

Network = Callable[[int], nn.Module]
CONFIG = dccdka.TrainingConfig(epochs=1, batch_size=16, device="cpu")
RECIPE = dccdka.Recipe(2, 0.5, 8, 4)
LOGITS = np.zeros((128, 10), np.float32)
LOADER = torch.utils.data.DataLoader([0])


@pytest.mark.parametrize("model", [None, "resnet8", nn.Linear, {"weight": 1}])
def test_a_model_that_is_no_module(tiny: Dataset, model: Any) -> None:
    says = r"^(model|teacher): must be a torch\.nn\.Module, is (None|a str|the class Linear|a dict); give the network"
    for call in (
        lambda: dccdka.compress(model, tiny, RECIPE, training=CONFIG),
        lambda: dccdka.train_teacher(model, tiny, CONFIG),
        lambda: dccdka.compress_stacked(model, tiny, [RECIPE], LOGITS, CONFIG),
        lambda: dccdka.accuracy(model, tiny.test, tiny.normalization),
    ):
        with pytest.raises(dccdka.NetworkError, match=says):
            call()
    with pytest.raises(dccdka.RecipeError, match=says):
        dccdka.post_training(model, RECIPE)
    with pytest.raises(dccdka.TeacherError, match=says):
        dccdka.StoredLogits.compute(dccdka.NetworkTeacher(model), tiny)


@pytest.mark.parametrize("data", [None, LOADER, {"train": 1}])
def test_data_that_are_no_data_set(network: Network, data: Any) -> None:
    for call in (
        lambda: dccdka.compress(network(0), data, RECIPE, training=CONFIG),
        lambda: dccdka.train_teacher(network(0), data, CONFIG),
        lambda: dccdka.compress_stacked(network(0), data, [RECIPE], LOGITS, CONFIG),
    ):
        with pytest.raises(dccdka.DatasetError, match=r"^data: must be a Dataset, or what load_dataset takes, is "):
            call()


@pytest.mark.parametrize("recipe", [None, RECIPE.to_dict(), dccdka.Recipe, [RECIPE]])
def test_a_recipe_that_is_none(tiny: Dataset, network: Network, recipe: Any) -> None:
    says = "recipe: must be a Recipe, is (None|a dict|the class Recipe|a list); .*Recipe.from_dict"
    for call in (
        lambda: dccdka.compress(network(0), tiny, recipe, training=CONFIG),
        lambda: dccdka.compress(network(0), tiny, recipe, training=CONFIG, lowered=False),
        lambda: dccdka.post_training(network(0), recipe),
        lambda: dccdka.Collaboration(network(0), recipe, 10),
    ):
        with pytest.raises(dccdka.RecipeError, match=f"^{says}"):
            call()
    with pytest.raises(dccdka.StackingError, match=f"^{says.replace(':', ' 0:', 1)}"):
        dccdka.compress_stacked(network(0), tiny, [recipe], LOGITS, CONFIG)


@pytest.mark.parametrize("training", [None, {"epochs": 3}, dccdka.TrainingConfig])
def test_a_configuration_that_is_none(tiny: Dataset, network: Network, training: Any) -> None:
    for call in (
        lambda: dccdka.compress(network(0), tiny, RECIPE, training=training),
        lambda: dccdka.train_teacher(network(0), tiny, training),
        lambda: dccdka.compress_stacked(network(0), tiny, [RECIPE], LOGITS, training),
        lambda: dccdka.compress_stacked(network(0), tiny, [RECIPE], LOGITS, [training]),
    ):
        with pytest.raises(dccdka.TrainingConfigError, match=r"^(training|config)( 0)?: must be a TrainingConfig, is "):
            call()


@pytest.mark.parametrize("teacher", ["resnet8", dccdka.NetworkTeacher, {}, []])
def test_a_teacher_that_is_none(tiny: Dataset, network: Network, teacher: Any) -> None:
    for call in (
        lambda: dccdka.compress(network(0), tiny, RECIPE, teacher, training=CONFIG),
        lambda: dccdka.compress_stacked(network(0), tiny, [RECIPE], teacher, CONFIG),
    ):
        with pytest.raises(
            dccdka.TeacherError,
            match=r"^teacher: (must be a module, a list of modules, logits, |the list of networks is empty)",
        ):
            call()


def test_a_stack_says_what_it_needs(tiny: Dataset, network: Network) -> None:
    with pytest.raises(dccdka.StackingError, match=r"^recipes: must be a list of Recipe, is a Recipe; give \[recipe\]"):
        dccdka.compress_stacked(network(0), tiny, RECIPE, LOGITS, CONFIG)  # type: ignore[arg-type]  # the point
    for teacher in (None, dccdka.ParallelTeacher(network(1))):
        with pytest.raises(dccdka.StackingError, match=r"^logits: must be logits or a teacher that does not change"):
            dccdka.compress_stacked(network(0), tiny, [RECIPE], teacher, CONFIG)


def test_data_may_be_named_wherever_they_are_trained_on(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_everywhere.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    r = np.random.default_rng(0)\n"
        "    x, y = r.integers(0, 256, (5128, 1, 28, 28), np.uint8), np.arange(5128) % 10\n"
        "    return x, y, x[:10], y[:10]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[int] = []
    dccdka.train_teacher(network(0), "named_everywhere:load", CONFIG, lambda p: seen.append(p.steps))
    dccdka.compress_stacked(
        network(0), "named_everywhere:load", [RECIPE], LOGITS, CONFIG, lambda p: seen.append(p.steps)
    )
    assert seen == [8, 8]
