"""The fully connected autoencoder of DCASE 2020 Task 2 (Koizumi et al.), which MLPerf Tiny uses to detect anomalies."""

from __future__ import annotations

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Four hidden layers, a bottleneck, four hidden layers, each with batch norm and ReLU, and a linear output.

    The output has as many values as the input; how far it is from the input is the anomaly. Inputs of any shape are
    flattened (MLPerf Tiny: five frames of 128 mel bands).
    """

    def __init__(self, *, values: int, width: int, bottleneck: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = values
        for outputs in (*(width,) * 4, bottleneck, *(width,) * 4):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, values))

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruction [n, values] of what has that many values in all but its first dimension."""
        return self.layers(images)  # type: ignore[no-any-return]  # modules' calls are untyped
