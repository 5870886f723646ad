"""MobileNetV1 (Howard et al., arXiv:1704.04861)."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import Size, initialise, same_conv, strided

# Table 1 of the paper: output channels over those of the stem, and stride, of each depthwise separable block.
_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *((16, 1),) * 5, (32, 2), (32, 1))


class MobileNetV1(nn.Module):
    """A 3x3 stem of stride 2, thirteen depthwise separable blocks with ReLU, global average pool, linear.

    width: channels of the stem, 32 times the paper's width multiplier. Padding is TensorFlow's "SAME", as in the
    authors' network and in MLPerf Tiny's (visual wake words: width 8).
    """

    def __init__(self, *, width: int, channels: int, image: Size, classes: int) -> None:
        super().__init__()
        layers = _conv_norm_relu(channels, width, 3, image, stride=2)
        image, inputs = strided(image, 2), width
        for factor, stride in _BLOCKS:
            layers += _conv_norm_relu(inputs, inputs, 3, image, stride=stride, groups=inputs)
            image = strided(image, stride)
            layers += _conv_norm_relu(inputs, factor * width, 1, image)
            inputs = factor * width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.features(images))  # type: ignore[no-any-return]  # modules' calls are untyped


def _conv_norm_relu(
    inputs: int, outputs: int, kernel: int, image: Size, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = same_conv(inputs, outputs, (kernel, kernel), image=image, stride=stride, groups=groups)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
