"""MobileNetV2 (Sandler et al., arXiv:1801.04381), with torchvision's names of parameters."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import conv_norm, divisible_by_8, initialise

# Table 2 of the paper: expansion, output channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection, around a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [conv_norm(inputs, hidden, 1, activation=nn.ReLU6)] if expansion != 1 else []
        layers += [
            conv_norm(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.keeps_shape else y


class MobileNetV2(nn.Module):
    """A 3x3 stem of stride 2, seventeen inverted residuals, a 1x1 convolution, global pool, dropout, linear.

    width: channels of the stem, 32 times the paper's width multiplier; all channels are rounded to multiples of 8, and
    the last convolution's shrink along below width 32, where the paper keeps 1280.
    """

    def __init__(self, *, width: int, channels: int, classes: int) -> None:
        super().__init__()
        multiplier = width / 32
        inputs, last = divisible_by_8(width), divisible_by_8(1280 * multiplier)
        features: list[nn.Module] = [conv_norm(channels, inputs, 3, stride=2, activation=nn.ReLU6)]
        for expansion, published, count, stride in _STAGES:
            outputs = divisible_by_8(published * multiplier)
            for i in range(count):
                features.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        features.append(conv_norm(inputs, last, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.pool(self.features(images)))  # type: ignore[no-any-return]  # untyped calls
