"""What one inference costs on Cortex-M3, M4 and M7, beside TensorFlow Lite Micro with CMSIS-NN.

The MLPerf Tiny networks (ic, kws, vww, ad), dense and compressed, with random weights, run in QEMU. Counts repeat
exactly. Beside each figure is the baseline's and the ratio; see benchmarks/kernels/baselines.py and, for the modelled
cycles, cortex_m4.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

import torch

from benchmarks.kernels.baselines import SOURCE
from benchmarks.kernels.cases import MODELS, RECIPES, make_case
from benchmarks.kernels.counting import MACHINES
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import BUILD, build_plugin
from benchmarks.kernels.rows import Row, measure
from benchmarks.markdown import table

_HEAD = [
    "model",
    "recipe",
    "core",
    "instructions",
    "per MAC",
    "cycles per MAC",
    "code",
    "artifact",
    "arena",
    "stack",
    "bit exact",
]


def measure_all(models: Sequence[str], recipes: Sequence[str], cores: Sequence[str]) -> Iterator[Row]:
    """One row after the other, as they are done. Raises KernelBenchmarkError."""
    plugin = build_plugin()
    for model in models:
        for recipe in recipes:
            case = make_case(model, recipe)
            folder = BUILD / "cases" / f"{model}-{list(RECIPES).index(recipe)}"
            for core in cores:
                yield measure(case, core, plugin, folder / core)


def as_table(rows: Sequence[Row]) -> str:
    """Each figure with, in brackets, the baseline's and the ratio to it."""
    return table(_HEAD, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    baseline, ratio = row.baseline(), row.ratios()

    def beside(name: str) -> str:
        value, other = getattr(row, name), baseline[name]
        return f"{value:,}" if other is None else f"{value:,} ({other:,}: {ratio[name]:.2f})"

    others = baseline["instructions_per_mac"]
    cycles = row.modelled_cycles_per_mac
    return [
        row.model,
        row.recipe,
        row.core,
        beside("instructions"),
        f"{row.instructions_per_mac:.2f}" + (f" ({others:.2f})" if others is not None else ""),
        "" if cycles is None else f"{cycles:.2f}",
        beside("code_bytes"),
        beside("artifact_bytes"),
        beside("arena_bytes"),
        f"{row.stack_bytes:,}",
        "yes" if row.bit_exact else "NO",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON, a row a line. The exit status is 1 when something fails or an output is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m benchmarks.kernels                                     all 48 rows\n"
        "  python -m benchmarks.kernels --models ic --recipes dense --cores cortex-m4\n"
        "  python -m benchmarks.kernels --json > kernels.jsonl              one JSON object a row",
    )
    for option, names in (("models", MODELS), ("recipes", RECIPES), ("cores", MACHINES)):
        # argparse formats help with %, which recipes have in their names.
        shown = ", ".join(names).replace("%", "%%")
        parser.add_argument(f"--{option}", nargs="+", metavar=option[:-1].upper(), help=f"of {shown}; default: all")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table: one object a row, as it is done")
    options = parser.parse_args(arguments)
    chosen = {}
    for option, names in (("models", MODELS), ("recipes", RECIPES), ("cores", MACHINES)):
        chosen[option] = getattr(options, option) or list(names)
        for name in chosen[option]:
            if name not in names:
                parser.error(f"--{option}: {name!r} is none of {', '.join(names)}")
    torch.set_num_threads(1)
    rows = []
    try:
        for row in measure_all(**chosen):
            rows.append(row)
            if options.json:
                print(json.dumps(row.as_json()), flush=True)
    except KernelBenchmarkError as error:
        print(f"kernels: {error}", file=sys.stderr)
        return 1
    if not options.json:
        print(f"{as_table(rows)}\n\nIn brackets: {SOURCE}, dense weights, and the ratio to it. Sizes in bytes.")
    return 0 if all(row.bit_exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
