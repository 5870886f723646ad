"""What an artifact's bytes are spent on, and how few its weights could take."""

from __future__ import annotations

from dataclasses import dataclass

from dccdka.lowering.graph import Convolution
from dccdka.packing.artifact import Artifact
from dccdka.packing.choice import KernelChoice
from dccdka.packing.encoding.counting import stream_entropy


@dataclass(frozen=True)
class LayerSizes:
    """Of one convolution, in bytes.

    entropy: zero-order, of its weights, zeros being a symbol: what no code of single weights goes below, tables aside.
    tables: codebook and frequencies.
    """

    operator: int
    choice: KernelChoice
    weights: int
    entropy: float
    stream: int
    tables: int
    channels: int
    padding: int


@dataclass(frozen=True)
class ArtifactSizes:
    """In bytes. records: header, tensors, and the fields of operators, with the tables of lookup and softmax."""

    total: int
    layers: tuple[LayerSizes, ...]

    @property
    def entropy(self) -> float:
        return sum(layer.entropy for layer in self.layers)

    @property
    def stream(self) -> int:
        return sum(layer.stream for layer in self.layers)

    @property
    def tables(self) -> int:
        return sum(layer.tables for layer in self.layers)

    @property
    def channels(self) -> int:
        return sum(layer.channels for layer in self.layers)

    @property
    def padding(self) -> int:
        return sum(layer.padding for layer in self.layers)

    @property
    def records(self) -> int:
        return self.total - self.stream - self.tables - self.channels - self.padding

    @property
    def overhead(self) -> float:
        """The share by which the artifact is larger than the entropy of its weights; infinite where that is 0."""
        return self.total / self.entropy - 1 if self.entropy else float("inf")


def artifact_sizes(artifact: Artifact) -> ArtifactSizes:
    """All of its bytes, accounted for."""
    layers = tuple(
        LayerSizes(
            operator=i,
            choice=stored.choice,
            weights=operator.codes.size,
            entropy=stream_entropy(operator.codes, operator.weight_zero_point) / 8,
            stream=stored.stream_bytes,
            tables=stored.table_bytes,
            channels=stored.channel_bytes,
            padding=stored.padding_bytes,
        )
        for i, (operator, stored) in enumerate(zip(artifact.operators, artifact.stored, strict=True))
        if isinstance(operator, Convolution) and stored is not None
    )
    return ArtifactSizes(len(artifact.data), layers)
