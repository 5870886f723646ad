"""What an artifact needs of the runtime, as the table of C that makes the linker drop the rest."""

from __future__ import annotations

from dataclasses import dataclass

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

_KINDS: dict[type[Operator], str] = {
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
class OperatorTable:
    """Names of kinds of operators, convolution kernels and weight encodings, in the order of their numbers."""

    kinds: tuple[str, ...]
    kernels: tuple[str, ...]
    encodings: tuple[str, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> OperatorTable:
        """What the artifact uses, and nothing else."""
        used = {type(operator) for operator in artifact.operators}
        choices = [choice for choice in artifact.choices if choice is not None]
        kernels = {choice.kernel for choice in choices}
        encodings = {choice.encoding for choice in choices} - {Encoding.RAW}  # which is not decoded
        return cls(
            kinds=tuple(name for kind, name in _KINDS.items() if kind in used),
            kernels=tuple(kernel.name.lower() for kernel in Kernel if kernel in kernels),
            encodings=tuple(encoding.name.lower() for encoding in Encoding if encoding in encodings),
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of the runtime, that the table points to."""
        return tuple(symbol for _, entries in self._parts() for _, symbol in entries)

    def c_source(self, symbol: str) -> str:
        """The definition of a dcc_operators of this name; "operators.h" of the runtime is to be included before."""
        lines = [f"const dcc_operators {symbol} = {{"]
        for field, entries in self._parts():
            if entries:
                lines.append(f"    .{field} = {{")
                lines += [f"        [{index}] = &{entry}," for index, entry in entries]
                lines.append("    },")
        return "\n".join([*lines, "};", ""])

    def _parts(self) -> tuple[tuple[str, list[tuple[str, str]]], ...]:
        """Fields of dcc_operators with the index and the symbol of each entry."""
        parts = (
            ("kinds", "kind", self.kinds),
            ("kernels", "kernel", self.kernels),
            ("encodings", "encoding", self.encodings),
        )
        return tuple(
            (field, [(f"DCC_{name.upper()}", f"dcc_{prefix}_{name}") for name in names])
            for field, prefix, names in parts
        )
