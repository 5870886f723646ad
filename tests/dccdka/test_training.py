"""Training on real Fashion-MNIST images: it learns, meets the recipe, repeats itself, and says when it diverges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset, DatasetError, Split, load_dataset
from dccdka.learning_rate import learning_rate_factor
from dccdka.models import build_model
from dccdka.progress import Progress
from dccdka.recipe import Recipe
from dccdka.stacked import compress_stacked
from dccdka.teachers import ParallelTeacher, TeacherError
from dccdka.training import (
    NetworkError,
    TrainingConfig,
    TrainingConfigError,
    accuracy,
    compress,
    teacher_logits,
    train_teacher,
)

RECIPE = Recipe(2, 0.7, 16, 4)


def head(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """8192 training images of the real set."""
    full = load_dataset("fashion-mnist")
    return replace(full, train=head(full.train, 8192), test=head(full.test, 2000))


@pytest.fixture(scope="module")
def small(dataset: Dataset) -> Dataset:
    return replace(dataset, train=head(dataset.train, 512))


def model(dataset: Dataset, width: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model("resnet8", width=width, image_shape=dataset.image_shape, classes=dataset.classes)


def test_a_student_learns_from_its_teacher_and_meets_the_recipe(dataset: Dataset) -> None:
    teacher = model(dataset, width=8)
    train_teacher(teacher, dataset, TrainingConfig(epochs=2, batch_size=64, learning_rate=0.01, device="cpu"))
    assert accuracy(teacher, dataset.test, dataset.normalization, device="cpu") > 0.8
    logits = teacher_logits(teacher, dataset, device="cpu")
    student = TrainingConfig(epochs=3, batch_size=64, learning_rate=0.02, device="cpu")
    compressed = compress(model(dataset, width=6), dataset, RECIPE, logits, training=student)
    assert accuracy(compressed.module, dataset.test, dataset.normalization, device="cpu") > 0.75
    for codes in compressed.layers.values():
        assert np.mean(codes.codes == codes.zero_point) >= 0.7 - 1 / codes.codes.size
        assert len(np.unique(codes.codes)) <= 16
        assert codes.codes.max() < 16


def train_small(dataset: Dataset, seed: int) -> CompressedModel:
    logits = np.random.default_rng(0).normal(size=(512, 10)).astype(np.float32)
    config = TrainingConfig(epochs=1, batch_size=32, learning_rate=0.01, seed=seed, device="cpu")
    return compress(model(dataset, width=2), dataset, RECIPE, logits, training=config)


def test_the_same_seed_gives_the_same_codes_and_another_seed_does_not(small: Dataset) -> None:
    first, again, other = (train_small(small, seed) for seed in (1, 1, 2))
    for name, codes in first.layers.items():
        assert np.array_equal(again.layers[name].codes, codes.codes)
        assert again.layers[name].scale == codes.scale
    assert all(torch.equal(a, b) for a, b in zip(first.module.buffers(), again.module.buffers(), strict=True))
    assert any(not np.array_equal(other.layers[name].codes, codes.codes) for name, codes in first.layers.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_code_trains_on_a_gpu(small: Dataset) -> None:
    config = TrainingConfig(epochs=4, batch_size=32, learning_rate=0.01, device="cuda")
    teacher = model(small, width=4)
    train_teacher(teacher, small, config)
    logits = teacher_logits(teacher, small, device="cuda")
    compressed = compress(model(small, width=4), small, RECIPE, logits, training=config)
    assert next(compressed.module.parameters()).device.type == "cpu"
    assert accuracy(compressed.module, small.train, small.normalization, device="cuda") > 0.3


@pytest.mark.parametrize("device", ["tpu", "cuda:99", ""])
def test_an_evaluation_on_no_device_is_refused(small: Dataset, device: str) -> None:
    for evaluate in (
        lambda: accuracy(model(small, width=2), small.train, small.normalization, device=device),
        lambda: teacher_logits(model(small, width=2), small, device=device),
    ):
        with pytest.raises(TrainingConfigError, match=f"^device: must be one of cpu, cuda, auto, got '{device}'"):
            evaluate()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_told(small: Dataset) -> None:
    with pytest.raises(TrainingConfigError, match=r'^device: "cuda" is not available here'):
        accuracy(model(small, width=2), small.train, small.normalization, device="cuda")


def test_there_is_no_accuracy_without_images(small: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"^split: has no images"):
        accuracy(model(small, width=2), head(small.test, 0), small.normalization, device="cpu")


def test_stored_logits_are_in_the_order_of_the_training_split(small: Dataset) -> None:
    teacher = model(small, width=2).eval()
    logits = teacher_logits(teacher, small, device="cpu")
    assert logits.shape == (512, 10)
    image = (small.train.images[300:301].astype(np.float32) - small.normalization.zero) * small.normalization.scale
    with torch.no_grad():
        np.testing.assert_allclose(logits[300], teacher(torch.from_numpy(image))[0], atol=1e-4)


def test_progress_counts_the_steps_and_ends_with_the_last(small: Dataset) -> None:
    seen: list[Progress] = []
    config = TrainingConfig(epochs=2, batch_size=32, learning_rate=0.01, device="cpu")
    train_teacher(model(small, width=2), small, config, seen.append)
    assert [progress.step for progress in seen] == [10, 20, 30, 32]
    assert {progress.steps for progress in seen} == {32}
    assert [progress.epoch for progress in seen] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("compile", "no"),
        ("compile", 1),
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", "3"),
        ("batch_size", 1),
        ("batch_size", True),
        ("seed", -1),
        ("learning_rate", "0.01"),
        ("checkpoint_every", None),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("device", "tpu"),
        ("augmentation", "crop"),
        ("autocast", "fp8"),
        ("autocast", "fp16"),  # for GPUs alone
        ("checkpoint_every", -1.0),
        ("checkpoint_every", float("nan")),
    ],
)
def test_a_configuration_that_cannot_run_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    good = TrainingConfig(epochs=1, batch_size=32, learning_rate=0.01, device="cpu")
    with pytest.raises(TrainingConfigError, match=f"^{field}: "):
        replace(good, **{field: value})  # type: ignore[arg-type]  # wrong values are the point


def test_a_batch_larger_than_the_data_is_refused_with_both_figures(small: Dataset) -> None:
    config = TrainingConfig(epochs=1, batch_size=513, device="cpu")
    with pytest.raises(TrainingConfigError, match="batch_size: 513 is more than the 512 training images"):
        compress(model(small, width=2), small, RECIPE, training=config)


def test_a_network_that_is_frozen_as_a_whole_is_refused(small: Dataset) -> None:
    with pytest.raises(TrainingConfigError, match=r"^model: the student has no parameter that could be trained"):
        compress(model(small, width=2).requires_grad_(False), small, RECIPE, training=TrainingConfig(device="cpu"))


def test_data_without_images_are_refused(small: Dataset) -> None:
    empty = replace(small, train=head(small.train, 0))
    with pytest.raises(TrainingConfigError, match="more than the 0 training images"):
        train_teacher(model(small, width=2), empty, TrainingConfig(device="cpu"))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 9)), r"logits of shape \[n, 10\], gives \[2, 9\]"),
        (nn.Conv2d(3, 10, 3), r"model: fails on images of shape \[2, 1, 28, 28\]: RuntimeError: .*channels"),
    ],
    ids=["classes", "channels"],
)
def test_a_network_that_does_not_fit_the_data_is_told_before_training(
    small: Dataset, network: nn.Module, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        compress(network, small, RECIPE, training=TrainingConfig(device="cpu"))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (torch.compile, r"is wrapped by torch\.compile; give the network itself, model\._orig_mod"),
        (nn.DataParallel, r"is wrapped by DataParallel; give the network itself, model\.module"),
        (torch.jit.script, r"is a module of torch\.jit; give the torch\.nn\.Module that it was made from"),
        (nn.Module.bfloat16, r"parameter 1\.weight is torch\.bfloat16, must be torch\.float32; give model\.float\(\)"),
        (nn.Module.double, r"parameter 1\.weight is torch\.float64, must be torch\.float32; give model\.float\(\)"),
    ],
    ids=["compiled", "parallel", "scripted", "bf16", "double"],
)
def test_what_is_not_the_plain_network_is_refused_with_what_to_give(
    small: Dataset, wrap: Callable[[nn.Module], nn.Module], message: str
) -> None:
    config = TrainingConfig(device="cpu")

    def wrapped() -> nn.Module:
        return wrap(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))

    for train in (
        lambda: compress(wrapped(), small, RECIPE, training=config),
        lambda: train_teacher(wrapped(), small, config),
        lambda: compress_stacked(wrapped(), small, [RECIPE], np.zeros((512, 10), np.float32), config),
    ):
        with pytest.raises(NetworkError, match=f"^model: {message}"):
            train()
    with pytest.raises(TeacherError, match=f"^teacher: {message}"):
        compress(model(small, width=2), small, RECIPE, ParallelTeacher(wrapped()), training=config)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_teacher_that_does_not_learn_may_be_a_module_of_torch_jit(small: Dataset) -> None:
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    expected = teacher_logits(teacher, small, device="cpu")
    assert np.array_equal(teacher_logits(torch.jit.script(teacher), small, device="cpu"), expected)


def test_half_precision_trains_as_well(small: Dataset) -> None:
    seen: list[float] = []
    config = TrainingConfig(epochs=4, batch_size=32, device="cpu", autocast="bf16")
    student = model(small, width=4)
    compressed = compress(student, small, RECIPE, training=config, on_progress=lambda p: seen.append(p.loss))
    assert seen[-1] < 0.7 * seen[0]
    assert all(parameter.dtype == torch.float32 for parameter in compressed.module.parameters())


@pytest.mark.slow
def test_compiled_training_learns_the_same(tiny: Dataset, network: Callable[[int], nn.Module]) -> None:
    losses: dict[bool, list[float]] = {True: [], False: []}
    for compiled, seen in losses.items():
        config = TrainingConfig(epochs=2, batch_size=16, device="cpu", compile=compiled)
        compress(network(0), tiny, RECIPE, training=config, on_progress=lambda p, s=seen: s.append(p.loss))
    # The order of sums differs, and the steps amplify that.
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_a_network_that_cannot_be_compiled_is_told_with_the_way_out(
    tiny: Dataset, network: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    config = TrainingConfig(epochs=1, batch_size=16, device="cpu", compile=True)
    with pytest.raises(TrainingConfigError, match=r"compile: torch cannot compile the student.*C\+\+ compiler"):
        compress(network(0), tiny, RECIPE, training=config)


def test_the_learning_rate_rises_stays_while_pruning_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 1000, warm_up=0.1, decay_begin=0.5) for step in range(1000)]
    assert factors[0] < 0.01
    assert factors[:100] == sorted(factors[:100])
    assert set(factors[100:500]) == {1.0}
    assert factors[500:] == sorted(factors[500:], reverse=True)
    assert 0 < factors[-1] < 1e-4
