"""Sentences that say where a layer could not follow its recipe to the letter; one for a layer is enough."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn
from torch.nn.parameter import UninitializedParameter

from dccdka.collaborative.layers import Layer
from dccdka.collaborative.result import LayerCodes
from dccdka.recipe import LayerSettings

# With few clusters or bits some weights more become zero and some clusters one in almost every layer: that is no news.
_USUAL_ZEROS = 0.1
_USUAL_CLUSTERS = 0.5


def stays_float(model: nn.Module) -> dict[str, str]:
    """What is said of modules with parameters of two axes or more that are no weight of a layer; the model is plain."""
    told = {}
    for name, module in model.named_modules():
        own = module.named_parameters(recurse=False)
        if kept := [parameter for parameter, value in own if _is_weight(value) and not isinstance(module, Layer)]:
            whose = "only the weights of Conv1d, Conv2d and Linear layers are compressed"
            told[name] = f"keeps its {', '.join(kept)} in float: {whose}"
    return told


def _is_weight(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, UninitializedParameter) or parameter.ndim > 1


def too_few_for_clusters(asked: LayerSettings, live: int) -> str | None:
    """What is said of a layer with so many live weights when they cannot fill its clusters, else None."""
    if asked.clusters is None or asked.clusters <= live + 1:
        return None
    return f"its {live} live weights are too few for {asked.clusters} clusters; has {live + 1}"


def departure(codes: LayerCodes, asked: LayerSettings, live: int) -> str | None:
    """What is said of a layer's result; None when it is what was asked for, or near it.

    live: how many of its weights pruning left. Zeros are told where there are more than those that were pruned and a
    tenth of the layer's weights (one weight at least), clusters where fewer than half of them are used.
    """
    if few := too_few_for_clusters(asked, live):
        return few
    weights = codes.codes.size
    pruned, zeros = weights - live, int(np.count_nonzero(codes.codes == codes.zero_point))
    if zeros - pruned > max(1, _USUAL_ZEROS * weights):
        means = f"{asked.bits} bits" if asked.clusters is None else f"{asked.clusters} clusters of {asked.bits} bits"
        shares = f"{zeros / weights:.0%} of its weights are zero, {pruned / weights:.0%} were pruned"
        return f"{shares}: {means} leave small weights no other value"
    if asked.clusters is not None:
        used = len(np.unique(np.append(codes.codes, codes.zero_point)))
        if used < _USUAL_CLUSTERS * asked.clusters:
            others = f"in {asked.bits} bits the others are the same values, or have no weights"
            return f"uses {used} of {asked.clusters} clusters: {others}"
    return None


def held_back(asked: Mapping[str, float]) -> dict[str, str]:
    """What is said of layers whose filters are pruned together, of which the smallest share asked for counts."""
    least = min(asked, key=lambda layer: asked[layer])
    reason = f"they are pruned together with those of {least}"
    return {
        layer: f"loses {asked[least]:.0%} of its filters, not {share:.0%}: {reason}"
        for layer, share in asked.items()
        if share > asked[least]
    }


def sentences(model: nn.Module, told: Mapping[str, str]) -> tuple[str, ...]:
    """What is told of modules, by name, in the order of the model's; its own name is empty."""
    names = [name for name, _ in model.named_modules() if name in told]
    return tuple(f"layer {name}: {told[name]}" if name else f"model: {told[name]}" for name in names)
