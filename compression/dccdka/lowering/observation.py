"""Runs the float network once over real images and notes the shape and range of every value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from dccdka.datasets import Normalization
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.tracing import network_input

_BATCH = 128


@dataclass
class Observation:
    """Shape of one image's value (without n), and the least and largest number seen."""

    shape: tuple[int, ...]
    low: float
    high: float


def observe(
    network: fx.GraphModule, images: NDArray[np.uint8], normalization: Normalization
) -> dict[fx.Node, Observation]:
    """By node; nodes whose value is not a tensor (shape arithmetic) are absent.

    Raises LoweringError where a value is not finite.
    """
    observer = _Observer(network)
    with torch.no_grad():
        for begin in range(0, len(images), _BATCH):
            observer.run(network_input(images[begin : begin + _BATCH], normalization))
    for node, seen in observer.observations.items():
        if not np.isfinite(seen.high - seen.low):
            raise LoweringError(f"node {node.name}: its values are not finite; the network has diverged")
    return observer.observations


class _Observer(fx.Interpreter):
    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.observations: dict[fx.Node, Observation] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and n.op != "get_attr":
            low, high = (float(x) for x in value.aminmax())
            seen = self.observations.setdefault(n, Observation(tuple(value.shape[1:]), low, high))
            # np's minimum and maximum let a NaN through, min and max might not.
            seen.low, seen.high = float(np.minimum(seen.low, low)), float(np.maximum(seen.high, high))
        return value
