"""What an artifact needs of the runtime, as the table of C that makes the linker drop the rest."""

from __future__ import annotations

from dataclasses import dataclass

from dccdka.packing.artifact import Artifact
from dccdka.packing.parts import RuntimeParts


@dataclass(frozen=True)
class OperatorTable:
    """Names of kinds of operators, convolution kernels and weight encodings, in the order of their numbers."""

    kinds: tuple[str, ...]
    kernels: tuple[str, ...]
    encodings: tuple[str, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> OperatorTable:
        """What the artifact uses, and nothing else."""
        parts = RuntimeParts.of(artifact)
        kernels, encodings = (tuple(part.name.lower() for part in of) for of in (parts.kernels, parts.encodings))
        return cls(parts.kinds, kernels, encodings)

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
