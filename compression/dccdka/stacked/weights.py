"""The weights of N candidates under prune, cluster and quantise, all in a few long vectors.

A vector holds, layer after layer, a contiguous block [N, size of the layer's weight] and then the parameters that are
not compressed, in the same way. So a step over every layer of every candidate is one kernel, and the gradients of
rounding and sharing, which pass straight through, need no autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from dccdka.collaborative import compressible_layers
from dccdka.quantization import dequantize, quantize_to_levels, scale_and_zero_point_of_range
from dccdka.stacked import rows
from dccdka.stacked.network import StackingError
from dccdka.stacked.plans import LayerPlan


@dataclass(frozen=True)
class _Block:
    """Where a parameter's values of all candidates lie in the vectors."""

    name: str
    shape: torch.Size  # of one candidate
    begin: int
    end: int


def on_device(numbers: Sequence[object], device: torch.device) -> Tensor:
    """A tensor of numbers from the host, without waiting for what the device is doing."""
    return torch.tensor(numbers).to(device, non_blocking=True)


class StackedWeights:
    """The parameters of a network of `stack_network`, and what each candidate's recipe makes of them.

    trained: what the optimiser changes. centroids: [N, layers, k], trained as well; the first is zero, those beyond a
    layer's clusters are infinite. The network computes with what `apply` derives from them; `collect` turns its
    gradients into theirs.
    """

    def __init__(self, network: fx.GraphModule, model: nn.Module, plans: Sequence[Sequence[LayerPlan]]) -> None:
        """plans: by candidate and layer, in the order of `compressible_layers`."""
        self.plans = plans
        self.count, self.layer_count = len(plans), len(plans[0])
        compressed = [f"{name}.weight" for name, _ in compressible_layers(model)]
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        parameters = dict(network.named_parameters())
        if missing := sorted(shapes.keys() - parameters.keys()):
            raise StackingError(f"parameter {missing[0]} is not used by the network's forward; remove it")
        self.blocks: list[_Block] = []
        end = 0
        for name in [*compressed, *(name for name in shapes if name not in set(compressed))]:
            begin, end = end, end + self.count * shapes[name].numel()
            self.blocks.append(_Block(name, shapes[name], begin, end))
        self.compressed = self.blocks[self.layer_count - 1].end
        device = next(network.parameters()).device
        self.trained = torch.cat([parameters[block.name].detach().flatten() for block in self.blocks])
        self.gradient = torch.zeros_like(self.trained)
        self._used = self.trained.clone()
        for block in self.blocks:
            self._alias(parameters[block.name], block)
        self.candidate_of = self._by_candidate(device)
        # Layer and candidate of each compressed weight as one number: a position in [N, layers].
        self._segment_of = self.candidate_of[: self.compressed] * self.layer_count + self._by_layer(device)
        self.mask = torch.ones(self.compressed, device=device)
        most = max((layer.clusters or 0 for candidate in plans for layer in candidate), default=0)
        self.centroids = torch.full((self.count, self.layer_count, max(most, 1)), torch.inf, device=device)
        self.centroids[:, :, 0] = 0
        self.centroid_gradient = torch.zeros_like(self.centroids)
        self.clustered = [[False] * self.layer_count for _ in plans]
        self._is_clustered = torch.zeros(self.compressed, dtype=torch.bool, device=device)
        # Position in the centroids; that of the segment's zero until its weights are clustered.
        self._position = self._segment_of * self.centroids.shape[2]
        self._in_filter = self._by_filter(device)
        self._levels = on_device([[2.0**layer.bits - 1 for layer in layers] for layers in plans], device)

    def prune(self, candidates: Sequence[int], live: Sequence[Sequence[int]]) -> None:
        """Choose which weights of these candidates live: live[i][layer] of the i-th's, by magnitude."""
        which, counts = self._index(candidates), on_device(live, self.trained.device)
        for layer in range(self.layer_count):
            masks = rows.magnitude_masks(self._rows(self.trained, layer)[which], counts[:, layer])
            self._rows(self.mask, layer)[which] = masks

    def begin_clusters(self, candidates: Sequence[int]) -> None:
        """Find the clusters of these candidates' weights, and share them from now on."""
        for layer in range(self.layer_count):
            shared = [candidate for candidate in candidates if self.plans[candidate][layer].clusters is not None]
            if not shared:
                continue
            which = self._index(shared)
            values = self._pruned(layer, which)
            initial = torch.full((len(shared), self.centroids.shape[2]), torch.inf, device=values.device)
            for row, candidate in enumerate(shared):
                found = self.plans[candidate][layer].initial_centroids(values[row])
                initial[row, : len(found)] = found
            self.centroids[which, layer] = rows.k_means(values, initial)
            self._rows(self._is_clustered, layer)[which] = True
            for candidate in shared:
                self.clustered[candidate][layer] = True
        self.renew_clusters(candidates)

    def renew_clusters(self, candidates: Sequence[int], *, refit: bool = False) -> None:
        """Give each weight to the centroid that is nearest now; refit: then move each centroid to its members' mean."""
        for layer in range(self.layer_count):
            shared = [candidate for candidate in candidates if self.clustered[candidate][layer]]
            if not shared:
                continue
            which = self._index(shared)
            values, centroids = self._pruned(layer, which), self.centroids[which, layer]
            # A centroid that happens to be zero too could move: what is pruned belongs to the one that cannot.
            members = rows.nearest(values, centroids) * (self._rows(self.mask, layer)[which] != 0)
            if refit:
                self.centroids[which, layer] = rows.means_of_members(values, members, centroids)
            first = (which * self.layer_count + layer) * self.centroids.shape[2]
            self._rows(self._position, layer)[which] = members + first.unsqueeze(1)

    def apply(self, noise: Sequence[float], noise_blocks: Sequence[int]) -> None:
        """Write the weights that the network computes with: pruned, shared where clustered, rounded by the noise."""
        self._used.copy_(self.trained)
        weights = self._used[: self.compressed]
        weights.mul_(self.mask)
        if self._any_clustered:
            shared = self.centroids.view(-1).index_select(0, self._position)
            every = all(all(layers) for layers in self.clustered)
            weights.copy_(shared if every else torch.where(self._is_clustered, shared, weights))
        if any(noise):
            rounded = self._rounded(weights)
            if min(noise) < 1:
                share = on_device(noise, weights.device)[self.candidate_of[: self.compressed]]
                rounded = torch.where(self._draws(noise_blocks) < share, rounded, weights)
            weights.copy_(rounded)

    def collect(self) -> None:
        """Turn the gradients of the network's weights into those of `trained` and of the centroids.

        A centroid's gradient is the sum over its members (Han et al.); zero's is none.
        """
        gradient = self.gradient[: self.compressed]
        if self._any_clustered:
            self.centroid_gradient.zero_().view(-1).scatter_add_(0, self._position, gradient)
            self.centroid_gradient[:, :, 0] = 0
        gradient.mul_(self.mask)

    def used_by(self, candidate: int) -> dict[str, Tensor]:
        """What a candidate's network computes with, by the model's names; views."""
        return {
            block.name: self._used[block.begin : block.end].view(self.count, *block.shape)[candidate]
            for block in self.blocks
        }

    @property
    def _any_clustered(self) -> bool:
        return any(any(layers) for layers in self.clustered)

    def _rounded(self, weights: Tensor) -> Tensor:
        """(q - z) s of every weight, Eqs 10 and 11."""
        ranges = [torch.aminmax(self._rows(weights, layer), dim=1) for layer in range(self.layer_count)]
        low, high = (torch.stack(bounds, dim=1) for bounds in zip(*ranges, strict=True))
        scale, zero_point = scale_and_zero_point_of_range(low, high, self._levels)
        scale, zero_point, levels = (
            per_layer.view(-1).index_select(0, self._segment_of) for per_layer in (scale, zero_point, self._levels)
        )
        return dequantize(quantize_to_levels(weights, scale, zero_point, levels), scale, zero_point)

    def _draws(self, noise_blocks: Sequence[int]) -> Tensor:
        """Uniform numbers, the same within a block of neighbouring weights of a filter."""
        draws = torch.rand_like(self.mask)
        if max(noise_blocks) > 1:
            size = on_device(noise_blocks, draws.device)[self.candidate_of[: self.compressed]]
            draws = draws[torch.arange(len(draws), device=draws.device) - self._in_filter % size]
        return draws

    def _alias(self, parameter: nn.Parameter, block: _Block) -> None:
        part = slice(block.begin, block.end)
        parameter.data = self._used[part].view(parameter.shape)
        parameter.grad = self.gradient[part].view(parameter.shape)

    def _rows(self, vector: Tensor, layer: int) -> Tensor:
        block = self.blocks[layer]
        return vector[block.begin : block.end].view(self.count, -1)

    def _pruned(self, layer: int, which: Tensor) -> Tensor:
        return self._rows(self.trained, layer)[which] * self._rows(self.mask, layer)[which]

    def _index(self, candidates: Sequence[int]) -> Tensor:
        return on_device(candidates, self.trained.device)

    def _by_candidate(self, device: torch.device) -> Tensor:
        candidates = torch.arange(self.count, device=device)
        return torch.cat([candidates.repeat_interleave(block.shape.numel()) for block in self.blocks])

    def _by_layer(self, device: torch.device) -> Tensor:
        sizes = torch.tensor([block.end - block.begin for block in self.blocks[: self.layer_count]], device=device)
        return torch.arange(self.layer_count, device=device).repeat_interleave(sizes)

    def _by_filter(self, device: torch.device) -> Tensor:
        """Number of each compressed weight within its filter."""
        blocks = self.blocks[: self.layer_count]
        counts = [torch.arange(block.shape[1:].numel(), device=device) for block in blocks]
        return torch.cat([c.repeat(self.count * block.shape[0]) for c, block in zip(counts, blocks, strict=True)])
