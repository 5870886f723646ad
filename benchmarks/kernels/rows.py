"""A row of the table: one model, recipe and core, measured."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.kernels import cortex_m4
from benchmarks.kernels.baselines import BASELINES, SOURCE
from benchmarks.kernels.cases import Case
from benchmarks.kernels.counting import Execution, execute
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import build

_CYCLES_OF = {"cortex-m4": cortex_m4.cycles}
_ANSWER = re.compile(rb"(\w+) (\d+)\n")  # see target/main.c


@dataclass(frozen=True)
class Row:
    """Of one inference. macs: of the dense network, whatever the recipe leaves out.

    modelled_cycles_per_mac: None where no timings of the core are published. code_bytes: of the runtime linked for the
    model, without it. stack_bytes: the most of loading and running. bit_exact: every output is the reference
    interpreter's, and the outputs differ.
    """

    model: str
    recipe: str
    core: str
    macs: int
    instructions: int
    instructions_per_mac: float
    modelled_cycles_per_mac: float | None
    code_bytes: int
    artifact_bytes: int
    arena_bytes: int
    stack_bytes: int
    bit_exact: bool

    def baseline(self) -> dict[str, float | str | None]:
        """The same figures of what is compared with; None where there is none."""
        known = BASELINES.get(self.model)
        instructions = known.instructions.get(self.core) if known else None
        return {
            "source": SOURCE if known else None,
            "instructions": instructions,
            "instructions_per_mac": instructions / self.macs if instructions else None,
            "code_bytes": known.code_bytes.get(self.core) if known else None,
            "artifact_bytes": known.artifact_bytes if known else None,
            "arena_bytes": known.arena_bytes if known else None,
        }

    def ratios(self) -> dict[str, float | None]:
        """This over the baseline: below 1 is better."""
        others = self.baseline()
        names = ("instructions", "code_bytes", "artifact_bytes", "arena_bytes")
        return {name: getattr(self, name) / other if isinstance(other := others[name], int) else None for name in names}

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "baseline": self.baseline(), "ratio": self.ratios()}


def measure(case: Case, core: str, plugin: Path, folder: Path) -> Row:
    """Build and run a case. folder: of this case and core alone. Raises KernelBenchmarkError."""
    program = build(core, case.artifact, case.inputs.tobytes(), folder)
    execution = execute(program, core, plugin, "dcc_model_run", "count_end", folder)
    stack_bytes, outputs = _answer(execution, case, core)
    cycles_of = _CYCLES_OF.get(core)
    differ = bool((case.expected[0] != case.expected[1:]).any())
    return Row(
        model=case.model,
        recipe=case.recipe,
        core=core,
        macs=case.macs,
        instructions=execution.instructions,
        instructions_per_mac=execution.instructions / case.macs,
        modelled_cycles_per_mac=cycles_of(program.instructions, execution.blocks) / case.macs if cycles_of else None,
        code_bytes=program.code_bytes,
        artifact_bytes=len(case.artifact),
        arena_bytes=case.arena_bytes,
        stack_bytes=stack_bytes,
        bit_exact=differ and outputs == case.expected.tobytes(),
    )


def _answer(execution: Execution, case: Case, core: str) -> tuple[int, bytes]:
    """The stack's bytes and the outputs."""
    line = _ANSWER.match(execution.output)
    if line is None or line[1] != b"ran":
        words = execution.output[:80]
        raise KernelBenchmarkError(f"{case.model} {case.recipe} on {core}: the program answered {words!r}")
    return int(line[2]), execution.output[line.end() :]
