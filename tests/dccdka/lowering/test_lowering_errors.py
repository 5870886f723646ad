"""What cannot be lowered is refused by name, with what to use instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dccdka.collaborative import CompressedModel, LayerCodes, post_training
from dccdka.datasets import Normalization
from dccdka.lowering import LoweringError, lower
from dccdka.recipe import Recipe

IMAGES = np.arange(4 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(4, 1, 28, 28)
NORMALIZATION = Normalization(zero=128, scale=0.02)
RECIPE = Recipe(1, 0, 256, 8)


class Applies(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.function = function

    def forward(self, x):
        return self.function(self.stem(x))


def added_in_place(x):
    y = F.relu(x)
    before = y
    y += x
    return y + before


def relu_in_place_of_a_view(x):
    return x.flatten(1).relu_() + F.relu(x).flatten(1)


def relu_in_place_of_a_shared_value(x):
    return F.relu(x, inplace=True) + x


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (nn.Sigmoid(), r"module function is a Sigmoid: supported are Conv2d"),
        (nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(4, 4, 3)), r"module function\.1 is a ConvTranspose2d"),
        (nn.Conv2d(4, 4, 3, dilation=2), "module function: dilation is not supported; use a larger kernel"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "padding_mode 'reflect'; use 'zeros'"),
        (nn.Conv2d(4, 4, 2, padding="same"), "module function: padding 'same' with an even kernel"),
        (nn.BatchNorm2d(4, track_running_stats=False), "keeps no statistics"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), r"module function\.1: batch norm .* must directly follow"),
        (nn.MaxPool2d(2, ceil_mode=True), "module function: ceil_mode"),
        (nn.MaxPool2d(2, dilation=2), "module function: dilation"),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad=False with padding"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (nn.AdaptiveAvgPool2d(7), "output size 7; use 1, or AvgPool2d"),
        (nn.Linear(26, 4), "module function: a linear layer takes flattened images"),
        (nn.Flatten(), "returns a flattened image"),
        (torch.sigmoid, r"operator sigmoid \(node sigmoid\) has no integer form"),
        (lambda x: x * 2, "operator mul"),
        (lambda x: x + 1, "only sums of two tensors"),
        (lambda x: torch.add(x, x, alpha=2), "only sums of two tensors"),
        (lambda x: x + x.mean((2, 3), keepdim=True), "adds tensors of different shapes"),
        (lambda x: x.mean(1), r"mean over 1; only \(2, 3\)"),
        (lambda x: x.reshape(x.shape[0], 2, -1), r"only flattening to \(n, -1\)"),
        (lambda x: F.dropout(x), "drops values at inference; pass training=self.training"),
        (added_in_place, r"changes values in place .*; write x = x \+ y for x \+= y"),
        (relu_in_place_of_a_view, "operator relu_ .*changes in place what others use too"),
        (relu_in_place_of_a_shared_value, "operator relu .*changes in place"),
        (lambda x: (x, x), "returns several values"),
        (lambda x: F.relu(x) if x.sum() > 0 else x, "cannot be traced.*fixed control flow"),
        (lambda x: x @ torch.ones(3, 3), r"fails on images of shape \(1, 28, 28\)"),
    ],
)
def test_unsupported_operators_are_named(function, message):
    compressed = post_training(Applies(function).eval(), RECIPE)
    with pytest.raises(LoweringError, match=message):
        lower(compressed, IMAGES, NORMALIZATION)


def compressed_stem() -> CompressedModel:
    return post_training(Applies(nn.ReLU()).eval(), RECIPE)


def test_a_network_in_training_mode_is_refused():
    compressed = compressed_stem()
    compressed.module.train()
    with pytest.raises(LoweringError, match=r"training mode; call \.eval\(\)"):
        lower(compressed, IMAGES, NORMALIZATION)


def test_no_images_are_refused():
    with pytest.raises(LoweringError, match="no images"):
        lower(compressed_stem(), IMAGES[:0], NORMALIZATION)


def test_a_layer_without_codes_is_named():
    with pytest.raises(LoweringError, match="module stem: it was not compressed"):
        lower(replace(compressed_stem(), layers={}), IMAGES, NORMALIZATION)


def test_codes_that_are_not_the_weights_are_refused():
    compressed = compressed_stem()
    codes = compressed.layers["stem"]
    wrong = LayerCodes(codes.codes, codes.zero_point + 1, codes.scale)
    with pytest.raises(LoweringError, match="module stem: its weights are not those of its codes"):
        lower(replace(compressed, layers={"stem": wrong}), IMAGES, NORMALIZATION)


def test_a_diverged_network_is_refused():
    compressed = compressed_stem()
    with torch.no_grad():
        compressed.module.stem.bias.fill_(float("nan"))
    with pytest.raises(LoweringError, match="not finite"):
        lower(compressed, IMAGES, NORMALIZATION)
