"""Chooses which weights live, by magnitude: in each layer, in the whole network, or by whole filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dccdka.collaborative.filters import FilterStructure
from dccdka.collaborative.layers import CompressedLayer
from dccdka.collaborative.weights import WeightGroup
from dccdka.pruning import filter_norms, global_masks, magnitude_mask, mask_of_smallest, pruned_count

# From a layer's final sparsity to the one that is due now.
SparsityNow = Callable[[float], float]


@dataclass(frozen=True)
class GroupedLayer:
    """A layer and its place in the group that holds its weights."""

    layer: CompressedLayer
    group: WeightGroup
    position: int

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def final_sparsity(self) -> float:
        return self.layer.settings.final_sparsity

    @property
    def original(self) -> Tensor:
        """The parameter behind the weight."""
        return self.group.original(self.position)

    @property
    def mask(self) -> Tensor:
        """1 where a weight lives, else 0, in the weight's shape."""
        return self.group.layer_mask(self.position)

    def set_mask(self, mask: Tensor) -> None:
        self.group.set_layer_mask(self.position, mask)


class Pruner(Protocol):
    def renew(self, layers: Sequence[GroupedLayer], now: SparsityNow) -> None:
        """Choose anew which weights of the layers live."""

    def state(self) -> dict[str, Tensor]:
        """What it has changed beside the layers' masks."""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`. Raises KeyError or ValueError."""

    def finalize(self) -> None:
        """Make what it has changed beside the layers' masks permanent."""


class _MasksOnly:
    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        pass

    def finalize(self) -> None:
        pass


class LayerPruner(_MasksOnly):
    """The smallest weights of each layer."""

    def renew(self, layers: Sequence[GroupedLayer], now: SparsityNow) -> None:
        for layer in layers:
            sparsity = now(layer.final_sparsity)
            if pruned_count(sparsity, layer.mask.numel()):
                layer.set_mask(magnitude_mask(layer.original, sparsity))


class GlobalPruner(_MasksOnly):
    """The smallest weights of the whole network; a layer with a sparsity of its own is pruned to that by itself."""

    def __init__(self, final_sparsity: float) -> None:
        self._final_sparsity = final_sparsity

    def renew(self, layers: Sequence[GroupedLayer], now: SparsityNow) -> None:
        together = [layer for layer in layers if layer.final_sparsity == self._final_sparsity]
        LayerPruner().renew([layer for layer in layers if layer.final_sparsity != self._final_sparsity], now)
        sparsity = now(self._final_sparsity)
        if together and sparsity > 0:
            masks = global_masks([layer.original for layer in together], sparsity)
            for layer, mask in zip(together, masks, strict=True):
                layer.set_mask(mask)


class FilterPruner:
    """Whole filters by their L2 norm, those that belong together as one; their channels become exactly zero.

    So a pruned filter's bias, the factor and bias of the batch norms behind it, and the weights that read its channel
    are masked too; lowering removes all of it. Of layers that belong together the smallest sparsity counts.
    """

    def __init__(self, model: nn.Module, structure: FilterStructure) -> None:
        """The layers of the model have no parametrizations yet."""
        self._structure = structure
        self._all = torch.ones(structure.count, dtype=torch.bool, device=next(model.parameters()).device)
        self._alive = self._all
        self._followers: list[tuple[nn.Module, str, _Masked]] = []
        grouped = {unit for group in structure.groups for unit in group.units.tolist()}
        pruned = {name: structure.outputs[name] for group in structure.groups for name in group.layers}
        norms = {name: units for name, units in structure.norms.items() if grouped & set(units.tolist())}
        for name, units in (pruned | norms).items():
            module = model.get_submodule(name)
            for parameter in ("weight", "bias") if name in norms else ("bias",):
                if getattr(module, parameter) is not None:
                    self._follow(module, parameter, units)

    def renew(self, layers: Sequence[GroupedLayer], now: SparsityNow) -> None:
        by_name = {layer.name: layer for layer in layers}
        alive = self._all.clone()
        for group in self._structure.groups:
            members = [by_name[name] for name in group.layers]
            sparsity = min(now(member.final_sparsity) for member in members)
            norms = members[0].original.new_zeros(len(group.units))
            for member in members:
                units = torch.searchsorted(group.units, self._structure.outputs[member.name])
                norms.index_add_(0, units, filter_norms(member.original))
            alive[group.units] = mask_of_smallest(norms, pruned_count(sparsity, len(norms)))
        self._set(alive)
        for layer in layers:
            mask = torch.ones_like(layer.mask)
            for structure, dimension in ((self._structure.outputs, 0), (self._structure.inputs, 1)):
                if layer.name in structure:
                    living = alive[structure[layer.name]]
                    mask *= living.view([-1 if d == dimension else 1 for d in range(mask.ndim)])
            layer.set_mask(mask)

    def state(self) -> dict[str, Tensor]:
        return {"alive": self._alive.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        alive = state["alive"]
        if alive.shape != self._alive.shape or alive.dtype != torch.bool:
            raise ValueError(f"alive: expected {self._structure.count} truth values, got {list(alive.shape)}")
        self._set(alive.to(self._alive.device))

    def finalize(self) -> None:
        for module, parameter, _ in self._followers:
            parametrize.remove_parametrizations(module, parameter, leave_parametrized=True)

    def _follow(self, module: nn.Module, parameter: str, units: Tensor) -> None:
        masked = _Masked(getattr(module, parameter), units)
        parametrize.register_parametrization(module, parameter, masked, unsafe=True)
        self._followers.append((module, parameter, masked))

    def _set(self, alive: Tensor) -> None:
        self._alive = alive
        for _, _, masked in self._followers:
            masked.renew(alive)


class _Masked(nn.Module):
    """Parametrization of a value for each channel [channels]: zero where the channel's unit is pruned."""

    mask: Tensor

    def __init__(self, value: Tensor, units: Tensor) -> None:
        super().__init__()
        self._units = units
        self.register_buffer("mask", torch.ones_like(value).detach(), persistent=False)

    def renew(self, alive: Tensor) -> None:
        self.mask.copy_(alive[self._units])

    def forward(self, value: Tensor) -> Tensor:
        return value * self.mask
