"""AlexNet in the one-tower form (Krizhevsky, arXiv:1404.5997), with torchvision's names of parameters."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import Size, initialise


class AlexNet(nn.Module):
    """Five convolutions with three max pools, then three linear layers.

    The first linear layer takes what the pools leave of the image, 6x6 of 224x224; nothing stretches or shrinks it.
    """

    def __init__(self, *, width: int, channels: int, image: Size, classes: int) -> None:
        super().__init__()
        hidden = 64 * width
        height, columns = (_after_pools(size) for size in image)
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 11, 4, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(width, 3 * width, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(3 * width, 6 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6 * width, 4 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(4 * width * height * columns, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.flatten(self.features(images)))  # type: ignore[no-any-return]  # untyped calls


def _after_pools(size: int) -> int:
    size = (size + 4 - 11) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size
