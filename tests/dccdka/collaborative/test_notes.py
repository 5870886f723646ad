"""What is told of a layer that is not what its recipe asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.collaborative import LayerCodes, post_training, worst_case
from dccdka.collaborative.notes import departure
from dccdka.recipe import LayerSettings, PruningMode, Recipe

from .compressing import network, zeros


def codes_of(counts: dict[int, int]) -> LayerCodes:
    """So many weights of each code; code 4 is zero."""
    return LayerCodes(np.repeat(list(counts), list(counts.values())).astype(np.uint8), 4, 0.1)


@pytest.mark.parametrize(
    ("pruned", "told"),
    [
        (30, "50% of its weights are zero, 30% were pruned: 3 clusters of 3 bits leave small weights no other value"),
        (39, "50% of its weights are zero, 39% were pruned: 3 clusters of 3 bits leave small weights no other value"),
        (40, None),
        (50, None),
    ],
)
def test_zeros_are_told_where_they_are_a_tenth_of_the_weights_above_those_pruned(pruned: int, told: str | None) -> None:
    codes = codes_of({0: 25, 4: 50, 7: 25})
    assert departure(codes, LayerSettings(pruned / 100, 3, 3), 100 - pruned) == told


def test_one_zero_too_many_is_not_told_of_the_smallest_layer() -> None:
    assert departure(codes_of({0: 1, 4: 1}), LayerSettings(0.0, None, 3), 2) is None
    told = departure(codes_of({0: 1, 4: 2}), LayerSettings(0.0, None, 3), 3)
    assert told == "67% of its weights are zero, 0% were pruned: 3 bits leave small weights no other value"


def test_clusters_are_told_where_fewer_than_half_are_used() -> None:
    codes = codes_of({0: 20, 2: 10, 4: 50, 6: 20})
    told = departure(codes, LayerSettings(0.5, 9, 4), 50)
    assert told == "uses 4 of 9 clusters: in 4 bits the others are the same values, or have no weights"
    assert departure(codes, LayerSettings(0.5, 8, 4), 50) is None
    assert departure(codes, LayerSettings(0.5, None, 4), 50) is None


def test_of_a_layer_of_which_more_could_be_told_only_the_cause_is() -> None:
    told = departure(codes_of({0: 1, 4: 9}), LayerSettings(0.5, 16, 4), 5)
    assert told == "its 5 live weights are too few for 16 clusters; has 6"


@pytest.mark.parametrize("pruning", ["layer", "global"])
def test_a_layer_whose_small_weights_become_zero_unasked_is_told_by_name(pruning: PruningMode) -> None:
    compressed = post_training(network(), Recipe(4, 0.3, 2, 3, pruning=pruning))
    weights = compressed.layers["6"].weights()
    (told,) = [note for note in compressed.notes if note.startswith("layer 6: ")]
    assert told.startswith(f"layer 6: {zeros(weights) / weights.size:.0%} of its weights are zero, ")
    assert len(compressed.notes) == len({note.partition(": ")[0] for note in compressed.notes})


def test_notes_of_filters_count_the_weights_that_pruned_filters_take_along() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 5))
    assert post_training(model, Recipe(4, 0.5, 32, 8, pruning="filters")).notes == ()


class OtherWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 4))
        self.up = nn.ConvTranspose2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.linear = nn.Linear(4, 3)


def test_weights_that_stay_float_are_told() -> None:
    others = "in float: only the weights of Conv1d, Conv2d and Linear layers are compressed"
    compressed = post_training(OtherWeights(), Recipe(4, 0.5, None, 8))
    assert list(compressed.layers) == ["attention.out_proj", "linear"]
    assert compressed.notes == (
        f"model: keeps its position {others}",
        f"layer up: keeps its weight {others}",
        f"layer attention: keeps its in_proj_weight {others}",
    )


def test_the_worst_case_tells_nothing_of_codes_that_it_does_not_have() -> None:
    model, recipe = network(), Recipe(4, 0.3, None, 2)
    nn.init.normal_(model.get_submodule("6").weight)
    (told,) = post_training(model, recipe).notes
    assert told.endswith("2 bits leave small weights no other value")
    assert worst_case(model, recipe).notes == ()
