"""A training on the device gives what it gives on the CPU, and mixes no tensors of the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dccdka.collaborative import CompressedModel, post_training
from dccdka.datasets import Dataset
from dccdka.divergence import DivergedError
from dccdka.lowering import lower
from dccdka.progress import Progress
from dccdka.recipe import PruningMode, Recipe, Schedule
from dccdka.stacked import compress_stacked
from dccdka.teachers import NetworkTeacher, ParallelTeacher, StoredLogits
from dccdka.training import AnyTeacher, accuracy, compress, teacher_logits, train_teacher
from dccdka.training_config import Autocast

from .strict_device import StrictDevice
from .trainings import CONFIG, LOGITS, RECIPE, RECIPES, SEVERAL, TEACHERS, Network, Residual


def assert_on_the_cpu(compressed: CompressedModel) -> None:
    assert {tensor.device.type for tensor in compressed.module.state_dict().values()} == {"cpu"}


def assert_same(one: CompressedModel, other: CompressedModel) -> None:
    for name, codes in one.layers.items():
        assert np.array_equal(codes.codes, other.layers[name].codes), name
        assert (codes.scale, codes.zero_point) == (other.layers[name].scale, other.layers[name].zero_point), name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_student_comes_out_as_on_the_cpu_bit_by_bit(
    strict: StrictDevice, tiny: Dataset, network: Network, recipe: Recipe
) -> None:
    on_device = compress(network(0), tiny, recipe, LOGITS, training=CONFIG)
    assert strict.operators > 0
    assert_on_the_cpu(on_device)
    assert_same(on_device, compress(network(0), tiny, recipe, LOGITS, training=replace(CONFIG, device="cpu")))


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS.keys())
def test_every_teacher_teaches_on_the_device_what_it_teaches_on_the_cpu(
    strict: StrictDevice, tiny: Dataset, network: Network, teacher: Callable[[Network], AnyTeacher]
) -> None:
    on_device = compress(network(0), tiny, RECIPE, teacher(network), training=CONFIG)
    assert strict.operators > 0
    assert_same(on_device, compress(network(0), tiny, RECIPE, teacher(network), training=replace(CONFIG, device="cpu")))


@pytest.mark.parametrize("on_host", [False, True], ids=["on the device", "too large for it"])
def test_logits_of_augmented_images_are_looked_up_where_they_lie(
    strict: StrictDevice, tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch, on_host: bool
) -> None:
    config = replace(CONFIG, augmentation="flip-shift")
    stored = StoredLogits.compute(NetworkTeacher(network(1)), tiny, augmentation="flip-shift", device="cpu")
    if on_host:
        monkeypatch.setattr("dccdka.teachers.stored.MAPPED_FROM_BYTES", 0)
    on_device = compress(network(0), tiny, RECIPE, stored, training=config)
    assert_same(on_device, compress(network(0), tiny, RECIPE, stored, training=replace(config, device="cpu")))


@pytest.mark.parametrize("autocast", ["none", "bf16", "fp16"])
@pytest.mark.parametrize("pruning", ["layer", "global", "filters"])
def test_depthwise_and_residual_layers_train_under_noise_and_autocast(
    strict: StrictDevice, tiny: Dataset, pruning: PruningMode, autocast: Autocast
) -> None:
    recipe = replace(RECIPE, pruning=pruning, schedule=Schedule(noise=0.5, noise_block=4))
    config = replace(CONFIG, batch_size=32, epochs=2, autocast=autocast)
    compressed = compress(Residual(), tiny, recipe, LOGITS, training=config)
    assert_on_the_cpu(compressed)
    assert all(len(np.unique(codes.codes)) <= 8 for codes in compressed.layers.values())
    lower(compressed, tiny.train.images[:16], tiny.normalization)


def test_an_interrupted_training_goes_on_to_the_same_bits(
    strict: StrictDevice, tiny: Dataset, network: Network, tmp_path: Path
) -> None:
    """The noise is drawn on the device, so its generator is saved too."""
    recipe = replace(RECIPE, pruning="filters", schedule=Schedule(noise=0.5))
    config = replace(CONFIG, checkpoint_every=0)

    def teacher() -> ParallelTeacher:
        return ParallelTeacher(network(1), recipe=recipe)

    whole = compress(network(0), tiny, recipe, teacher(), training=config)

    class Interrupted(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.step == 20:
            raise Interrupted

    file = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted):
        compress(network(0), tiny, recipe, teacher(), training=config, checkpoint=file, on_progress=interrupt)
    torch.manual_seed(99)
    assert_same(whole, compress(network(5), tiny, recipe, teacher(), training=config, checkpoint=file))


def test_a_network_trains_on_its_labels_and_is_evaluated(strict: StrictDevice, tiny: Dataset, network: Network) -> None:
    networks = network(0), network(0)
    for each, device in zip(networks, ("auto", "cpu"), strict=True):
        train_teacher(each, tiny, replace(CONFIG, device=device))
    for tensor, twin in zip(networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True):
        assert torch.equal(tensor, twin)
    before = strict.operators
    found = [accuracy(networks[0], tiny.train, tiny.normalization, device=device) for device in ("auto", "cpu")]
    assert found[0] == found[1]
    logits = [teacher_logits(networks[0], tiny, device=device) for device in ("auto", "cpu")]
    assert np.array_equal(*logits)
    assert strict.operators > before


def test_a_network_that_lies_on_the_device_is_compressed_there(
    strict: StrictDevice, tiny: Dataset, network: Network
) -> None:
    on_device = network(0).to(strict.device)
    for pruning in ("layer", "filters"):
        recipe = replace(RECIPE, pruning=pruning)
        assert_same(post_training(on_device, recipe), post_training(network(0), recipe))
    assert_on_the_cpu(compress(on_device, tiny, RECIPE, on_device, training=CONFIG))


class Overflowing(nn.Module):
    """Multiplies its input by a factor in the third batch, and when that is run again: by the look after 8 steps."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.linear = nn.Linear(196, 196)
        self.factor, self.calls = factor, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 3:
            self.weight_then = self.linear.weight.detach().clone()
        return self.linear(x * self.factor if self.calls in (3, 9) else x)


def test_no_checkpoint_is_written_between_a_bad_loss_and_the_look_that_finds_it(
    strict: StrictDevice, tiny: Dataset, network: Network, tmp_path: Path
) -> None:
    layers = list(network(0).children())
    model = nn.Sequential(*layers[:-1], Overflowing(torch.inf), layers[-1])
    file = tmp_path / "c.safetensors"
    with pytest.raises(DivergedError, match="at step 3 of 24"):
        train_teacher(model, tiny, replace(CONFIG, checkpoint_every=0), checkpoint=file)
    assert int(load_file(file)["step"]) == 2


@pytest.mark.parametrize("autocast", ["none", "fp16"])
def test_a_training_that_diverges_tells_step_and_layer_though_it_is_looked_at_later(
    strict: StrictDevice, tiny: Dataset, network: Network, autocast: Autocast
) -> None:
    layers = list(network(0).children())
    ours = Overflowing(torch.inf if autocast == "none" else 1e6)  # the largest float16 is 65504
    model = nn.Sequential(*layers[:-1], ours, layers[-1])
    with pytest.raises(DivergedError, match=r"at step 3 of 24: the network: the output of 4\S* is the first"):
        train_teacher(model, tiny, replace(CONFIG, autocast=autocast))
    # The network is back on the CPU, with the weights that the bad loss came from.
    assert torch.equal(ours.linear.weight, ours.weight_then.cpu())


def test_stacked_candidates_come_out_as_on_the_cpu_bit_by_bit(
    strict: StrictDevice, tiny: Dataset, network: Network
) -> None:
    stacks = []
    for device in ("auto", "cpu"):
        config = replace(CONFIG, device=device, augmentation="flip")
        logits = StoredLogits.compute(NetworkTeacher(network(1)), tiny, augmentation="flip", device=device)
        stacks.append(compress_stacked(network(0), tiny, SEVERAL, logits, config, on_progress=lambda progress: None))
    assert strict.operators > 0
    for one, other in zip(*stacks, strict=True):
        assert isinstance(one, CompressedModel) and isinstance(other, CompressedModel)
        assert_on_the_cpu(one)
        assert_same(one, other)


def test_stacked_candidates_train_under_noise_and_autocast(strict: StrictDevice, tiny: Dataset) -> None:
    noisy = [
        replace(recipe, schedule=Schedule(noise=0.5, noise_block=block)) for block, recipe in enumerate(SEVERAL, 1)
    ]
    config = replace(CONFIG, autocast="bf16")
    for candidate in compress_stacked(Residual(), tiny, noisy, LOGITS, config):
        assert isinstance(candidate, CompressedModel)
        lower(candidate, tiny.train.images[:16], tiny.normalization)
