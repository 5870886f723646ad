"""The networks by name: their published shapes, and how each is built for other images, widths and classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dccdka.models.alexnet import AlexNet
from dccdka.models.autoencoder import Autoencoder
from dccdka.models.ds_cnn import DsCnn
from dccdka.models.efficientnet import B0, B3, EfficientNet
from dccdka.models.lenet5 import LeNet5
from dccdka.models.mobilenetv1 import MobileNetV1
from dccdka.models.mobilenetv2 import MobileNetV2
from dccdka.models.resnet import BasicBlock, Bottleneck, ResNet
from dccdka.models.resnet8 import ResNet8
from dccdka.models.vgg16 import Vgg16

ImageShape = tuple[int, int, int]  # channels, height, width
Build = Callable[[int, ImageShape, int], nn.Module]  # of width, image shape, classes


@dataclass(frozen=True)
class Network:
    """A family as published; a `fixed` one, a benchmark's, is built in no other way.

    width: channels of the first layer; all others keep their proportion to it. smallest_side: rows and columns that an
    image must have. similar: what to use instead where this one does not fit.
    """

    build: Build
    width: int
    image_shape: ImageShape
    classes: int
    smallest_side: int = 1
    similar: str = "resnet8"
    fixed: bool = False


def _resnet8(width: int, image: ImageShape, classes: int) -> nn.Module:
    return ResNet8(width=width, channels=image[0], classes=classes)


def _mlperf_ic(width: int, image: ImageShape, classes: int) -> nn.Module:
    return ResNet8(width=width, channels=image[0], classes=classes, stem_stride=1, image=image[1:])


def _resnet18(width: int, image: ImageShape, classes: int) -> nn.Module:
    return ResNet(BasicBlock, (2, 2, 2, 2), width=width, channels=image[0], classes=classes)


def _resnet50(width: int, image: ImageShape, classes: int) -> nn.Module:
    return ResNet(Bottleneck, (3, 4, 6, 3), width=width, channels=image[0], classes=classes)


def _lenet5(width: int, image: ImageShape, classes: int) -> nn.Module:
    return LeNet5(width=width, channels=image[0], image=image[1:], classes=classes)


def _mobilenetv1(width: int, image: ImageShape, classes: int) -> nn.Module:
    return MobileNetV1(width=width, channels=image[0], image=image[1:], classes=classes)


def _mobilenetv2(width: int, image: ImageShape, classes: int) -> nn.Module:
    return MobileNetV2(width=width, channels=image[0], classes=classes)


def _ds_cnn(width: int, image: ImageShape, classes: int) -> nn.Module:
    return DsCnn(width=width, channels=image[0], image=image[1:], classes=classes)


def _vgg16(width: int, image: ImageShape, classes: int) -> nn.Module:
    return Vgg16(width=width, channels=image[0], image=image[1:], classes=classes)


def _alexnet(width: int, image: ImageShape, classes: int) -> nn.Module:
    return AlexNet(width=width, channels=image[0], image=image[1:], classes=classes)


def _efficientnet_b0(width: int, image: ImageShape, classes: int) -> nn.Module:
    return EfficientNet(B0, width=width, channels=image[0], classes=classes)


def _efficientnet_b3(width: int, image: ImageShape, classes: int) -> nn.Module:
    return EfficientNet(B3, width=width, channels=image[0], classes=classes)


def _mlperf_ad(width: int, image: ImageShape, classes: int) -> nn.Module:
    return Autoencoder(values=classes, width=width, bottleneck=8)


NETWORKS: dict[str, Network] = {
    "lenet5": Network(_lenet5, 6, (1, 28, 28), 10, smallest_side=12),
    "resnet8": Network(_resnet8, 16, (3, 32, 32), 10),
    "resnet18": Network(_resnet18, 64, (3, 224, 224), 1000),
    "resnet50": Network(_resnet50, 64, (3, 224, 224), 1000),
    "mobilenetv1": Network(_mobilenetv1, 32, (3, 224, 224), 1000),
    "mobilenetv2": Network(_mobilenetv2, 32, (3, 224, 224), 1000),
    "ds-cnn": Network(_ds_cnn, 64, (1, 49, 10), 12),
    "vgg16": Network(_vgg16, 64, (3, 224, 224), 1000, smallest_side=32),
    "alexnet": Network(_alexnet, 64, (3, 224, 224), 1000, smallest_side=63),
    "efficientnet-b0": Network(_efficientnet_b0, 32, (3, 224, 224), 1000),
    "efficientnet-b3": Network(_efficientnet_b3, 40, (3, 300, 300), 1000),
    "mlperf-ic": Network(_mlperf_ic, 16, (3, 32, 32), 10, similar="resnet8", fixed=True),
    "mlperf-kws": Network(_ds_cnn, 64, (1, 49, 10), 12, similar="ds-cnn", fixed=True),
    "mlperf-vww": Network(_mobilenetv1, 8, (3, 96, 96), 2, similar="mobilenetv1", fixed=True),
    "mlperf-ad": Network(_mlperf_ad, 128, (1, 5, 128), 640, similar="module:function", fixed=True),
}
