"""DS-CNN for keyword spotting (Zhang et al., Hello Edge, arXiv:1711.07128), in the size of MLPerf Tiny."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import Size, initialise, same_conv, strided

_KERNEL = (10, 4)  # frames x coefficients


class DsCnn(nn.Module):
    """A 10x4 stem of stride 2, four depthwise separable blocks of the same width, global average pool, linear.

    Layers, dropout and padding (TensorFlow's "SAME") are those of MLPerf Tiny's reference (keyword spotting: width 64,
    images of 49 frames x 10 coefficients).
    """

    def __init__(self, *, width: int, channels: int, image: Size, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            same_conv(channels, width, _KERNEL, image=image, stride=2),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
        )
        self.blocks = nn.Sequential(*(_separable(width, strided(image, 2)) for _ in range(4)))
        self.classifier = nn.Sequential(
            nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.blocks(self.stem(images)))  # type: ignore[no-any-return]  # untyped calls


def _separable(width: int, image: Size) -> nn.Sequential:
    return nn.Sequential(
        same_conv(width, width, (3, 3), image=image, groups=width),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
