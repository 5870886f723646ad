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


def raises_an_error(x):
    raise KeyError("of its own")


def relu_in_place_of_a_view(x):
    return x.flatten(1).relu_() + F.relu(x).flatten(1)


def relu_in_place_of_a_shared_value(x):
    return F.relu(x, inplace=True) + x


LINE = r"\(tests/dccdka/lowering/test_lowering_errors\.py:\d+\)"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            nn.Sequential(nn.Flatten(2), nn.LSTM(676, 4)),
            rf"module function\.1 {LINE}, a LSTM, has no integer form: use convolutions",
        ),
        (nn.Bilinear(26, 26, 4), f"module function {LINE}"),
        (
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(4, 4, 3)),
            rf"module function\.1 {LINE}, a ConvTranspose2d, .*pools",
        ),
        (nn.GroupNorm(2, 4), "a GroupNorm, has no integer form: .*use BatchNorm2d"),
        (nn.Upsample(scale_factor=2), "a Upsample, has no integer form: images only keep their size"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), f"module function {LINE}: padding_mode 'reflect'; use"),
        (nn.BatchNorm2d(4, track_running_stats=False), "keeps no statistics"),
        (nn.PReLU(4), r"a slope for each channel; use PReLU\(1\)"),
        (nn.MaxPool2d(2, dilation=2), f"module function {LINE}: dilation is not supported; use dilation=1"),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad=False with padding"),
        (nn.AvgPool2d(3, stride=2, ceil_mode=True), "ceil_mode with windows that leave the image"),
        (nn.AdaptiveAvgPool2d(7), "pools an image of 26 x 26 by parts that are not equal"),
        (nn.AdaptiveAvgPool2d(52), "use an output size that divides the image's"),
        (nn.ReflectionPad2d(1), "a ReflectionPad2d, has no integer form"),
        (nn.ConstantPad2d(1, 2.0), "pads with 2.0; pad with 0"),
        (nn.ZeroPad2d(-1), "crops by negative padding"),
        (nn.Linear(26, 4), "a linear layer takes flattened images"),
        (nn.Flatten(), "returns a flattened image"),
        (nn.LogSoftmax(1), "a LogSoftmax, has no integer form: leave it out"),
        (lambda x: F.log_softmax(x, 1), f"operator log_softmax {LINE} has no integer form: leave it out"),
        (lambda x: torch.cumsum(x, 1), f"operator cumsum {LINE} has no integer form: supported are Conv2d"),
        (lambda x: F.conv2d(x, torch.ones(4, 4, 1, 1)), "use the modules nn.Conv2d"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "pads with reflect; pad with 0"),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), "pads channels"),
        (lambda x: x / x.mean((2, 3), keepdim=True), "divides tensors by each other"),
        (lambda x: x + x.mean((2, 3), keepdim=True), r"adds tensors of shapes .*; supported are equal shapes"),
        (lambda x: x + F.channel_shuffle(x, 2), "adds tensors of one shape, one of them rearranged"),
        (lambda x: x.mean((2, 3))[:, [1, 0, 2, 3]], "returns .* its channels or pixels rearranged; end it"),
        (lambda x: F.channel_shuffle(x, 2), "returns .* its channels or pixels rearranged; end it"),
        (lambda x: x.unflatten(1, (2, 2)).transpose(0, 1), f"operator transpose {LINE}: moves values from one image"),
        (lambda x: x.view_as(x.abs()), "takes its shape from another tensor; write the sizes"),
        (lambda x: x.view(2, 4, 26, 26), f"operator view {LINE} fails on another number of images than 2"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), "makes a tensor without values"),
        (lambda x: x / 0, f"operator truediv {LINE}: its values are not finite"),
        (lambda x: F.pad(x.mean((2, 3)), (0, 2)), "pads channels"),
        (lambda x: x * x.mean(1, keepdim=True), "or over channels"),
        (lambda x: x * x.mean(2, keepdim=True), r"multiplies tensors of shapes .* by \(c, 1, 1\)"),
        (lambda x: x + torch.ones(26), r"combines with a constant of shape \(26,\)"),
        (lambda x: x.clamp(torch.zeros(26), None), "clamps by tensors"),
        (lambda x: x.mean(1), "or over channels"),
        (lambda x: x.mean(), "makes a tensor of shape"),
        (lambda x: x.mean((0, 2)), "keep the images apart"),
        (lambda x: x.sum(), "keep the images apart"),
        (lambda x: torch.cat((x, x), 2), r"along axis 2; only channels \(axis 1\)"),
        (lambda x: torch.cat((x.flatten(1), x.flatten(1)), 1), "joined, before they are flattened"),
        (lambda x: torch.cat((x, torch.ones(2, 4, 26, 26)), 1), "joins constants"),
        (lambda x: F.max_pool2d(x.transpose(2, 3), 2), r"takes an image \(c, h, w\) that is given .* rearranged"),
        (lambda x: F.max_pool2d(x.reshape(x.shape[0], 2, -1, 26), 2), "lowering moves no bytes"),
        (lambda x: x.chunk(2, 1)[0], f"operator chunk {LINE} has no integer form: compute the parts by layers"),
        (lambda x: torch.split(x, 2, 1)[0] + 1, "operator split"),
        (lambda x: x[:, :2], "operator getitem .*takes a part of a tensor"),
        (lambda x: x.max(1)[0], "operator max"),
        (lambda x: F.softmax(x, 2), "goes along axis 2; only the channels' axis"),
        (lambda x: x.argmax(1) + 1, "argmax is lowered at the end"),
        (lambda x: x.argmax(), "keep the images apart"),
        (lambda x: F.dropout(x), "drops values at inference; pass training=self.training"),
        (added_in_place, r"changes values in place .*write x = x \+ y for x \+= y"),
        (relu_in_place_of_a_view, "operator relu_ .*changes in place what others use too"),
        (relu_in_place_of_a_shared_value, "operator relu .*changes in place"),
        (lambda x: (x, x), "returns several values"),
        (lambda x: F.relu(x) if x.sum() > 0 else x, rf"Applies {LINE} cannot be traced: .*fixed control flow"),
        (raises_an_error, rf"Applies {LINE} cannot be traced: .*KeyError: 'of its own'"),
        (lambda x: x + torch.rand(1), "or draws random numbers"),
        (lambda x: F.relu(x) ** torch.sigmoid(x.mean((2, 3), keepdim=True)), "has one as exponent; use a number"),
        (lambda x: x @ torch.ones(3, 3), rf"operator matmul {LINE} fails on images of shape \(1, 28, 28\)"),
    ],
)
def test_unsupported_operators_are_named(function, message):
    compressed = post_training(Applies(function).eval(), RECIPE)
    with pytest.raises(LoweringError, match=message):
        lower(compressed, IMAGES, NORMALIZATION)


class Inner(nn.Module):
    def forward(self, x):
        return torch.cumsum(F.relu(x), 1)


def test_the_module_and_the_users_line_are_told():
    compressed = post_training(Applies(nn.Sequential(nn.ReLU(), Inner())).eval(), RECIPE)
    line = Inner.forward.__code__.co_firstlineno + 1
    message = rf"operator cumsum in module function\.1 \(tests/dccdka/lowering/test_lowering_errors\.py:{line}\)"
    with pytest.raises(LoweringError, match=message):
        lower(compressed, IMAGES, NORMALIZATION)


def test_of_torchs_own_lines_none_is_told():
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2))
    with pytest.raises(LoweringError, match=r"^module 1, a PixelShuffle, has"):
        lower(post_training(module.eval(), RECIPE), IMAGES, NORMALIZATION)


def test_all_unsupported_operators_are_listed_up_to_five():
    def function(x):
        for _ in range(7):
            x = torch.cumsum(torch.cat(torch.chunk(x, 2, 1), 1), 1)
        return x

    with pytest.raises(LoweringError) as caught:
        lower(post_training(Applies(function).eval(), RECIPE), IMAGES, NORMALIZATION)
    lines = str(caught.value).splitlines()
    assert [line.split()[1] for line in lines[:5]] == ["chunk", "cumsum", "chunk", "cumsum", "chunk"]
    assert lines[5:] == ["and 9 more"]


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
    with pytest.raises(LoweringError, match=f"module stem {LINE}: it was not compressed"):
        lower(replace(compressed_stem(), layers={}), IMAGES, NORMALIZATION)


def test_codes_that_are_not_the_weights_are_refused():
    compressed = compressed_stem()
    codes = compressed.layers["stem"]
    wrong = LayerCodes(codes.codes, codes.zero_point + 1, codes.scale)
    with pytest.raises(LoweringError, match=f"module stem {LINE}: its weights are not those of its codes"):
        lower(replace(compressed, layers={"stem": wrong}), IMAGES, NORMALIZATION)


def test_a_diverged_network_is_refused():
    compressed = compressed_stem()
    with torch.no_grad():
        compressed.module.stem.bias.fill_(float("nan"))
    with pytest.raises(LoweringError, match=f"module stem {LINE}: its values are not finite"):
        lower(compressed, IMAGES, NORMALIZATION)


@pytest.mark.parametrize("sample", [IMAGES.astype(np.float32) / 255, IMAGES[0], IMAGES[:, 0]])
def test_images_that_are_not_pixels_do_not_calibrate(sample):
    compressed = post_training(Applies(nn.ReLU()), RECIPE)
    with pytest.raises(LoweringError, match=r"must be pixels, uint8 \[n, c, h, w\], are"):
        lower(compressed, sample, NORMALIZATION)
