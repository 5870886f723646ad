"""The weights of many layers, pruned, clustered and quantised in one sweep before each step.

All layers lie in one flat row, layer after layer, so that a step costs as many operations for fifty layers as for one.
Once clustering has begun a weight is looked up in a table of centroids; what is rounded are the few centroids, not the
weights. Each layer's weight is a parametrization that hands out its part of the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrize

from dccdka.clustering import assign_rows, k_means, means_of_members, sum_over_members
from dccdka.collaborative.layers import CompressedLayer
from dccdka.collaborative.result import LayerCodes
from dccdka.divergence import is_finite
from dccdka.quantization import (
    dequantize,
    noisy_blocks,
    quantize_to_levels,
    scale_and_zero_point_of_range,
)
from dccdka.recipe import CentroidInit


class WeightGroup(nn.Module):
    """The compressed weights of layers that are all clustered, or none of them.

    clusters: of each layer, zero included, or None. noise: the share of the weights that is rounded in training; in
    eval mode all are as soon as it is above 0. `update` brings all weights up to date for training, and so does
    the first forward pass after a backward pass, behind which the parameters may have moved.

    A centroid's gradient is the sum over its members (Han et al.); zero's is none, nor has a layer any whose parameter
    is frozen. Each weight gets its own gradient straight through, so that it can move to another cluster or code; a
    pruned one gets none.
    """

    mask: Tensor
    index: Tensor
    used: Tensor
    allowed: Tensor
    levels: Tensor
    sizes: Tensor
    _originals: list[nn.Parameter]

    def __init__(self, layers: Sequence[CompressedLayer], clusters: Sequence[int] | None, noise_block: int) -> None:
        super().__init__()
        weights = [layer.module.weight for layer in layers]
        first = weights[0]
        self.noise = 0.0
        self.shared = False
        # Kept beside the mask, so that finding it out needs no look at the tensor.
        self._pruned = False
        self._clusters = clusters
        self._noise_block = noise_block
        self._blocks: Tensor | None = None
        self._block_count = 0
        self._sizes = [weight.numel() for weight in weights]
        self._ends = np.cumsum(self._sizes).tolist()
        self._row_lengths = [weight[0].numel() for weight in weights]
        self._values: tuple[Tensor, ...] | None = None
        levels = [2**layer.settings.bits - 1 for layer in layers]
        self._hold("levels", torch.tensor(levels, dtype=first.dtype, device=first.device)[:, None])
        self._hold("sizes", torch.tensor(self._sizes, device=first.device))
        self._hold("mask", first.new_ones(sum(self._sizes)).detach())
        # Parametrizations keep a weight's own parameter as `original`; registering them makes it.
        for position, layer in enumerate(layers):
            # unsafe skips calls that check that the shape stays; it does.
            parametrize.register_parametrization(layer.module, "weight", _Part(self, position), unsafe=True)
        parametrizations = [layer.module.parametrizations for layer in layers]
        self._originals = [each.weight.original for each in parametrizations]  # type: ignore[union-attr, misc]  # untyped
        if clusters is not None:
            self.centroids = nn.Parameter(first.new_zeros(len(layers), max(clusters)))
            self._hold("index", torch.zeros(sum(self._sizes), dtype=torch.int32, device=first.device))
            possible = torch.arange(max(clusters), device=first.device)
            self._hold("allowed", possible < torch.tensor(clusters, device=first.device)[:, None])
            self._hold("used", torch.zeros_like(self.centroids, dtype=torch.bool))

    def _hold(self, name: str, value: Tensor) -> None:
        # Not in the model's state_dict: they are saved by `Collaboration.state_dict`, and gone when training ends.
        self.register_buffer(name, value, persistent=False)

    def __getstate__(self) -> dict[str, Any]:
        """For copy.deepcopy, which cannot copy tensors with a history."""
        return {**self.__dict__, "_values": None}

    @property
    def active(self) -> bool:
        """Whether the weights are anything but the layers' parameters."""
        return self.shared or self.noise > 0 or self._pruned

    def original(self, position: int) -> Tensor:
        """The parameter of a layer, in the weight's shape."""
        return self._originals[position].detach()

    def pruned(self, position: int) -> Tensor:
        """A layer's weight with its mask, in the weight's shape."""
        return self.original(position) * self.layer_mask(position)

    def layer_mask(self, position: int) -> Tensor:
        """1 where a weight of the layer lives, else 0; a view in the weight's shape."""
        return self._slice(self.mask, position).view_as(self._originals[position])

    def set_layer_mask(self, position: int, mask: Tensor) -> None:
        """Choose which weights of a layer live."""
        self._pruned = True
        self.layer_mask(position).copy_(mask)

    def begin_sharing(self, init: CentroidInit) -> None:
        """Find the clusters of all layers, if they are to have any."""
        if self._clusters is None:
            return
        with torch.no_grad():
            for position, clusters in enumerate(self._clusters):
                self.centroids[position, :clusters] = k_means(self.pruned(position), clusters, init)
        self.shared = True
        self.renew_members()

    @torch.no_grad()
    def renew_members(self, refit: bool = False) -> None:
        """Give each weight to the centroid that is nearest now; refit: then move each centroid to its members' mean."""
        if not self.shared or self._clusters is None:
            return
        pruned = torch.cat([original.detach().reshape(-1) for original in self._originals]).mul_(self.mask)
        layers = torch.arange(len(self._sizes), dtype=torch.int32, device=pruned.device)
        rows = layers.repeat_interleave(self.sizes, output_size=len(pruned))
        self.index.copy_(assign_rows(pruned, rows, self.centroids.where(self.allowed, torch.inf)))
        if refit:
            self.centroids.copy_(means_of_members(pruned, self.index, self.centroids.view(-1)).view_as(self.centroids))
            self.centroids[:, 0] = 0
        members = sum_over_members(self.mask, self.index, self.used.numel())
        self.used.copy_(members.view_as(self.used) > 0)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # untyped in torch
    def update(self) -> None:
        """Compute the weights of all layers for one training step from the parameters as they are now."""
        self._values = None
        if self.active:
            # Whatever mode this is called in, the weights serve forward passes that are differentiated.
            with torch.inference_mode(False), torch.enable_grad():
                centroids = self.centroids if self.shared else None
                self._values = _Compress.apply(self, centroids, *self._originals)  # type: ignore[no-untyped-call]  # untyped

    def forget(self) -> None:
        """The weights of the last `update` serve no further forward pass."""
        self._values = None

    def weight(self, position: int, original: Tensor, training: bool) -> Tensor:
        """A layer's weight: in training as of the last `update`, else as of now with all rounding that has begun."""
        if not self.active:
            return original
        if not training:
            return self._evaluated(position)
        if self._values is None:
            self.update()
        return self._values[position]  # type: ignore[index]  # update made it

    def has_codes(self, position: int) -> bool:
        """Whether a layer's weights are finite, so that codes can stand for them."""
        scale, _, codes = self._quantized(position)
        return is_finite(scale) and is_finite(codes)

    @torch.no_grad()
    def codes(self, position: int) -> LayerCodes:
        """A layer's weight as codes: that of eval mode once quantisation has begun."""
        scale, zero_point, codes = self._quantized(position)
        return LayerCodes(codes.to(torch.uint8).cpu().numpy(), int(zero_point), float(scale))

    def state(self) -> dict[str, Tensor]:
        """Copies of all that training has changed, besides the layers' parameters."""
        state = {
            "mask": self.mask != 0,
            "pruned": torch.tensor(self._pruned),
            "noise": torch.tensor(self.noise, dtype=torch.float64),
        }
        if self._clusters is not None:
            shared = {"centroids": self.centroids.detach(), "index": self.index, "used": self.used}
            state |= {name: value.clone() for name, value in shared.items()} | {"shared": torch.tensor(self.shared)}
        return state

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`. Raises KeyError or ValueError when it is not that of such a group."""
        expected = self.state()
        for name, value in expected.items():
            if state[name].shape != value.shape or state[name].dtype != value.dtype:
                raise ValueError(f"{name}: expected {value.dtype} {list(value.shape)}, got {list(state[name].shape)}")
        if "index" in expected and not 0 <= int(state["index"].min()) <= int(state["index"].max()) < self.used.numel():
            raise ValueError("index: points outside the centroids")
        self.mask.copy_(state["mask"])
        self._pruned = bool(state["pruned"])
        self.noise = float(state["noise"])
        if self._clusters is not None:
            self.centroids.copy_(state["centroids"])
            self.index.copy_(state["index"])
            self.used.copy_(state["used"])
            self.shared = bool(state["shared"])
        self._values = None

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The layers' parts of a flat row, in their weights' shapes."""
        parts = zip(torch.split(flat, self._sizes), self._originals, strict=True)
        return tuple(part.view(original.shape) for part, original in parts)

    def table(self) -> Tensor:
        """What weights are looked up in, flat: all centroids, all rounded ones, or first the one and then the other."""
        if self.noise == 0:
            return self.centroids.detach().view(-1)
        scale, zero_point, codes = _codebooks(self.centroids.detach(), self.used, self.levels)
        rounded = dequantize(codes, scale, zero_point).view(-1)
        return rounded if self.noise == 1 else torch.cat([self.centroids.detach().view(-1), rounded])

    def noisy_index(self) -> Tensor:
        """Each weight's place in `table` [weights]; draws the noise."""
        if self.noise in (0, 1):
            return self.index
        return self.index.add(self._draw_noise(), alpha=self.centroids.numel())

    def masked(self, originals: Sequence[Tensor]) -> Tensor:
        """All weights before clustering, flat: pruned, and rounded as far as the noise says."""
        flat = torch.cat([original.reshape(-1) for original in originals]).mul_(self.mask)
        if self.noise == 0:
            return flat
        ranges = torch.stack([torch.stack(torch.aminmax(part)) for part in torch.split(flat, self._sizes)])
        scale, zero_point = scale_and_zero_point_of_range(ranges[:, 0], ranges[:, 1], self.levels[:, 0])
        of_weights = torch.stack([scale, zero_point, self.levels[:, 0]])
        scale, zero_point, levels = of_weights.repeat_interleave(self.sizes, dim=1, output_size=len(flat))
        rounded = dequantize(quantize_to_levels(flat, scale, zero_point, levels), scale, zero_point)
        return rounded if self.noise == 1 else torch.where(self._draw_noise(), rounded, flat)

    def _evaluated(self, position: int) -> Tensor:
        if self.noise > 0:
            scale, zero_point, codes = self._quantized(position)
            return dequantize(codes, scale, zero_point)
        if not self.shared:
            return self.pruned(position)
        members = self._slice(self.index, position)
        return self.centroids.detach().view(-1).index_select(0, members).view_as(self._originals[position])

    def _quantized(self, position: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scale, zero point, and the codes of a layer's weight, in its shape."""
        one = slice(position, position + 1)
        if not self.shared:
            weight = self.pruned(position)
            levels = self.levels[position, 0]
            scale, zero_point = scale_and_zero_point_of_range(*torch.aminmax(weight), levels)
            return scale, zero_point, quantize_to_levels(weight, scale, zero_point, levels)
        book = _codebooks(self.centroids.detach()[one], self.used[one], self.levels[one])
        members = self._slice(self.index, position) - position * self.centroids.shape[1]
        codes = book[2].view(-1).index_select(0, members).view_as(self._originals[position])
        return book[0].view(()), book[1].view(()), codes

    def _draw_noise(self) -> Tensor:
        """Which weights are rounded in this step, bool [weights]."""
        device = self.mask.device
        if self._noise_block == 1:
            return noisy_blocks(len(self.mask), self.noise, device)
        if self._blocks is None or self._blocks.device != device:
            self._blocks = self._number_blocks().to(device)
        return noisy_blocks(self._block_count, self.noise, device).index_select(0, self._blocks)

    def _number_blocks(self) -> Tensor:
        """The block of each weight [weights]; blocks follow one another in a filter and end with it."""
        numbers = []
        self._block_count = 0
        for size, row in zip(self._sizes, self._row_lengths, strict=True):
            per_row = -(-row // self._noise_block)
            columns = torch.arange(row) // self._noise_block
            rows = torch.arange(size // row)[:, None] * per_row
            numbers.append((self._block_count + rows + columns).view(-1))
            self._block_count += per_row * (size // row)
        return torch.cat(numbers)

    def _slice(self, flat: Tensor, position: int) -> Tensor:
        end = self._ends[position]
        return flat[end - self._sizes[position] : end]


def _codebooks(centroids: Tensor, used: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scales [layers, 1], zero points [layers, 1] and the centroids' codes [layers, k] of centroids [layers, k].

    used: bool, whether a centroid has members; the range of the codes is that of the weights, so others do not count.
    """
    low, high = torch.aminmax(centroids * used, dim=1, keepdim=True)
    scale, zero_point = scale_and_zero_point_of_range(low, high, levels)
    return scale, zero_point, quantize_to_levels(centroids, scale, zero_point, levels)


class _Part(nn.Module):
    """Parametrization: a layer's part of its group's weights."""

    def __init__(self, group: WeightGroup, position: int) -> None:
        super().__init__()
        # The first layer's part makes the group a part of the model, with its parameter and buffers; the others only
        # refer to it, or the model would list them once for each layer.
        if position == 0:
            self.group = group
        self._group = (group,)
        self._position = position

    def forward(self, original: Tensor) -> Tensor:
        return self._group[0].weight(self._position, original, self.training)


class _Compress(torch.autograd.Function):
    """All weights of a group from the layers' parameters; see WeightGroup for what the gradient is."""

    @staticmethod
    def forward(ctx: Any, group: WeightGroup, centroids: Tensor | None, *originals: Tensor) -> tuple[Tensor, ...]:
        ctx.group, ctx.mask, ctx.index = group, group.mask, None
        if centroids is None:
            return group.split(group.masked(originals))
        ctx.index = group.noisy_index()
        table = group.table()
        ctx.entries = len(table)
        return group.split(table.index_select(0, ctx.index))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ctx.group.forget()
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).mul_(ctx.mask)
        of_centroids = None
        if ctx.index is not None:
            shape = ctx.group.centroids.shape
            of_centroids = sum_over_members(flat, ctx.index, ctx.entries).view(-1, *shape).sum(0)
            of_centroids[:, 0] = 0
            for position, trained in enumerate(ctx.needs_input_grad[2:]):
                if not trained:
                    of_centroids[position] = 0
        return None, of_centroids, *ctx.group.split(flat)
