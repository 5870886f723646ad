"""VGG16 (Simonyan and Zisserman, arXiv:1409.1556, configuration D), with torchvision's names of parameters."""

from __future__ import annotations

from torch import Tensor, nn

from dccdka.models.convolutions import Size, initialise

# Table 1 of the paper: channels over those of the first layer, of the convolutions between pools.
_STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class Vgg16(nn.Module):
    """Thirteen 3x3 convolutions and five pools that halve the image, then three linear layers.

    The first linear layer takes what the pools leave of the image, 7x7 of 224x224; nothing stretches or shrinks it.
    """

    def __init__(self, *, width: int, channels: int, image: Size, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, hidden = channels, 64 * width
        for stage in _STAGES:
            for factor in stage:
                layers += [nn.Conv2d(inputs, factor * width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = factor * width
            layers.append(nn.MaxPool2d(2))
        height, columns = (size >> len(_STAGES) for size in image)
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(inputs * height * columns, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        return self.classifier(self.flatten(self.features(images)))  # type: ignore[no-any-return]  # untyped calls
