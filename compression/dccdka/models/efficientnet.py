"""EfficientNet-B0 and B3 (Tan and Le, arXiv:1905.11946), with torchvision's names of parameters.

Stochastic depth, which only training knows, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from dccdka.models.convolutions import conv_norm, divisible_by_8, initialise


@dataclass(frozen=True)
class Scaling:
    """Compound scaling of Eq. 3: factors on the channels and on the blocks of a stage; share of dropout."""

    width: float
    depth: float
    dropout: float


# Coefficients of the authors' code (tensorflow/tpu, efficientnet_builder.py).
B0 = Scaling(width=1.0, depth=1.0, dropout=0.2)
B3 = Scaling(width=1.2, depth=1.4, dropout=0.3)

# Table 1 of the paper: expansion, kernel, stride of the first block, output channels, blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the means of all (Hu et al., arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return x * gate


class MBConv(nn.Module):
    """Expansion, depthwise convolution, squeeze-excite and linear projection, around a shortcut if the shape stays."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [conv_norm(inputs, hidden, 1, activation=nn.SiLU)] if expansion != 1 else []
        layers += [
            conv_norm(hidden, hidden, kernel, stride=stride, groups=hidden, activation=nn.SiLU),
            SqueezeExcite(hidden, max(1, inputs // 4)),
            conv_norm(hidden, outputs, 1, activation=None),
        ]
        self.block = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.keeps_shape else y


class EfficientNet(nn.Module):
    """A 3x3 stem of stride 2, seven stages of MBConv, a 1x1 convolution, global average pool, dropout, linear.

    width: channels of the stem (published: 32 in B0, 40 in B3); the others keep their proportion to it, rounded to
    multiples of 8.
    """

    def __init__(self, scaling: Scaling, *, width: int, channels: int, classes: int) -> None:
        super().__init__()
        factor = scaling.width * width / divisible_by_8(32 * scaling.width)
        inputs = divisible_by_8(32 * factor)
        features: list[nn.Module] = [conv_norm(channels, inputs, 3, stride=2, activation=nn.SiLU)]
        for expansion, kernel, first_stride, published, count in _STAGES:
            outputs = divisible_by_8(published * factor)
            stage: list[nn.Module] = []
            for i in range(math.ceil(count * scaling.depth)):
                stride = first_stride if i == 0 else 1
                stage.append(MBConv(inputs, outputs, kernel=kernel, stride=stride, expansion=expansion))
                inputs = outputs
            features.append(nn.Sequential(*stage))
        features.append(conv_norm(inputs, 4 * inputs, 1, activation=nn.SiLU))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(scaling.dropout), nn.Linear(4 * inputs, classes))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.flatten(self.avgpool(self.features(images))))  # type: ignore[no-any-return]  # untyped calls
