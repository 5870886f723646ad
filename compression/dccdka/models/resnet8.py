"""ResNet-8 as in MLPerf Tiny (image classification), with a width, for any image size."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import Size, same_conv, strided


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes (He et al.).

    image: size of the input if TensorFlow's padding is wanted; None pads by 1 on all sides.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, image: Size | None = None) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        if image is not None:
            self.conv1 = same_conv(inputs, outputs, (3, 3), image=image, stride=stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))  # type: ignore[no-any-return]  # modules' calls are untyped


class ResNet8(nn.Module):
    """Stem and three blocks of width, 2 width and 4 width channels, global average pool, linear.

    A stem of stride 2, the default, takes a third of the time on 28x28 images for little accuracy. MLPerf Tiny's has
    width 16, stem_stride 1 and `image`, the size of the images, for TensorFlow's padding in the strided convolutions.
    """

    def __init__(
        self, *, width: int, channels: int, classes: int, stem_stride: int = 2, image: Size | None = None
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=stem_stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.stage1 = BasicBlock(width, width, stride=1)
        self.stage2 = BasicBlock(width, 2 * width, stride=2, image=image and strided(image, stem_stride))
        self.stage3 = BasicBlock(2 * width, 4 * width, stride=2, image=image and strided(image, 2 * stem_stride))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of normalised images [n, channels, h, w]."""
        x = self.relu(self.norm(self.conv(images)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.linear(self.flatten(self.pool(x)))  # type: ignore[no-any-return]  # modules' calls are untyped
