"""What every process of a study builds from its config: data set, networks, artifacts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset, DatasetError, ImageOptions, load_dataset
from dccdka.lowering import LoweringError, lower
from dccdka.models import ModelError, build_model
from dccdka.packing import PackingError, pack, to_device_input
from dccdka.training import TrainingConfig, TrainingConfigError
from harness.config import StudyConfig
from harness.config.study import ModelConfig, TrainingSettings
from harness.errors import NotPackable, UsageError

CALIBRATION_IMAGES = 512


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


def training_config(settings: TrainingSettings, config: StudyConfig) -> TrainingConfig:
    """Raises UsageError, for one when compute is cuda and there is no GPU."""
    try:
        return TrainingConfig(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=config.seed,
            device=config.compute,
        )
    except TrainingConfigError as error:
        raise UsageError(f"training: {error}") from None


def to_artifact(compressed: CompressedModel, dataset: Dataset) -> bytes:
    """Lowers and packs; activations are calibrated on training images. Raises NotPackable."""
    try:
        return pack(lower(compressed, dataset.train.images[:CALIBRATION_IMAGES], dataset.normalization))
    except (LoweringError, PackingError) as error:
        raise NotPackable(f"model: {error}") from None


def verification_inputs(dataset: Dataset, count: int) -> npt.NDArray[np.int8]:
    """The first test images as the device takes them: int8 [n, h, w, c]."""
    return to_device_input(dataset.test.images[:count])
