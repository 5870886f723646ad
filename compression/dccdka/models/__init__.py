"""The networks that are trained: teachers and students, built by name."""

from dccdka.models.building import ModelError, build_model
from dccdka.models.resnet8 import ResNet8

__all__ = ["ModelError", "ResNet8", "build_model"]
