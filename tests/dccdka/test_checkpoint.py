"""A training that is interrupted goes on to the same bits; a file of anything else, or a damaged one, is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dccdka.checkpoint import Checkpoint, CheckpointError
from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset, Split
from dccdka.progress import Progress
from dccdka.recipe import LayerRule, Recipe, RecipeError, Schedule
from dccdka.teachers import ParallelTeacher
from dccdka.training import AnyTeacher, TrainingConfig, compress, train_teacher

Network = Callable[[int], nn.Module]
# Every phase lies within its 32 steps, and an epoch is 8 of them: no checkpoint is at the end of one.
CONFIG = TrainingConfig(
    epochs=4, batch_size=16, device="cpu", checkpoint_every=0, augmentation="flip-shift", autocast="none"
)
RECIPE = Recipe(2, 0.7, 8, 4, schedule=Schedule(interval=3, refit=1, noise_block=2))


class Interrupted(Exception):
    """Stands for the kill of a training's process."""


def with_dropout(network: Network, seed: int) -> nn.Module:
    layers = list(network(seed).children())
    return nn.Sequential(*layers[:-1], nn.Dropout(0.3), layers[-1])


def trained(
    tiny: Dataset,
    student: nn.Module,
    teacher: AnyTeacher,
    checkpoint: Path | None,
    until: int | None = None,
    **options: Any,
) -> CompressedModel:
    def watch(progress: Progress) -> None:
        if progress.step == until:
            raise Interrupted

    recipe = options.pop("recipe", RECIPE)
    config = replace(CONFIG, **options)
    return compress(student, tiny, recipe, teacher, training=config, checkpoint=checkpoint, on_progress=watch)


def assert_same_bits(one: CompressedModel, other: CompressedModel) -> None:
    assert one.layers.keys() == other.layers.keys()
    for name, codes in one.layers.items():
        assert np.array_equal(codes.codes, other.layers[name].codes), name
        assert (codes.scale, codes.zero_point) == (other.layers[name].scale, other.layers[name].zero_point), name
    for (name, tensor), twin in zip(one.module.state_dict().items(), other.module.state_dict().values(), strict=True):
        assert torch.equal(tensor, twin), name


# In the warm-up, while weights are pruned, and while the clustered weights are trained under quantisation noise.
@pytest.mark.parametrize("until", [10, 20, 30])
def test_an_interrupted_training_ends_in_the_bits_of_one_that_was_not(
    tmp_path: Path, tiny: Dataset, network: Network, until: int
) -> None:
    whole = trained(tiny, with_dropout(network, 0), network(1), None)
    file = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted):
        trained(tiny, with_dropout(network, 0), network(1), file, until)
    torch.manual_seed(99)
    assert int(load_file(file)["step"]) == until - 1  # progress is told before the step is saved
    assert_same_bits(trained(tiny, with_dropout(network, 5), network(1), file), whole)


def test_between_two_epochs_a_training_goes_on_with_the_batches_of_the_next(
    tmp_path: Path, tiny: Dataset, network: Network
) -> None:
    whole = trained(tiny, network(0), network(1), None, batch_size=14)
    file = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted):
        trained(tiny, network(0), network(1), file, 10, batch_size=14)
    assert int(load_file(file)["step"]) == 9 == len(tiny.train.labels) // 14
    assert_same_bits(trained(tiny, network(0), network(1), file, batch_size=14), whole)


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, pruning="global", centroid_init="forgy"),
        replace(RECIPE, pruning="filters", centroid_init="density"),
        replace(RECIPE, clusters=None),
        replace(RECIPE, layers=(LayerRule("first", clusters=16, bits=6), LayerRule("last", final_sparsity=0.0))),
    ],
    ids=["global", "filters", "unclustered", "rules"],
)
def test_whatever_the_recipe_a_training_goes_on_to_the_same_bits(
    tmp_path: Path, tiny: Dataset, network: Network, recipe: Recipe
) -> None:
    whole = trained(tiny, network(0), network(1), None, recipe=recipe)
    file = tmp_path / "c.safetensors"
    for until in (10, 20, 30):  # interrupted three times
        with pytest.raises(Interrupted):
            trained(tiny, network(0), network(1), file, until, recipe=recipe)
    assert_same_bits(trained(tiny, network(0), network(1), file, recipe=recipe), whole)


def test_a_teacher_that_learns_beside_goes_on_too(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    def teacher() -> ParallelTeacher:
        return ParallelTeacher(network(1), network(2), recipe=Recipe(2, 0.5, 8, 4))

    whole = trained(tiny, network(0), teacher(), None)
    file = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted):
        trained(tiny, network(0), teacher(), file, 30)
    resumed = teacher()
    assert_same_bits(trained(tiny, network(0), resumed, file), whole)
    assert len(resumed.compressed) == 2


def test_a_training_on_labels_goes_on_too(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    def watch(progress: Progress) -> None:
        if progress.step == 20:
            raise Interrupted

    whole, broken, resumed = network(0), network(0), network(7)
    train_teacher(whole, tiny, CONFIG)
    with pytest.raises(Interrupted):
        train_teacher(broken, tiny, CONFIG, watch, checkpoint=tmp_path / "c")
    train_teacher(resumed, tiny, CONFIG, checkpoint=tmp_path / "c")
    for (name, tensor), twin in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(tensor, twin), name


def test_a_finished_training_is_not_repeated(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    file = tmp_path / "c.safetensors"
    first = trained(tiny, network(0), network(1), file)
    again = trained(tiny, network(0), network(1), file, until=32)  # no step is taken, so nothing is interrupted
    assert_same_bits(first, again)


def test_seldom_checkpoints_leave_the_last_alone(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    file = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted):
        trained(tiny, network(0), None, file, 30, checkpoint_every=1e6)
    assert not file.exists()
    trained(tiny, network(0), None, file, checkpoint_every=1e6)
    assert int(load_file(file)["step"]) == 32


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"recipe": replace(RECIPE, bits=5)}, "recipe.bits is 4 in the file, 5 in the training asked for"),
        ({"recipe": replace(RECIPE, schedule=Schedule())}, "recipe.schedule.noise_block is 2 in the file"),
        ({"learning_rate": 0.02}, "training.learning_rate is 0.01 in the file, 0.02"),
        ({"augmentation": "none"}, "training.augmentation is "),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_by_the_field_that_differs(
    tmp_path: Path, tiny: Dataset, network: Network, options: dict[str, Any], field: str
) -> None:
    file = tmp_path / "c.safetensors"
    trained(tiny, network(0), None, file)
    with pytest.raises(CheckpointError, match=rf"c\.safetensors: is of another training: {field}"):
        trained(tiny, network(0), None, file, **options)


def test_the_checkpoint_of_other_data_teachers_and_networks_is_refused(
    tmp_path: Path, tiny: Dataset, network: Network
) -> None:
    file = tmp_path / "c.safetensors"
    trained(tiny, network(0), network(1), file)
    other = replace(tiny, train=Split(tiny.train.images, tiny.train.labels[::-1].copy()))
    with pytest.raises(CheckpointError, match=r"another training: (data|teacher\.sha256)"):
        trained(other, network(0), network(1), file)
    with pytest.raises(CheckpointError, match=r"another training: teacher\.sha256"):
        trained(tiny, network(0), network(2), file)
    with pytest.raises(CheckpointError, match="another training: teacher is "):
        trained(tiny, network(0), None, file)
    with pytest.raises(CheckpointError, match=r"another training: model\.5\.weight is only in the training asked"):
        trained(tiny, with_dropout(network, 0), network(1), file)
    silu = network(0)
    silu[2] = nn.SiLU()  # type: ignore[index]  # a Sequential
    differs = r"another training: forward\.3 is \"relu\(.*in the file, \"silu\("
    with pytest.raises(CheckpointError, match=differs):
        trained(tiny, silu, network(1), file)
    trained(tiny, network(0), ParallelTeacher(network(1)), tmp_path / "d")
    with pytest.raises(CheckpointError, match=r"another training: teacher\.parallel\.0\.forward\.3"):
        trained(tiny, network(0), ParallelTeacher(silu), tmp_path / "d")


def rewritten(file: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> None:
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    change(tensors, metadata)
    save_file(tensors, file, metadata)


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "flipped", "pickle", "fingerprint", "nested", "without", "weights"]
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, tiny: Dataset, network: Network, damage: str) -> None:
    file = tmp_path / "c.safetensors"
    trained(tiny, network(0), None, file)
    content = file.read_bytes()
    match damage:
        case "truncated":
            file.write_bytes(content[:-1])
        case "empty":
            file.write_bytes(b"")
        case "flipped":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "pickle":
            file.write_bytes(pickle.dumps({"step": 1}))
        case "fingerprint":
            rewritten(file, lambda tensors, metadata: metadata.update(fingerprint="{"))
        case "nested":
            rewritten(file, lambda tensors, metadata: metadata.update(fingerprint="[" * 100_000))
        case "without":
            rewritten(file, lambda tensors, metadata: metadata.clear())
        case "weights":
            rewritten(file, lambda tensors, metadata: tensors.pop("step"))
    with pytest.raises(CheckpointError, match=r"c\.safetensors: (damaged|is no checkpoint).*remove it"):
        trained(tiny, network(0), None, file)


def test_a_hash_that_fits_does_not_make_foreign_state_fit(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    file = tmp_path / "c.safetensors"
    trained(tiny, network(0), None, file)
    with safe_open(file, "pt") as opened:
        fingerprint = json.loads(opened.metadata()["fingerprint"])
    changes: list[dict[str, torch.Tensor | None]] = [
        {"step": torch.tensor(10**6)},
        {"random/cpu": torch.zeros(3)},
        {"learner0/model/0.bias": None},
        {"learner0/optimizer.0/exp_avg": torch.zeros(3)},
        {"learner0/optimizer.0/step": None},
        {"learner0/optimizer.99/step": torch.tensor(1.0)},
    ]
    for change in changes:
        tensors = {name: tensor for name, tensor in {**load_file(file), **change}.items() if tensor is not None}
        Checkpoint(tmp_path / "d", fingerprint).save(tensors)
        with pytest.raises(CheckpointError, match="d: damaged"):
            trained(tiny, network(0), None, tmp_path / "d")


def test_a_kill_while_writing_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "c", {"kind": "test"})
    checkpoint.save({"a": torch.ones(3)})

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save({"a": torch.zeros(3)})
    loaded = checkpoint.load()
    assert loaded is not None and torch.equal(loaded["a"], torch.ones(3))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written: No such file"):
        Checkpoint(tmp_path / "none" / "c", {}).save({"a": torch.ones(3)})


def test_a_training_does_not_begin_whose_checkpoint_has_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"c: its folder does not exist; make it first"):
        Checkpoint(tmp_path / "none" / "c", {}).check()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/proc/self/c.safetensors", "cannot be written: .*; give a file where"),
        (".", "is a folder; give the name of a file in it"),
        ("none/c", "its folder does not exist; make it first"),
        ("c" * 300, "cannot be written: File name too long"),
    ],
)
def test_where_nothing_could_be_saved_no_training_begins(
    tmp_path: Path, tiny: Dataset, network: Network, place: str, why: str
) -> None:
    student = network(0)
    for begin in (
        lambda: compress(student, tiny, RECIPE, training=CONFIG, checkpoint=tmp_path / place),
        lambda: train_teacher(student, tiny, CONFIG, checkpoint=tmp_path / place),
    ):
        with pytest.raises(CheckpointError, match=why):
            begin()
    before = network(0).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


def test_looking_at_a_checkpoint_changes_nothing(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", {"kind": "test"})
    checkpoint.check()
    assert list(tmp_path.iterdir()) == []
    checkpoint.save({"a": torch.ones(3)})
    content = checkpoint.path.read_bytes()
    checkpoint.check()
    assert list(tmp_path.iterdir()) == [checkpoint.path] and checkpoint.path.read_bytes() == content


class Unasked(nn.Module):
    """A teacher that may be looked at, but not asked about all the images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) == 2
        return torch.zeros(2, 10)


def test_what_is_wrong_is_told_before_the_teacher_sees_all_images(
    tmp_path: Path, tiny: Dataset, network: Network
) -> None:
    trained(tiny, network(0), None, tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"recipe\.bits"):
        trained(tiny, network(0), Unasked(), tmp_path / "c", recipe=replace(RECIPE, bits=5))
    rules = (LayerRule("no such layer", bits=8),)
    for recipe, error in ((replace(RECIPE, layers=rules), "no such layer"), (replace(RECIPE, pruning="filters"), "fx")):
        with pytest.raises(RecipeError, match=error):
            compress(Untraceable(), tiny, recipe, Unasked(), training=CONFIG, lowered=False)


class Untraceable(nn.Module):
    """Its forward depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(images.flatten(1))
        return logits if logits.sum() > 0 else 2 * logits
