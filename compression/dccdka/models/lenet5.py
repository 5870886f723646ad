"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998)."""

from __future__ import annotations

from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two 5x5 convolutions with average pools, then three linear layers; tanh between them.

    The variant that is usual today: the second convolution sees all maps of the first, pools have no weights, and the
    last layer is linear. Images below 32 rows or columns get the two pixels of border that the paper gave its digits,
    so 28x28 and 32x32 images make 61,706 parameters alike.
    """

    def __init__(self, *, width: int, channels: int, image: tuple[int, int], classes: int) -> None:
        super().__init__()
        padding = (2 if image[0] < 32 else 0, 2 if image[1] < 32 else 0)
        height, columns = (self._after_convolutions(size) for size in image)
        second, third, fourth = (round(published * width / 6) for published in (16, 120, 84))
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=padding),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(width, second, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(second * height * columns, third),
            nn.Tanh(),
            nn.Linear(third, fourth),
            nn.Tanh(),
            nn.Linear(fourth, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.features(images))  # type: ignore[no-any-return]  # modules' calls are untyped

    @staticmethod
    def _after_convolutions(size: int) -> int:
        first = size if size < 32 else size - 4
        return (first // 2 - 4) // 2
