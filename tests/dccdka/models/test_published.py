"""The networks are the published ones: parameters, multiply-accumulates and torchvision's names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dccdka.models import NETWORKS, build_model, multiply_accumulates, parameter_count


def published(name: str) -> nn.Module:
    """Of shapes alone, so that the largest take no time and no memory."""
    network = NETWORKS[name]
    with torch.device("meta"):
        return build_model(name, image_shape=network.image_shape, classes=network.classes)


# torchvision: its table of classification weights, docs.pytorch.org/vision/stable/models.html ("Params", "num_params").
# Keras: keras.applications.MobileNet, trainable parameters of its summary. LeNet-5: Dive into Deep Learning, 7.6.
PARAMETERS = {
    "lenet5": 61_706,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenetv1": 4_231_976,
    "mobilenetv2": 3_504_872,
    "vgg16": 138_357_544,
    "alexnet": 61_100_840,
    "efficientnet-b0": 5_288_548,
    "efficientnet-b3": 12_233_232,
}


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameters_are_the_published_ones(name: str, parameters: int) -> None:
    assert parameter_count(published(name)) == parameters


# "Total params" of the Keras summaries of mlcommons/tiny's reference models. They include batch norm's statistics and
# the convolutions' biases, which batch norm makes useless.
MLPERF_TINY_PARAMETERS = {"mlperf-ic": 78_666, "mlperf-kws": 24_908, "mlperf-vww": 221_794, "mlperf-ad": 269_992}


@pytest.mark.parametrize(("name", "parameters"), MLPERF_TINY_PARAMETERS.items())
def test_parameters_of_mlperf_tiny_are_the_references(name: str, parameters: int) -> None:
    model = published(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    unbiased = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.bias is None]
    statistics = sum(2 * module.num_features for module in norms)
    biases = sum(module.out_channels for module in unbiased)
    assert parameter_count(model) + statistics + biases == parameters


# MLPerf Tiny: Banbury et al., arXiv:2106.07597, and TensorFlow Lite's counts of the reference models.
MULTIPLY_ACCUMULATES = {
    "mlperf-ic": 12_501_632,
    "mlperf-kws": 2_656_768,
    "mlperf-vww": 7_489_664,
    "mlperf-ad": 264_192,
}


@pytest.mark.parametrize(("name", "expected"), MULTIPLY_ACCUMULATES.items())
def test_multiply_accumulates_of_mlperf_tiny_are_exact(name: str, expected: int) -> None:
    assert multiply_accumulates(published(name), NETWORKS[name].image_shape) == expected


# torchvision's table ("GFLOPS", which counts a multiply-accumulate once); MobileNetV1: Howard et al., Table 4.
BILLIONS = {
    "resnet18": 1.814,
    "resnet50": 4.089,
    "mobilenetv1": 0.569,
    "mobilenetv2": 0.301,
    "vgg16": 15.470,
    "alexnet": 0.714,
    "efficientnet-b0": 0.386,
    "efficientnet-b3": 1.827,
}


@pytest.mark.parametrize(("name", "billions"), BILLIONS.items())
def test_multiply_accumulates_agree_with_published_figures(name: str, billions: float) -> None:
    assert round(multiply_accumulates(published(name), NETWORKS[name].image_shape) / 1e9, 3) == billions


def test_convolutions_of_sequences_are_counted() -> None:
    model = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5, padding=2))
    assert multiply_accumulates(model, (3, 2, 6)) == 12 * 4 * 3 * 5


def test_counting_leaves_the_model_as_it_was() -> None:
    model = build_model("mobilenetv2", width=8, image_shape=(3, 32, 32), classes=4)
    model.features.eval()  # type: ignore[union-attr]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    multiply_accumulates(model, (3, 32, 32))
    assert model.training
    assert not model.features.training  # type: ignore[union-attr]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


# How many entries torchvision's state_dict has, and some of their names and shapes.
TORCHVISION = {
    "resnet18": (122, {"layer2.0.downsample.0.weight": (128, 64, 1, 1), "fc.bias": (1000,)}),
    "resnet50": (320, {"layer4.2.conv3.weight": (2048, 512, 1, 1), "layer1.0.downsample.1.running_var": (256,)}),
    "mobilenetv2": (314, {"features.2.conv.1.0.weight": (96, 1, 3, 3), "features.18.1.bias": (1280,)}),
    "vgg16": (32, {"features.28.weight": (512, 512, 3, 3), "classifier.6.weight": (1000, 4096)}),
    "alexnet": (16, {"features.10.weight": (256, 256, 3, 3), "classifier.1.weight": (4096, 9216)}),
    "efficientnet-b0": (360, {"features.1.0.block.1.fc1.weight": (8, 32, 1, 1), "features.8.1.weight": (1280,)}),
    "efficientnet-b3": (574, {"features.7.1.block.2.fc2.weight": (2304, 96, 1, 1), "classifier.1.bias": (1000,)}),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_weights_would_load(name: str) -> None:
    entries, some = TORCHVISION[name]
    state = published(name).state_dict()
    assert len(state) == entries
    assert {key: tuple(state[key].shape) for key in some} == some
