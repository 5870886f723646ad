"""What an artifact needs of the runtime, which is what a program for it links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
)
from dccdka.packing.artifact import Artifact
from dccdka.packing.choice import Encoding, Kernel

KIND_NAMES: Mapping[type[Operator], str] = {
    Convolution: "convolution",
    Add: "add",
    AveragePool: "average_pool",
    MaxPool: "max_pool",
    ReLU: "relu",
    Multiply: "multiply",
    Concatenate: "concatenate",
    Pad: "pad",
    Lookup: "lookup",
    Softmax: "softmax",
    ArgMax: "argmax",
}


@dataclass(frozen=True)
class RuntimeParts:
    """Kinds of operators by their names, convolution kernels and weight decoders, in the order of their numbers."""

    kinds: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    encodings: tuple[Encoding, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """What the artifact uses, and nothing else."""
        used = {type(operator) for operator in artifact.operators}
        choices = [choice for choice in artifact.choices if choice is not None]
        kernels = {choice.kernel for choice in choices}
        encodings = {choice.encoding for choice in choices} - {Encoding.RAW}  # which is not decoded
        return cls(
            kinds=tuple(name for kind, name in KIND_NAMES.items() if kind in used),
            kernels=tuple(kernel for kernel in Kernel if kernel in kernels),
            encodings=tuple(encoding for encoding in Encoding if encoding in encodings),
        )
