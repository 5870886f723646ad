"""The table of kernel costs that comes with the packer: measured in QEMU, layer by layer, and fitted.

Writes compression/dccdka/packing/kernel_costs/CORE.json. Cortex-M4: cycles by Arm's published timings of what is
executed (benchmarks/kernels/cortex_m4.py); cores without published timings: instructions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from benchmarks.host_runtime import REPOSITORY
from benchmarks.kernels.cases import case_of
from benchmarks.kernels.counting import MACHINES
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import BUILD, build_plugin
from benchmarks.kernels.rows import Row, measure
from dccdka.packing import costs as packer_costs
from dccdka.packing.costs import KernelCosts, Unit
from harness.farm.single_run import random_inputs
from harness.tune.cases import MicroBenchmark, micro_benchmarks
from harness.tune.fitting import Measured, fit_kernels
from harness.tune.report import as_tables

_TABLES = Path(packer_costs.__file__).parent / "kernel_costs"
_HOW = {
    "cycles": "what QEMU executed, priced by Arm's published timings without wait states",
    "instructions": "counted in QEMU, standing for time; memory and pipeline are not in them",
}


def measure_costs(core: str, unit: Unit) -> KernelCosts:
    """Raises KernelBenchmarkError, also for a layer that is computed wrong."""
    plugin = build_plugin()
    measured = []
    benchmarks = list(micro_benchmarks())
    for done, benchmark in enumerate(benchmarks):
        print(f"\r{done} of {len(benchmarks)} layers", end="", file=sys.stderr, flush=True)
        measured.append(Measured(benchmark.choice, benchmark.layer, _cost(benchmark, core, plugin, unit)))
    print(file=sys.stderr)
    source = f"python -m benchmarks.kernel_costs, {len(measured)} layers on a {core}: {_HOW[unit]}"
    return KernelCosts(unit, True, source, _runtime_hash(), fit_kernels(measured))


def _cost(benchmark: MicroBenchmark, core: str, plugin: Path, unit: Unit) -> float:
    macs = benchmark.layer.weights * benchmark.layer.pixels
    case = case_of(benchmark.name, "", macs, benchmark.artifact.data, random_inputs(benchmark.artifact, 2).inputs)
    row: Row = measure(case, core, plugin, BUILD / "costs" / core)
    if not row.bit_exact:
        raise KernelBenchmarkError(f"{benchmark.name} on {core}: the output is not the reference interpreter's")
    if unit == "instructions":
        return float(row.instructions)
    if row.modelled_cycles_per_mac is None:
        raise KernelBenchmarkError(f"{core}: no timings are published; take --unit instructions")
    return row.modelled_cycles_per_mac * macs


def _runtime_hash() -> str:
    """Of the sources that were measured, short: which runtime the table holds for."""
    runtime = REPOSITORY / "agents" / "runtime"
    sources = sorted(path for folder in ("include", "src") for path in (runtime / folder).glob("*.[ch]"))
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return f"runtime sources {digest[:12]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what the table says, and store it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernel_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m benchmarks.kernel_costs --core cortex-m4",
    )
    parser.add_argument("--core", choices=MACHINES, default="cortex-m4")
    parser.add_argument("--unit", choices=("cycles", "instructions"), default="cycles")
    parser.add_argument("--out", type=Path, help="instead of the packer's own table")
    options = parser.parse_args(arguments)
    out: Path = options.out or _TABLES / f"{options.core}.json"
    try:
        costs = measure_costs(options.core, options.unit)
        costs.store(out)
    except (KernelBenchmarkError, OSError) as error:
        print(f"kernel_costs: {error}", file=sys.stderr)
        return 1
    Console().print(as_tables(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
