"""What one inference costs on this machine and on a Raspberry Pi 3's Cortex-A53, beside onnxruntime's int8 kernels.

The MLPerf Tiny networks (ic, kws, vww, ad) with random weights; onnxruntime gets the same network as a QDQ model, on
one thread. Instructions are counted, on this machine by Valgrind (whose processor has AVX2, but no AVX-512), on the
Cortex-A53 by QEMU, onnxruntime's there only with --sysroot. Microseconds are the fewest on this machine's processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.host_runtime import HostRuntimeError, build
from benchmarks.hosts.emulated import Sysroot
from benchmarks.hosts.errors import HostBenchmarkError
from benchmarks.hosts.rows import Cost, Row, build_counter, measure
from benchmarks.kernels.cases import MODELS, RECIPES, make_case
from benchmarks.markdown import table

_HEAD = ["model", "recipe", "machine", "instructions", "per MAC", "onnxruntime", "ratio", "µs", "its", "ratio", "exact"]


def measure_all(models: Sequence[str], recipes: Sequence[str], sysroot: Path | None = None) -> Iterator[Row]:
    """One row after the other, as they are done. Raises HostBenchmarkError and HostRuntimeError."""
    emulated = Sysroot.at(sysroot) if sysroot else None
    driver = build()
    build_counter()
    with tempfile.TemporaryDirectory(prefix="dccdka-hosts-") as folder:
        for model in models:
            for recipe in recipes:
                yield from measure(make_case(model, recipe), driver, Path(folder), emulated)


def as_table(rows: Sequence[Row]) -> str:
    """Markdown; a figure that there is not stays empty."""
    return table(_HEAD, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    other = row.other or Cost(0, None)
    return [
        row.model,
        row.recipe,
        row.machine,
        f"{row.ours.instructions:,.0f}",
        f"{row.ours.instructions / row.macs:.2f}",
        f"{other.instructions:,.0f}" if row.other else "",
        _shown(row.instructions_ratio, ".2f"),
        _shown(row.ours.microseconds, ",.0f"),
        _shown(other.microseconds, ",.0f"),
        _shown(row.microseconds_ratio, ".2f"),
        "yes" if row.bit_exact else "NO",
    ]


def _shown(figure: float | None, form: str) -> str:
    return "" if figure is None else format(figure, form)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON, a row a line. The exit status is 1 when something fails or an output is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hosts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="default: all")
    # argparse formats help with %, which recipes have in their names.
    shown = ", ".join(RECIPES).replace("%", "%%")
    parser.add_argument("--recipes", nargs="+", default=["dense", "80%/16"], help=f"of {shown}; default: dense 80%%/16")
    parser.add_argument("--sysroot", type=Path, metavar="FOLDER", help="what benchmarks/hosts/sysroot.sh has fetched")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table: one object a row, as it is done")
    options = parser.parse_args(arguments)
    for recipe in options.recipes:
        if recipe not in RECIPES:
            parser.error(f"--recipes: {recipe!r} is none of {', '.join(RECIPES)}")
    torch.set_num_threads(1)
    rows = []
    try:
        for row in measure_all(options.models, options.recipes, options.sysroot):
            rows.append(row)
            if options.json:
                print(json.dumps(row.as_json()), flush=True)
    except (HostBenchmarkError, HostRuntimeError) as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1
    if not options.json:
        print(as_table(rows))
    return 0 if all(row.bit_exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
