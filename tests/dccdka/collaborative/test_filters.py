"""Whole filters are pruned with all that makes and reads their channels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dccdka.collaborative import CompressedModel, post_training
from dccdka.collaborative.filters import filter_structure
from dccdka.pruning import pruned_count
from dccdka.recipe import LayerRule, Recipe, RecipeError

from .compressing import network


class Residual(nn.Module):
    """A stem, two convolutions around a shortcut, a depthwise layer, and squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(4)
        self.narrow = nn.Conv2d(4, 6, 1)
        self.wide = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.wide_norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = torch.relu(x + self.wide_norm(self.wide(torch.relu(self.narrow(x)))))
        x = self.depthwise(x)
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.linear(x.mean((2, 3)))


def test_layers_that_an_add_a_product_or_a_depthwise_layer_ties_together_are_one_group() -> None:
    groups = {frozenset(group.layers) for group in filter_structure(Residual()).groups}
    assert groups == {frozenset({"stem", "wide", "depthwise", "excite"}), frozenset({"narrow"}), frozenset({"squeeze"})}


def test_channels_of_pruned_filters_are_exactly_zero_and_no_one_reads_them() -> None:
    torch.manual_seed(0)
    model = Residual()
    for norm in (model.stem_norm, model.wide_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
    compressed = post_training(model, Recipe(4, 0.5, None, 8, pruning="filters")).module
    seen: dict[str, Tensor] = {}
    for name, module in compressed.named_modules():
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
    compressed(torch.randn(2, 1, 8, 8))
    dead = (compressed.get_submodule("stem").weight == 0).flatten(1).all(1)
    assert int(dead.sum()) == 2
    for name in ("stem", "stem_norm", "wide", "wide_norm"):
        assert torch.all(seen[name][:, dead] == 0)
        assert torch.all(seen[name][:, ~dead] != 0)
    assert torch.all(seen["depthwise"][:, dead.repeat_interleave(2)] == 0)
    for name, columns in (
        ("narrow", dead),
        ("squeeze", dead.repeat_interleave(2)),
        ("linear", dead.repeat_interleave(2)),
    ):
        assert torch.all(compressed.get_submodule(name).weight[:, columns] == 0)
    assert not (compressed.get_submodule("linear").weight == 0).all(1).any()


def test_of_layers_that_are_pruned_together_the_smallest_share_counts_exactly() -> None:
    recipe = Recipe(4, 0.7, None, 8, pruning="filters", layers=(LayerRule("depthwise", final_sparsity=0.34),))
    compressed = post_training(network(), recipe)
    assert "layer 1: loses 34% of its filters, not 70%: they are pruned together with those of 4" in compressed.notes
    layers = compressed.layers
    for name in ("1", "4"):
        filters = layers[name].weights().reshape(6, -1)
        assert np.count_nonzero(np.all(filters == 0, axis=1)) == pruned_count(0.34, 6) == 2
    assert not np.any(np.all(layers["6"].weights() == 0, axis=1))


class Concatenated(nn.Module):
    """Two layers whose channels follow one another; or, when crossed, of which one is added to a third."""

    def __init__(self, *, crossed: bool = False) -> None:
        super().__init__()
        self.few = nn.Conv2d(1, 4, 1)
        self.many = nn.Conv2d(1, 6, 1)
        self.whole = nn.Conv2d(1, 10, 1)
        self.linear = nn.Linear(10, 3)
        self.crossed = crossed

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.few(x), self.many(x)], dim=1)
        return self.linear((both + self.whole(x) if self.crossed else both).mean((2, 3)))


def dead_filters(compressed: CompressedModel, layer: str) -> list[bool]:
    codes = compressed.layers[layer]
    return [not filter.any() for filter in codes.weights().reshape(len(codes.codes), -1)]


@pytest.mark.parametrize("seed", range(3))
def test_what_reads_a_concatenation_loses_the_columns_of_the_filters_that_are_pruned(seed: int) -> None:
    torch.manual_seed(seed)
    compressed = post_training(Concatenated(), Recipe(4, 0.5, None, 8, pruning="filters"))
    few, many = dead_filters(compressed, "few"), dead_filters(compressed, "many")
    assert (sum(few), sum(many)) == (2, 3)
    columns = compressed.layers["linear"].weights().T
    assert [not column.any() for column in columns] == few + many


def test_layers_that_are_concatenated_and_added_to_another_keep_their_filters_and_say_so() -> None:
    compressed = post_training(Concatenated(crossed=True), Recipe(4, 0.5, None, 8, pruning="filters"))
    assert compressed.notes == tuple(
        f"layer {name}: keeps all its filters: its channels cannot be removed from what reads them"
        for name in ("few", "many", "whole")
    )
    assert not any(sum(dead_filters(compressed, name)) for name in compressed.layers)


def test_filters_that_live_together_are_judged_by_the_norms_of_all_of_them() -> None:
    model = Residual()
    # Of each channel's filters, of which depthwise has two: together 1 and 3 are the largest, in stem alone 0 and 1.
    sizes = {"stem": [4.0, 3.0, 2.0, 1.0], "wide": [0.1, 0.1, 0.1, 5.0], "depthwise": [0.1, 4.0, 0.1, 0.1]}
    with torch.no_grad():
        for name, values in sizes.items():
            weight = model.get_submodule(name).weight
            scale = torch.tensor(values).repeat_interleave(len(weight) // 4).view(-1, 1, 1, 1)
            weight.copy_(torch.ones_like(weight) / weight[0].numel() ** 0.5 * scale)
        model.excite.weight.fill_(0.01)
    compressed = post_training(model, Recipe(4, 0.5, None, 8, pruning="filters"))
    for name in ("stem", "wide"):
        assert dead_filters(compressed, name) == [True, False, True, False]


class Ended(nn.Module):
    """A convolution of 4 filters on 3x3 pixels, then what is to be followed, then a linear layer."""

    def __init__(self, end: Callable[[Tensor], Tensor], positions: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.linear = nn.Linear(4 * positions, 3)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.end(torch.relu(self.conv(x))))


@pytest.mark.parametrize(
    ("end", "positions"),
    [
        (lambda x: x.view(-1, 36), 9),
        (lambda x: x.reshape((x.shape[0], 36)), 9),
        (lambda x: torch.reshape(x, (-1, 36)).view(-1, 36), 9),
        (lambda x: nn.functional.max_pool2d(x, 3).squeeze(-1).squeeze(-1), 1),
        (lambda x: torch.mean(x.mean(3), 2), 1),
        (lambda x: x.mean(-1, keepdim=True).mean(2).squeeze(2).view(-1, 4), 1),
        (lambda x: x[:, :, 0, 0], 1),
        (lambda x: x[:, :, 1:].flatten(1), 6),
        (lambda x: x.mean((2, 3)).div(2).mul(3).neg(), 1),
        (lambda x: x.flatten(start_dim=1, end_dim=-1), 9),
    ],
)
def test_channels_are_followed_however_their_positions_are_brought_together(
    end: Callable[[Tensor], Tensor], positions: int
) -> None:
    torch.manual_seed(0)
    compressed = post_training(Ended(end, positions), Recipe(4, 0.5, None, 8, pruning="filters"))
    assert compressed.module(torch.randn(2, 1, 3, 3)).shape == (2, 3)
    assert compressed.notes == ()
    dead = dead_filters(compressed, "conv")
    assert sum(dead) == 2
    columns = compressed.layers["linear"].weights().T
    assert [not column.any() for column in columns] == [filter for filter in dead for _ in range(positions)]


@pytest.mark.parametrize(
    ("end", "inputs"),
    [
        (lambda x: x.mean(1).flatten(1), 9),
        (lambda x: x.mean(3).flatten(0, 1).view(-1, 12), 12),
        (lambda x: x[:, 1:].flatten(1), 27),
        (lambda x: x[0].unsqueeze(0).flatten(1), 36),
        (lambda x: x.view(-1, 9).view(-1, 36), 36),
        (lambda x: nn.functional.pad(x.mean((2, 3)), (1, 1)), 6),
    ],
)
def test_channels_that_are_mixed_cut_or_moved_are_not_followed(end: Callable[[Tensor], Tensor], inputs: int) -> None:
    model = Ended(end, 1)
    model.linear = nn.Linear(inputs, 3)
    compressed = post_training(model, Recipe(4, 0.5, None, 8, pruning="filters"))
    assert compressed.module(torch.randn(1, 1, 3, 3)).shape[1] == 3
    assert not any(dead_filters(compressed, "conv"))
    assert compressed.notes[0].startswith("layer conv: keeps all its filters")


def test_a_rule_that_leaves_one_layer_out_is_told_of_all_that_are_pruned_with_it() -> None:
    rule = LayerRule("stem", final_sparsity=0.0)
    compressed = post_training(Residual(), Recipe(4, 0.5, None, 8, pruning="filters", layers=(rule,)))
    assert compressed.notes == tuple(
        f"layer {name}: loses 0% of its filters, not 50%: they are pruned together with those of stem"
        for name in ("wide", "depthwise", "excite")
    )


class SoftmaxModule(Concatenated):
    def __init__(self) -> None:
        super().__init__()
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.softmax(super().forward(x))


class SoftmaxFunction(Concatenated):
    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(super().forward(x), dim=1)


class SoftmaxInside(Concatenated):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.cat([self.few(x).softmax(1), self.many(x)], dim=1).mean((2, 3)))


@pytest.mark.parametrize("make", [SoftmaxModule, SoftmaxFunction])
def test_a_softmax_at_the_end_is_no_reason_to_keep_filters_that_would_be_kept_anyway(
    make: Callable[[], nn.Module],
) -> None:
    assert post_training(make(), Recipe(4, 0.5, None, 8, pruning="filters")).notes == ()


def test_a_layer_that_a_softmax_inside_the_network_reads_keeps_its_filters_and_says_so() -> None:
    compressed = post_training(SoftmaxInside(), Recipe(4, 0.5, None, 8, pruning="filters"))
    (told,) = [note for note in compressed.notes if "filters" in note]
    assert told.startswith("layer few: keeps all its filters")
    assert (sum(dead_filters(compressed, "few")), sum(dead_filters(compressed, "many"))) == (0, 3)


def test_a_network_that_cannot_be_traced_can_be_pruned_by_layers() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            return y if y.sum() > 0 else -y

    with pytest.raises(RecipeError, match=r'^pruning: "filters" follows .*use "layer"'):
        post_training(Branching(), Recipe(4, 0.5, 4, 4, pruning="filters"))
    post_training(Branching(), Recipe(4, 0.5, 4, 4))


def test_a_layer_whose_channels_cannot_be_followed_keeps_its_filters_and_says_so() -> None:
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 1)
            self.second = nn.Conv2d(4, 4, 1)
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).transpose(1, 2).transpose(1, 2)
            return self.linear(self.second(x).mean((2, 3)))

    compressed = post_training(Shuffled(), Recipe(4, 0.5, None, 8, pruning="filters"))
    assert compressed.notes == (
        "layer first: keeps all its filters: its channels cannot be removed from what reads them",
    )
    dead = {
        name: int(np.all(c.weights().reshape(len(c.codes), -1) == 0, 1).sum()) for name, c in compressed.layers.items()
    }
    assert dead == {"first": 0, "second": 2, "linear": 0}
