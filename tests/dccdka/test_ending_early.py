"""However a training ends early, its networks are plain afterwards, and can be trained again or gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from dccdka.checkpoint import CheckpointError
from dccdka.collaborative import Collaboration, CompressedModel
from dccdka.datasets import Dataset
from dccdka.divergence import DivergedError
from dccdka.learner import Learner
from dccdka.progress import Progress
from dccdka.recipe import LayerRule, PruningMode, Recipe, RecipeError, Schedule
from dccdka.teachers import ParallelTeacher
from dccdka.training import TrainingConfig, TrainingConfigError, compress, train_teacher

Network = Callable[[int], nn.Module]
CONFIG = TrainingConfig(epochs=4, batch_size=16, device="cpu", checkpoint_every=0)
RECIPE = Recipe(2, 0.7, 8, 4, schedule=Schedule(interval=3, refit=1))
WRONG = replace(RECIPE, layers=(LayerRule("no such layer", bits=8),))


def interrupted(progress: Progress) -> None:
    if progress.step == 30:
        raise KeyboardInterrupt


def assert_plain(model: nn.Module, like: nn.Module) -> None:
    assert not any(parametrize.is_parametrized(module) for module in model.modules())
    assert list(model.state_dict()) == list(like.state_dict())
    assert [type(module) for module in model.modules()] == [type(module) for module in like.modules()]
    assert all(isinstance(parameter, nn.Parameter) and parameter.requires_grad for parameter in model.parameters())


def assert_same_bits(one: CompressedModel, other: CompressedModel) -> None:
    for name, codes in other.layers.items():
        assert np.array_equal(one.layers[name].codes, codes.codes), name
        assert one.layers[name].scale == codes.scale
    state = one.module.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in other.module.state_dict().items())


def test_a_refused_checkpoint_leaves_the_network_untouched(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    file = tmp_path / "c"
    compress(network(0), tiny, RECIPE, training=CONFIG, checkpoint=file)
    student, recipe = network(0), replace(RECIPE, bits=5)
    with pytest.raises(CheckpointError, match=r"recipe\.bits"):
        compress(student, tiny, recipe, training=CONFIG, checkpoint=file)
    assert_plain(student, network(0))
    file.unlink()
    expected = compress(network(0), tiny, recipe, training=CONFIG)
    assert_same_bits(compress(student, tiny, recipe, training=CONFIG, checkpoint=file), expected)


@pytest.mark.parametrize("pruning", get_args(PruningMode))
def test_an_interrupted_network_goes_on_from_its_checkpoint_to_the_same_bits(
    tmp_path: Path, tiny: Dataset, network: Network, pruning: PruningMode
) -> None:
    recipe, student, teacher = replace(RECIPE, pruning=pruning), network(0), ParallelTeacher(network(1), recipe=RECIPE)
    whole = compress(network(0), tiny, recipe, ParallelTeacher(network(1), recipe=RECIPE), training=CONFIG)
    with pytest.raises(KeyboardInterrupt):
        compress(student, tiny, recipe, teacher, training=CONFIG, checkpoint=tmp_path / "c", on_progress=interrupted)
    assert_plain(student, network(0))
    assert_plain(teacher.networks[0], network(1))
    assert_same_bits(compress(student, tiny, recipe, teacher, training=CONFIG, checkpoint=tmp_path / "c"), whole)


def test_a_network_that_diverged_is_plain(tiny: Dataset, network: Network) -> None:
    student = network(0)
    with pytest.raises(DivergedError, match="the student"):
        compress(student, tiny, RECIPE, training=replace(CONFIG, learning_rate=1e38))
    assert_plain(student, network(0))
    student.load_state_dict(network(0).state_dict())
    expected = compress(network(0), tiny, RECIPE, training=CONFIG)
    assert_same_bits(compress(student, tiny, RECIPE, training=CONFIG), expected)


def test_a_wrong_recipe_of_the_student_leaves_a_compressed_teacher_plain(tiny: Dataset, network: Network) -> None:
    teacher = ParallelTeacher(network(1), network(2), recipe=RECIPE)
    with pytest.raises(RecipeError, match="no such layer"):
        compress(network(0), tiny, WRONG, teacher, training=CONFIG, lowered=False)
    for number, trained in enumerate(teacher.networks, 1):
        assert_plain(trained, network(number))
    compress(network(0), tiny, RECIPE, teacher, training=CONFIG)
    assert len(teacher.compressed) == 2


def test_a_network_leaves_its_device_however_its_training_ends(
    tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[nn.Module] = []
    real = Learner.abandon

    def abandon(self: Learner) -> None:
        real(self)
        left.append(self.model)

    monkeypatch.setattr(Learner, "abandon", abandon)
    teacher, student, beside = network(0), network(1), network(2)
    with pytest.raises(KeyboardInterrupt):
        train_teacher(teacher, tiny, CONFIG, interrupted)
    with pytest.raises(KeyboardInterrupt):
        compress(student, tiny, RECIPE, ParallelTeacher(beside), training=CONFIG, on_progress=interrupted)
    assert left == [teacher, beside, student]


def test_a_learner_that_cannot_be_made_leaves_the_network_plain(
    tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(model: nn.Module) -> nn.Module:
        raise RuntimeError("not supported on this Python")

    monkeypatch.setattr(torch, "compile", no_compiler)
    student = network(0)
    with pytest.raises(TrainingConfigError, match=r"compile: torch cannot compile the student: .*not supported"):
        compress(student, tiny, RECIPE, training=replace(CONFIG, compile=True))
    assert_plain(student, network(0))


def test_a_compression_that_is_interrupted_while_it_is_set_up_leaves_the_network_plain(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dccdka.collaborative.collaboration.GroupedLayer", stops)
    student = network(0)
    with pytest.raises(KeyboardInterrupt):
        Collaboration(student, RECIPE, steps=4)
    assert_plain(student, network(0))


def test_abandoning_what_is_finished_leaves_the_next_compression_alone(network: Network) -> None:
    student = network(0)
    first = Collaboration(student, RECIPE, steps=4)
    first.finalize()
    assert list(student.state_dict()) == list(network(0).state_dict())
    Collaboration(student, RECIPE, steps=4)
    first.abandon()
    assert any(parametrize.is_parametrized(module) for module in student.modules())
