"""What every process of a study builds from its config: data set, networks, artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset, DatasetError, ImageOptions, load_dataset
from dccdka.lowering import LoweringError, lower, lower_all_channels
from dccdka.models import ModelError, build_model
from dccdka.packing import PackingError, pack, to_device_input
from dccdka.packing.costs import KernelCosts
from dccdka.training import CheckpointError, TrainingConfig, TrainingConfigError
from harness.config import StudyConfig
from harness.config.study import ModelConfig, TrainingSettings
from harness.errors import NotPackable, UsageError

# Of large images fewer are enough, and as many would take minutes.
CALIBRATION_IMAGES, LEAST_CALIBRATION_IMAGES, CALIBRATION_VALUES = 512, 32, 1 << 23

Trained = TypeVar("Trained")


def study_dataset(config: StudyConfig) -> Dataset:
    """Raises UsageError naming what is wrong with the data."""
    images = ImageOptions(**config.data.model_dump(exclude={"source", "validation"}))
    try:
        return load_dataset(config.data.source, validation=config.data.validation, seed=config.seed, images=images)
    except DatasetError as error:
        raise UsageError(f"data: {error}") from None


def network(model: ModelConfig, dataset: Dataset, seed: int) -> nn.Module:
    """An untrained network; the same for the same seed. Raises UsageError."""
    torch.manual_seed(seed)
    _, *shape = dataset.train.images.shape
    channels, height, width = shape
    try:
        return build_model(
            model.name, width=model.width, image_shape=(channels, height, width), classes=dataset.classes
        )
    except ModelError as error:
        raise UsageError(f"model: {error}") from None


def training_config(
    settings: TrainingSettings, config: StudyConfig, dataset: Dataset, key: str, *, seed: int | None = None
) -> TrainingConfig:
    """seed: the study's, unless given; key: that of the settings in the study.

    Raises UsageError, for one when compute is cuda and there is no GPU, or when the images are less than a batch.
    """
    try:
        training = TrainingConfig(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=config.seed if seed is None else seed,
            device=config.compute,
            augmentation=settings.augmentation,
            autocast=settings.autocast,
        )
        training.steps(len(dataset.train.labels))
        return training
    except TrainingConfigError as error:
        raise UsageError(f"{key}.{error}") from None


def resumed(checkpoint: Path, train: Callable[[Path], Trained]) -> Trained:
    """What `train` gives, which goes on from the checkpoint where it can.

    A damaged checkpoint, or one of other settings, is removed: what it saved was an interrupted training's time.
    """
    checkpoint.parent.mkdir(exist_ok=True)
    try:
        return train(checkpoint)
    except CheckpointError:
        checkpoint.unlink(missing_ok=True)
        return train(checkpoint)


def to_artifact(
    compressed: CompressedModel, dataset: Dataset, costs: KernelCosts, *, all_channels: bool = False
) -> bytes:
    """Lowers and packs for whom costs were measured on; activations are calibrated on training images.

    Raises NotPackable.

    all_channels: keep those that do nothing too, for weights that are not the final ones.
    """
    count = min(CALIBRATION_IMAGES, max(LEAST_CALIBRATION_IMAGES, CALIBRATION_VALUES // dataset.train.images[0].size))
    graph_of = lower_all_channels if all_channels else lower
    try:
        return pack(graph_of(compressed, _sample(dataset.train.images, count), dataset.normalization), costs)
    except (LoweringError, PackingError) as error:
        raise NotPackable(f"model: {error}") from None


def verification_inputs(dataset: Dataset, count: int) -> npt.NDArray[np.int8]:
    """Test images as the device takes them: int8 [n, h, w, c]."""
    return to_device_input(_sample(dataset.test.images, count))


def _sample(images: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    # Evenly spaced: the first ones may be of one class, where a set is sorted.
    return images[:: max(1, len(images) // count)][:count]
