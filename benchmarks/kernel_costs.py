"""The tables of kernel costs that come with the packer: instructions counted in QEMU, layer by layer, and fitted.

Beside them the bytes of code that operators, kernels and decoders add, of the programs that are linked for Cortex-M.

Writes compression/dccdka/packing/kernel_costs/CORE.json, for Cortex-M cores (counted by the plugin of
benchmarks.kernels) and the Cortex-A53 (counted as for an emulated Raspberry Pi; needs `make firmware`).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.host_runtime import REPOSITORY
from benchmarks.kernels.cases import case_of
from benchmarks.kernels.counting import MACHINES
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import BUILD, build_plugin, link
from benchmarks.kernels.rows import measure
from dccdka.export.operator_table import OperatorTable
from dccdka.packing import run_reference
from dccdka.packing.choice import Encoding, Kernel
from dccdka.packing.costs import DECODED, KINDS, PACKAGED, CodeSizes, KernelCosts
from harness.emulators.instruction_counter import count_instructions
from harness.errors import HarnessError
from harness.farm.single_run import random_inputs
from harness.resources import build_dir
from harness.tune.cases import MicroBenchmark, micro_benchmarks
from harness.tune.fitting import Measured, fit_kernels
from harness.tune.report import as_tables

_A53 = "cortex-a53"
_INPUTS = 2
_NO_CODE = CodeSizes(0, 0, dict.fromkeys(KINDS, 0), dict.fromkeys(Kernel, 0), dict.fromkeys(DECODED, 0))
_Part = TypeVar("_Part")
_Counter = Callable[[MicroBenchmark, NDArray[np.int8]], int]


def measure_costs(core: str) -> KernelCosts:
    """Raises KernelBenchmarkError or HarnessError, also for a layer that is computed wrong."""
    count = _on_a53 if core == _A53 else _on_cortex_m(core)
    measured = []
    benchmarks = list(micro_benchmarks())
    for done, benchmark in enumerate(benchmarks):
        print(f"\r{core}: {done} of {len(benchmarks)} layers", end="", file=sys.stderr, flush=True)
        instructions = count(benchmark, random_inputs(benchmark.artifact, _INPUTS).inputs)
        measured.append(Measured(benchmark.choice, benchmark.layer, float(instructions)))
    print(file=sys.stderr)
    source = (
        f"python -m benchmarks.kernel_costs, {len(measured)} layers: instructions of an emulated {core}, standing for"
        " time; memory and pipeline are not in them"
    )
    code = _NO_CODE if core == _A53 else code_sizes(core)
    return KernelCosts("instructions", True, source, _runtime(), code, fit_kernels(measured))


def code_sizes(core: str) -> CodeSizes:
    """Of programs linked with nothing but convolutions and one part each, or two, which shows what they share.

    Raises KernelBenchmarkError.
    """

    def linked(kinds: Sequence[str] = (), kernels: Sequence[Kernel] = (), encodings: Sequence[Encoding] = ()) -> int:
        names = [tuple(part.name.lower() for part in parts) for parts in (kernels, encodings)]
        table = OperatorTable(("convolution", *kinds), *names)
        return link(core, table, b"", b"", BUILD / "costs" / core).code_bytes

    bare = linked()
    kernels = {kernel: linked(kernels=[kernel]) - bare for kernel in Kernel}
    decoders = {encoding: linked(encodings=[encoding]) - bare for encoding in DECODED}
    of_kernels = min(a + b + bare - linked(kernels=pair) for pair, (a, b) in _pairs(kernels))
    of_decoders = min(a + b + bare - linked(encodings=pair) for pair, (a, b) in _pairs(decoders))
    return CodeSizes(
        bare + of_kernels,
        of_decoders,
        {kind: linked(kinds=[kind]) - bare for kind in KINDS},
        {kernel: size - of_kernels for kernel, size in kernels.items()},
        {encoding: size - of_decoders for encoding, size in decoders.items()},
    )


def _pairs(sizes: Mapping[_Part, int]) -> Iterator[tuple[tuple[_Part, _Part], tuple[int, int]]]:
    """Of parts, and their sizes."""
    for one, other in itertools.combinations(sizes, 2):
        yield (one, other), (sizes[one], sizes[other])


def _on_cortex_m(core: str) -> _Counter:
    plugin = build_plugin()

    def count(benchmark: MicroBenchmark, inputs: NDArray[np.int8]) -> int:
        macs = benchmark.layer.weights * benchmark.layer.pixels
        case = case_of(benchmark.name, "one layer", macs, benchmark.artifact.data, inputs)
        row = measure(case, core, plugin, BUILD / "costs" / core)
        if not row.bit_exact:
            raise KernelBenchmarkError(f"{benchmark.name} on {core}: the output is not the reference interpreter's")
        return row.instructions

    return count


def _on_a53(benchmark: MicroBenchmark, inputs: NDArray[np.int8]) -> int:
    image = build_dir() / "counter" / "aarch64" / "counter.elf"
    counted = count_instructions(benchmark.artifact.data, inputs[0].tobytes(), image=image)
    if counted.output != run_reference(benchmark.artifact, inputs[:1]).tobytes():
        raise KernelBenchmarkError(f"{benchmark.name} on {_A53}: the output is not the reference interpreter's")
    return counted.instructions


def _runtime() -> str:
    """Of the sources that were measured, short: which runtime the table holds for."""
    runtime = REPOSITORY / "agents" / "runtime"
    sources = sorted(path for folder in ("include", "src") for path in (runtime / folder).glob("*.[ch]"))
    return f"sources {sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()[:12]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, store, and print what the table says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernel_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m benchmarks.kernel_costs                    all tables that the packer has\n"
        "  python -m benchmarks.kernel_costs --core cortex-m4",
    )
    packaged = sorted(path.stem for path in PACKAGED.glob("*.json"))
    parser.add_argument("--core", choices=(*MACHINES, _A53), help=f"default: {', '.join(packaged)}")
    options = parser.parse_args(arguments)
    for core in [options.core] if options.core else packaged:
        try:
            costs = measure_costs(core)
            costs.store(PACKAGED / f"{core}.json")
        except (KernelBenchmarkError, HarnessError, OSError) as error:
            print(f"\nkernel_costs: {error}", file=sys.stderr)
            return 1
        Console().print(as_tables(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
