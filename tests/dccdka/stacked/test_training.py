"""Candidates trained at once become what each becomes alone, and none disturbs another."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.collaborative import CompressedModel, post_training
from dccdka.datasets import Dataset, Split, load_dataset
from dccdka.divergence import DivergedError
from dccdka.evaluation import NetworkError
from dccdka.lowering import LoweringError
from dccdka.models import build_model
from dccdka.progress import Progress
from dccdka.pruning import pruned_count
from dccdka.recipe import LayerRule, Recipe, Schedule
from dccdka.stacked import StackingError, compress_stacked
from dccdka.teachers import NetworkTeacher, StoredLogits, TeacherError
from dccdka.training import compress
from dccdka.training_config import TrainingConfig, TrainingConfigError

CONFIG = TrainingConfig(epochs=2, batch_size=32, learning_rate=0.005, device="cpu")
# With a noise of 1 no random number is drawn, so that both ways of training do the same.
NOISELESS = Schedule(noise=1.0)
RECIPES = [
    Recipe(2, 0.7, 16, 4, schedule=NOISELESS),
    Recipe(
        8,
        0.5,
        6,
        3,
        loss="t_squared",
        centroid_init="density",
        initial_sparsity=0.2,
        schedule=Schedule(0.2, 0.0, 0.4, 0.5, 0.6, 0.9, noise=1.0, interval=3, refit=2),
    ),
    Recipe(
        1,
        0.3,
        None,
        5,
        loss="sum",
        layers=(LayerRule("conv", final_sparsity=0.0, bits=8), LayerRule("linear", clusters=4)),
        schedule=Schedule(noise=1.0, quantization_begin=0.6),
    ),
]
# Low ones: at higher ones a weight that rounding moved to the next code moves others.
LEARNING_RATES = [0.001, 0.002, 0.0005]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """512 training images of the real set."""
    full = load_dataset("fashion-mnist")
    return replace(full, train=Split(full.train.images[:512], full.train.labels[:512]))


@pytest.fixture(scope="module")
def logits(dataset: Dataset) -> np.ndarray:
    """A teacher that is right, and not quite sure."""
    noise = np.random.default_rng(0).normal(size=(512, 10))
    return (noise + 4 * np.eye(10)[dataset.train.labels]).astype(np.float32)


def student() -> nn.Module:
    torch.manual_seed(0)
    return build_model("resnet8", width=3, image_shape=(1, 28, 28), classes=10)


def assert_fulfils(result: CompressedModel, recipe: Recipe) -> None:
    roles = {"conv": ("first",), "linear": ("last",)}
    for name, codes in result.layers.items():
        asked = recipe.for_layer(name, roles.get(name, ()))
        zeros = int((codes.codes == codes.zero_point).sum())
        assert zeros >= pruned_count(asked.final_sparsity, codes.codes.size)
        if asked.clusters is not None:
            assert len(np.unique(np.append(codes.codes, codes.zero_point))) <= asked.clusters
        assert max(int(codes.codes.max()), codes.zero_point) < 2**asked.bits
        weight = result.module.get_submodule(name).weight.detach().numpy()  # type: ignore[union-attr]  # a layer
        assert np.array_equal(weight, codes.weights())


def difference(one: CompressedModel, other: CompressedModel) -> float:
    """Mean difference of two models' weights, over the mean weight."""
    weights, others = (np.concatenate([c.weights().ravel() for c in model.layers.values()]) for model in (other, one))
    return float(np.abs(weights - others).mean() / np.abs(weights).mean())


def assert_twins(result: CompressedModel, alone: CompressedModel) -> None:
    """Equal up to float rounding, which may move a few weights to the next code. Unlike trainings differ by 0.3."""
    assert result.recipe == alone.recipe
    assert result.notes == alone.notes
    assert list(result.layers) == list(alone.layers)
    assert difference(result, alone) < 0.01
    buffers = dict(alone.module.named_buffers())
    for name, buffer in result.module.named_buffers():
        torch.testing.assert_close(buffer, buffers[name], rtol=1e-2, atol=1e-2)


def test_a_stack_of_one_is_the_training_of_that_one(dataset: Dataset, logits: np.ndarray) -> None:
    config = replace(CONFIG, learning_rate=LEARNING_RATES[0])
    [result] = compress_stacked(student(), dataset, RECIPES[:1], logits, config)
    assert isinstance(result, CompressedModel)
    assert_twins(result, compress(student(), dataset, RECIPES[0], logits, training=config))


def test_each_of_different_recipes_becomes_what_it_becomes_alone(dataset: Dataset, logits: np.ndarray) -> None:
    model = student()
    before = copy.deepcopy(model.state_dict())
    configs = [replace(CONFIG, learning_rate=rate) for rate in LEARNING_RATES]
    results = compress_stacked(model, dataset, RECIPES, logits, configs)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for recipe, config, result in zip(RECIPES, configs, results, strict=True):
        assert isinstance(result, CompressedModel)
        assert_fulfils(result, recipe)
        assert_twins(result, compress(student(), dataset, recipe, logits, training=config))


def test_a_stack_tells_what_a_candidate_alone_tells_of_its_layers(dataset: Dataset, logits: np.ndarray) -> None:
    config = replace(CONFIG, epochs=1, learning_rate=LEARNING_RATES[2])
    recipe = Recipe(2, 0.0, 2, 3, schedule=NOISELESS)
    (result,) = compress_stacked(student(), dataset, [recipe], logits, config)
    assert isinstance(result, CompressedModel)
    alone = compress(student(), dataset, recipe, logits, training=config)
    # A weight that rounding moves to the next code may move the share that is told.
    stacked, told = ([re.sub(r"\d+% of", "% of", note) for note in model.notes] for model in (result, alone))
    assert stacked == told
    assert len(told) > 5 and all("of its weights are zero, 0% were pruned" in note for note in told)


def test_a_teacher_teaches_as_its_stored_logits_do(dataset: Dataset) -> None:
    teacher = student().eval()
    stored = StoredLogits.compute(NetworkTeacher(teacher), dataset, device="cpu")
    results = [
        compress_stacked(student(), dataset, RECIPES[:1], given, CONFIG)[0]
        for given in (stored, teacher, NetworkTeacher(teacher), torch.from_numpy(stored.values[0, 0]))
    ]
    for result in results:
        assert isinstance(result, CompressedModel)
        for name, codes in result.layers.items():
            assert np.array_equal(codes.codes, results[0].layers[name].codes)  # type: ignore[union-attr]  # as above


def test_a_candidate_that_diverges_is_reported_alone(dataset: Dataset, logits: np.ndarray) -> None:
    recipes = [RECIPES[0], RECIPES[0], RECIPES[1]]
    healthy = compress_stacked(student(), dataset, recipes, logits, CONFIG)
    configs = [CONFIG, replace(CONFIG, learning_rate=1e38), CONFIG]
    first, diverged, last = compress_stacked(student(), dataset, recipes, logits, configs)
    assert isinstance(diverged, DivergedError)
    assert str(diverged).startswith("training diverged at step 2 of 32: candidate 1: ")
    assert "the output of norm is the first that is not finite" in str(diverged)
    for result, expected in ((first, healthy[0]), (last, healthy[2])):
        assert isinstance(result, CompressedModel) and isinstance(expected, CompressedModel)
        for name, codes in expected.layers.items():
            assert np.array_equal(result.layers[name].codes, codes.codes)
            assert result.layers[name].scale == codes.scale


def test_quantisation_noise_leaves_the_recipe_met_and_the_results_near(dataset: Dataset, logits: np.ndarray) -> None:
    recipes = [replace(RECIPES[0], schedule=Schedule(noise=p, noise_block=block)) for p, block in [(0.5, 1), (0.3, 4)]]
    for recipe, result in zip(recipes, compress_stacked(student(), dataset, recipes, logits, CONFIG), strict=True):
        assert isinstance(result, CompressedModel)
        assert_fulfils(result, recipe)
        alone = compress(student(), dataset, recipe, logits, training=CONFIG)
        # Until the noise begins both have drawn nothing; what follows are other draws of the same noise. Another order
        # of the batches makes a difference of 0.3 and more.
        assert difference(result, alone) < 0.1
        assert difference(compress(student(), dataset, recipe, logits, training=replace(CONFIG, seed=1)), alone) > 0.3


def test_flipped_images_and_bf16_train_too(dataset: Dataset, logits: np.ndarray) -> None:
    config = replace(CONFIG, autocast="bf16", augmentation="flip", epochs=1)
    teacher = StoredLogits(np.stack([logits, logits])[:, np.newaxis], augmentation="flip")
    for result, recipe in zip(compress_stacked(student(), dataset, RECIPES, teacher, config), RECIPES, strict=True):
        assert isinstance(result, CompressedModel)
        assert_fulfils(result, recipe)


def test_progress_counts_the_steps_and_the_loss_falls(dataset: Dataset, logits: np.ndarray) -> None:
    seen: list[Progress] = []
    compress_stacked(student(), dataset, RECIPES[:2], logits, CONFIG, seen.append)
    assert [progress.step for progress in seen] == [10, 20, 30, 32]
    assert [progress.epoch for progress in seen] == [0, 1, 1, 1]
    assert seen[-1].loss < seen[0].loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pruning": "global"}, r'recipe 1: pruning: must be "layer" to be stacked, got \'global\''),
        ({"pruning": "filters"}, r'recipe 1: pruning: must be "layer" to be stacked, got \'filters\''),
    ],
)
def test_a_recipe_that_cannot_be_stacked_is_named(
    dataset: Dataset, logits: np.ndarray, changes: dict[str, str], message: str
) -> None:
    recipes = [RECIPES[0], replace(RECIPES[0], **changes)]  # type: ignore[arg-type]  # a name of a field
    with pytest.raises(StackingError, match=message):
        compress_stacked(student(), dataset, recipes, logits, CONFIG)


@pytest.mark.parametrize(
    ("training", "error", "message"),
    [
        ([CONFIG, replace(CONFIG, epochs=3)], StackingError, "training 1: epochs: must be 2 as for recipe 0, got 3"),
        ([CONFIG], StackingError, "training: 1 for 2 recipes"),
        (replace(CONFIG, compile=True), StackingError, "training: compile: "),
        (replace(CONFIG, batch_size=513), TrainingConfigError, "batch_size: 513 is more than the 512 training images"),
    ],
)
def test_a_configuration_that_cannot_be_stacked_is_named(
    dataset: Dataset,
    logits: np.ndarray,
    training: TrainingConfig | list[TrainingConfig],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        compress_stacked(student(), dataset, RECIPES[:2], logits, training)


def test_a_frozen_layer_stays_in_a_stack_what_it_stays_alone(dataset: Dataset, logits: np.ndarray) -> None:
    frozen = student()
    layer = frozen.get_submodule("conv")
    layer.weight.requires_grad_(False)
    (stacked,) = compress_stacked(frozen, dataset, RECIPES[:1], logits, CONFIG)
    assert isinstance(stacked, CompressedModel)
    alone = post_training(frozen, RECIPES[0])
    assert np.array_equal(stacked.layers["conv"].codes, alone.layers["conv"].codes)
    assert not np.array_equal(stacked.layers["linear"].codes, alone.layers["linear"].codes)


def test_no_recipes_and_wrong_logits_are_refused(dataset: Dataset, logits: np.ndarray) -> None:
    with pytest.raises(NetworkError, match=r"model: must give logits of shape \[n, 10\]"):
        compress_stacked(nn.Flatten(), dataset, RECIPES, logits, CONFIG)
    with pytest.raises(StackingError, match="recipes: empty"):
        compress_stacked(student(), dataset, [], logits, CONFIG)
    with pytest.raises(TeacherError, match=r"expected \[512, 10\], got \[500, 10\]"):
        compress_stacked(student(), dataset, RECIPES, logits[:500], CONFIG)


def test_data_without_images_are_told_as_such(dataset: Dataset, logits: np.ndarray) -> None:
    empty = replace(dataset, train=Split(dataset.train.images[:0], dataset.train.labels[:0]))
    with pytest.raises(TrainingConfigError, match="more than the 0 training images"):
        compress_stacked(student(), empty, RECIPES, logits[:0], CONFIG)


class Permuted(nn.Module):
    """Makes a tensor in its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.matmul(self.linear(self.flatten(images)), torch.eye(10).flip(0))


def test_a_constant_made_in_the_forward_stays_out_of_the_candidates(dataset: Dataset, logits: np.ndarray) -> None:
    model = Permuted()
    recipes = [RECIPES[0], replace(RECIPES[0], clusters=4)]
    results = compress_stacked(model, dataset, recipes, logits, CONFIG, lowered=False)
    for result in results:
        assert isinstance(result, CompressedModel)
        assert set(result.module.state_dict()) == set(model.state_dict())


class Dropping(Permuted):
    """Drops by a function, whose mode a trace makes permanent."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(images), 0.5, self.training)


def test_a_random_function_is_suspected_where_logits_differ(dataset: Dataset, logits: np.ndarray) -> None:
    with pytest.raises(StackingError, match=r"what is random in it must be a module such as nn\.Dropout"):
        compress_stacked(Dropping(), dataset, RECIPES[:1], logits, CONFIG, lowered=False)


class Unlowerable(Permuted):
    """Computes what int8 devices have no operator for."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(self.linear(self.flatten(images)), 1)


def test_a_network_without_an_integer_form_is_refused_before_it_is_stacked(
    dataset: Dataset, logits: np.ndarray
) -> None:
    with pytest.raises(LoweringError, match="cumsum"):
        compress_stacked(Unlowerable(), dataset, RECIPES, logits, CONFIG)
    (result,) = compress_stacked(Unlowerable(), dataset, RECIPES[:1], logits, CONFIG, lowered=False)
    assert isinstance(result, CompressedModel)
