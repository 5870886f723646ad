"""The networks that are trained: teachers and students, built by name."""

from dccdka.models.building import ModelError, build_model
from dccdka.models.counting import multiply_accumulates, parameter_count
from dccdka.models.resnet8 import ResNet8
from dccdka.models.zoo import NETWORKS, Network

__all__ = [
    "NETWORKS",
    "ModelError",
    "Network",
    "ResNet8",
    "build_model",
    "multiply_accumulates",
    "parameter_count",
]
