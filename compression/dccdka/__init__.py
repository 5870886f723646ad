"""DCCDKA: knowledge distillation with pruning, clustering and quantisation that act together on every layer.

This package holds the algorithm, the data it trains on, and the way from a trained module to the packed artifact. It
knows nothing of devices, searches or reports.

    compressed = dccdka.compress(model, "fashion-mnist", dccdka.Recipe(4.0, 0.8, 16, 4), teacher)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dccdka.checkpoint import CheckpointError as CheckpointError
    from dccdka.collaborative import Collaboration as Collaboration
    from dccdka.collaborative import CompressedModel as CompressedModel
    from dccdka.collaborative import post_training as post_training
    from dccdka.datasets import Dataset as Dataset
    from dccdka.datasets import DatasetError as DatasetError
    from dccdka.datasets import load_dataset as load_dataset
    from dccdka.distillation import distillation_loss as distillation_loss
    from dccdka.divergence import DivergedError as DivergedError
    from dccdka.evaluation import NetworkError as NetworkError
    from dccdka.learning_rate import learning_rate_factor as learning_rate_factor
    from dccdka.lowering import LoweringError as LoweringError
    from dccdka.lowering import lower as lower
    from dccdka.models import ModelError as ModelError
    from dccdka.models import build_model as build_model
    from dccdka.packing import PackingError as PackingError
    from dccdka.packing import pack as pack
    from dccdka.progress import Progress as Progress
    from dccdka.recipe import LayerRule as LayerRule
    from dccdka.recipe import Recipe as Recipe
    from dccdka.recipe import RecipeError as RecipeError
    from dccdka.recipe import Schedule as Schedule
    from dccdka.schedule import schedule_curves as schedule_curves
    from dccdka.stacked import StackingError as StackingError
    from dccdka.stacked import compress_stacked as compress_stacked
    from dccdka.teachers import NetworkTeacher as NetworkTeacher
    from dccdka.teachers import OnnxTeacher as OnnxTeacher
    from dccdka.teachers import ParallelTeacher as ParallelTeacher
    from dccdka.teachers import StoredLogits as StoredLogits
    from dccdka.teachers import TeacherError as TeacherError
    from dccdka.training import accuracy as accuracy
    from dccdka.training import compress as compress
    from dccdka.training import train_teacher as train_teacher
    from dccdka.training_config import TrainingConfig as TrainingConfig
    from dccdka.training_config import TrainingConfigError as TrainingConfigError
    from dccdka.weights import WeightsError as WeightsError
    from dccdka.weights import load_weights as load_weights

# Importing torch takes a second: a name brings its module along when it is first used.
_HOMES = {
    "CheckpointError": "checkpoint",
    "Collaboration": "collaborative",
    "CompressedModel": "collaborative",
    "Dataset": "datasets",
    "DatasetError": "datasets",
    "DivergedError": "divergence",
    "LayerRule": "recipe",
    "LoweringError": "lowering",
    "ModelError": "models",
    "NetworkError": "evaluation",
    "NetworkTeacher": "teachers",
    "OnnxTeacher": "teachers",
    "PackingError": "packing",
    "ParallelTeacher": "teachers",
    "Progress": "progress",
    "Recipe": "recipe",
    "RecipeError": "recipe",
    "Schedule": "recipe",
    "StackingError": "stacked",
    "StoredLogits": "teachers",
    "TeacherError": "teachers",
    "TrainingConfig": "training_config",
    "TrainingConfigError": "training_config",
    "WeightsError": "weights",
    "accuracy": "training",
    "build_model": "models",
    "compress": "training",
    "compress_stacked": "stacked",
    "distillation_loss": "distillation",
    "learning_rate_factor": "learning_rate",
    "load_dataset": "datasets",
    "load_weights": "weights",
    "lower": "lowering",
    "pack": "packing",
    "post_training": "collaborative",
    "schedule_curves": "schedule",
    "train_teacher": "training",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
