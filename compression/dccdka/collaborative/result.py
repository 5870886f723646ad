"""What compression results in: a plain module, and the codes of its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dccdka.recipe import Recipe


@dataclass(frozen=True)
class LayerCodes:
    """A layer's weights w = (codes - zero_point) * scale; codes are uint8 in the weight's shape (out, in, ...)."""

    codes: NDArray[np.uint8]
    zero_point: int
    scale: float

    def __repr__(self) -> str:
        shape = list(self.codes.shape)
        return f"LayerCodes({self.codes.dtype} {shape}, zero_point={self.zero_point}, scale={self.scale:g})"

    def weights(self) -> NDArray[np.float32]:
        """The weights that the codes stand for, float32 in the weight's shape."""
        return (self.codes.astype(np.float32) - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True)
class CompressedModel:
    """A network whose weights are codes.

    module: plain and in eval mode. layers: the codes of every convolution and linear layer, by module name. notes:
    where the recipe could not be followed to the letter, at most a sentence for a layer.
    """

    module: nn.Module
    layers: dict[str, LayerCodes]
    recipe: Recipe
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        weights = sum(layer.codes.size for layer in self.layers.values())
        zeros = sum(int((layer.codes == layer.zero_point).sum()) for layer in self.layers.values())
        return (
            f"CompressedModel({type(self.module).__name__}, {len(self.layers)} layers, {weights} weights,"
            f" {zeros} of them zero, {len(self.notes)} notes)"
        )
