"""Prune, cluster and quantise acting together on every convolution and linear layer, in that order.

The weights of the layers are parametrizations, so the network trains through all three steps; at the end they are taken
off and each layer holds n-bit codes.
"""

from dccdka.collaborative.collaboration import Collaboration
from dccdka.collaborative.feasibility import require_feasible
from dccdka.collaborative.layers import Layer, compressible_layers
from dccdka.collaborative.result import CompressedModel, LayerCodes
from dccdka.collaborative.untrained import post_training, worst_case

__all__ = [
    "Collaboration",
    "CompressedModel",
    "Layer",
    "LayerCodes",
    "compressible_layers",
    "post_training",
    "require_feasible",
    "worst_case",
]
