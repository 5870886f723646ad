"""From a compressed float network to the integer graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.collaborative import CompressedModel
from dccdka.datasets import Normalization
from dccdka.lowering.building import build_graph, observed_nodes
from dccdka.lowering.calls import PROBE_IMAGES, probe
from dccdka.lowering.dead_channels import remove_dead_channels
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import IntegerGraph
from dccdka.lowering.narrow_channels import with_narrow_channels
from dccdka.lowering.observation import observe
from dccdka.lowering.reading import read_layers
from dccdka.lowering.tracing import check_trace, network_input, trace


def lower(compressed: CompressedModel, dataset_sample: NDArray[np.uint8], normalization: Normalization) -> IntegerGraph:
    """The integer graph of a compressed network, without the channels that do nothing.

    Otherwise as lower_all_channels.
    """
    return with_narrow_channels(remove_dead_channels(_built(compressed, dataset_sample, normalization)))


def lower_all_channels(
    compressed: CompressedModel, dataset_sample: NDArray[np.uint8], normalization: Normalization
) -> IntegerGraph:
    """The integer graph of a compressed network with every channel that its module has.

    This is how large a network can become whose weights are not the final ones: which channels do nothing, training
    decides.

    dataset_sample: real images uint8 [n, c, h, w]; the range of each activation over them, 0 included, sets its int8
    scale, as the recipe's observer takes it. Batch norm and biases go into the requantisation, so the weights' codes
    are exactly the trained ones. The input takes pixel - 128, which loses nothing. Raises LoweringError naming the
    module or operator at fault and the line that calls it.
    """
    return with_narrow_channels(_built(compressed, dataset_sample, normalization))


def _built(
    compressed: CompressedModel, dataset_sample: NDArray[np.uint8], normalization: Normalization
) -> IntegerGraph:
    """With multipliers and biases as precise as they can be."""
    module = compressed.module
    if any(child.training for child in module.modules()):
        raise LoweringError("the network is in training mode; call .eval() first")
    if dataset_sample.dtype != np.uint8 or dataset_sample.ndim != 4:
        raise LoweringError(
            "the images to calibrate with must be pixels, uint8 [n, c, h, w], are"
            f" {dataset_sample.dtype} {list(dataset_sample.shape)}; lowering normalizes them itself"
        )
    if len(dataset_sample) == 0:
        raise LoweringError("no images to calibrate with; give some of the training set")
    few = np.resize(dataset_sample, (PROBE_IMAGES, *dataset_sample.shape[1:]))
    inputs = network_input(few, normalization, module)
    network = trace(module, inputs)
    calls = probe(network, inputs, module)
    layers = read_layers(calls.by_node.values())
    check_trace(module, inputs, calls.result)
    ranges = observe(network, observed_nodes(layers), dataset_sample, normalization, compressed.recipe.observer)
    return build_graph(calls, layers, compressed.layers, dataset_sample.shape[1:], normalization, ranges)
