"""Every network of dccdka.models: how large it is, what three recipes make of it, and which boards hold that.

The weights are untrained: random codes, as many clusters and zeros as the recipe says, so the sizes are those that
need no accuracy to be known. Every artifact runs in the C runtime, and its outputs are compared with the reference
interpreter's, byte by byte.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import host_runtime
from benchmarks.boards import MICROCONTROLLERS, RASPBERRY_PIS, CompilerError, fits_pi, runtime_footprint, verdict
from benchmarks.markdown import table
from dccdka.collaborative import CompressedModel, worst_case
from dccdka.datasets import Normalization
from dccdka.lowering import lower_all_channels
from dccdka.lowering.tracing import network_input
from dccdka.models import NETWORKS, build_model, multiply_accumulates, parameter_count
from dccdka.packing import pack, read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe

RECIPES = {
    "50%": Recipe(temperature=1, final_sparsity=0.5, clusters=64, bits=8),
    "80%": Recipe(temperature=1, final_sparsity=0.8, clusters=16, bits=8),
    "90%": Recipe(temperature=1, final_sparsity=0.9, clusters=8, bits=8),
}
NORMALIZATION = Normalization(zero=128, scale=1 / 64)
_IMAGES = 4  # calibrated with, and run on
_LEAST_VARIANCE = 0.01  # of a channel, beside the mean square of its layer
_PAGE = Path(__file__).parent / "zoo_page.md"


@dataclass(frozen=True)
class Compressed:
    """fits: a verdict (see boards.verdict) by microcontroller, and yes or no by Raspberry Pi."""

    artifact_bytes: int
    arena_bytes: int
    bit_exact: bool
    fits: dict[str, str]


@dataclass(frozen=True)
class Row:
    """input: (h, w, c). float_bytes: the parameters as float32. recipes: by their names in RECIPES."""

    name: str
    input: tuple[int, int, int]
    parameters: int
    multiply_accumulates: int
    float_bytes: int
    recipes: dict[str, Compressed]


def measure(name: str, recipes: dict[str, Recipe] = RECIPES) -> Row:
    """A network at its published size. Raises HostRuntimeError and CompilerError."""
    network = NETWORKS[name]
    torch.manual_seed(0)
    model = build_model(name, image_shape=network.image_shape, classes=network.classes).eval()
    channels, height, width = network.image_shape
    parameters = parameter_count(model)
    macs = multiply_accumulates(model, network.image_shape)
    images = patterns(network.image_shape, _IMAGES)
    driver = host_runtime.build()
    compressed = {}
    for label, recipe in recipes.items():
        artifact = untrained_artifact(model, recipe, images)
        compressed[label] = _compressed(artifact, is_bit_exact(driver, artifact, to_device_input(images)))
    return Row(name, (height, width, channels), parameters, macs, 4 * parameters, compressed)


def untrained_artifact(model: nn.Module, recipe: Recipe, images: NDArray[np.uint8]) -> bytes:
    """The artifact of random codes under the recipe, the largest that training can end with.

    Activations are calibrated on the images [n, c, h, w].
    """
    return pack(lower_all_channels(untrained(model, recipe, images), images, NORMALIZATION))


def untrained(model: nn.Module, recipe: Recipe, images: NDArray[np.uint8]) -> CompressedModel:
    """Random codes under the recipe, in a network whose outputs tell the images apart."""
    return _with_lively_activations(worst_case(model, recipe), images)


def patterns(image_shape: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    """Random images [n, c, h, w] that differ in more than noise, so that the networks' outputs differ."""
    generator = np.random.default_rng(0)
    channels, height, width = image_shape
    coarse = generator.integers(0, 256, (count, channels, 4, 4), dtype=np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return np.ascontiguousarray(coarse[:, :, rows][:, :, :, columns])


def is_bit_exact(driver: Path, artifact: bytes, inputs: NDArray[np.int8]) -> bool:
    """Whether the C runtime gives the reference interpreter's bytes for inputs [n, h, w, c] whose outputs differ."""
    expected = run_reference(read_artifact(artifact), inputs)
    differ = bool((expected[0] != expected[1:]).any())
    return differ and host_runtime.run(driver, artifact, inputs) == expected.tobytes()


@torch.no_grad()
def _with_lively_activations(compressed: CompressedModel, images: NDArray[np.uint8]) -> CompressedModel:
    """The same codes, but each layer's output has mean 0 and spread 1 over the images, as training would see to.

    Batch norm takes the images' statistics; a layer with a bias gets its scale and bias for it (Mishkin and Matas,
    arXiv:1511.06422). Without, random layers soon give the same for every image, and equal outputs would prove nothing.
    """
    layers = dict(compressed.layers)
    names = {compressed.module.get_submodule(name): name for name in layers}

    def normalise(layer: nn.Conv2d | nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if layer.bias is None:
            return None
        centred = output - (mean := output.mean((0, *range(2, output.dim())), keepdim=True))
        spread = float(centred.std())
        factor = 1 / spread if spread > 0 else 1.0  # 0: no live weight reaches so far
        name = names[layer]
        layers[name] = replace(layers[name], scale=layers[name].scale * factor)
        layer.weight.copy_(torch.from_numpy(layers[name].weights()))
        layer.bias.sub_(mean.flatten()).mul_(factor)
        return centred * factor

    def take_statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0]
        variance, mean = torch.var_mean(values, (0, *range(2, values.dim())))
        # Random weights leave channels that hardly vary; training would not blow them up.
        least = _LEAST_VARIANCE * float((variance + mean.square()).mean())
        norm.load_state_dict({"running_mean": mean, "running_var": variance.clamp(min=least)}, strict=False)

    norms = [module for module in compressed.module.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(normalise) for layer in names]
    hooks += [norm.register_forward_pre_hook(take_statistics) for norm in norms]
    compressed.module(network_input(images, NORMALIZATION, compressed.module))
    for hook in hooks:
        hook.remove()
    return replace(compressed, layers=layers)


def _compressed(artifact: bytes, bit_exact: bool) -> Compressed:
    arena_bytes = read_artifact(artifact).arena_bytes
    fits = {board.name: verdict(board, len(artifact), arena_bytes) for board in MICROCONTROLLERS}
    for name, memory in RASPBERRY_PIS.items():
        fits[name] = "yes" if fits_pi(memory, len(artifact), arena_bytes) else "no"
    return Compressed(len(artifact), arena_bytes, bit_exact, fits)


def as_markdown(rows: Sequence[Row]) -> str:
    """The page of the documentation: zoo_page.md with the table and the boards' figures filled in."""
    footprints = {core: runtime_footprint(core) for core in sorted({board.core for board in MICROCONTROLLERS})}
    parts = {
        "SIZES": [_sizes(rows)],
        "BOARDS": [_boards(rows)],
        "FOOTPRINTS": [f"- {core}: {size.code:,} and {size.stack:,} bytes" for core, size in footprints.items()],
        "MEMORIES": [
            f"- {board.name}: {_kb(board.flash)} flash, {_kb(board.printed_ram)} RAM in the paper; the largest piece "
            f"of RAM is {_kb(board.ram)} ({board.source})"
            for board in MICROCONTROLLERS
        ],
    }
    page = _PAGE.read_text()
    for place, lines in parts.items():
        page = page.replace(f"@{place}@", "\n".join(lines))
    return page.rstrip()


def _sizes(rows: Sequence[Row]) -> str:
    artifacts = [f"artifact {label}" for label in RECIPES]
    header = ["network", "input", "parameters", "MACs", "float", *artifacts, "arena", "bit exact"]
    return table(header, [_sizes_of(row) for row in rows])


def _sizes_of(row: Row) -> list[str]:
    results = row.recipes.values()
    numbers = [
        row.parameters,
        row.multiply_accumulates,
        row.float_bytes,
        *(result.artifact_bytes for result in results),
        max(result.arena_bytes for result in results),
    ]
    bit_exact = "yes" if all(result.bit_exact for result in results) else "NO"
    return [row.name, "x".join(map(str, row.input)), *(f"{number:,}" for number in numbers), bit_exact]


def _boards(rows: Sequence[Row]) -> str:
    boards = [board.name for board in MICROCONTROLLERS]
    cells = [[row.name, *(_fit(row, board) for board in boards), _pis(row)] for row in rows]
    return table(["network", *boards, "Raspberry Pis"], cells)


def _fit(row: Row, board: str) -> str:
    """The mildest recipe that fits; the one that would, had the board the RAM that is printed; or what is too small."""
    verdicts = {label: result.fits[board] for label, result in row.recipes.items()}
    for wanted, form in (("yes", "{}"), ("printed", "({})")):
        for label, verdict_ in verdicts.items():
            if verdict_ == wanted:
                return form.format(label)
    return f"no: {list(verdicts.values())[-1]}"


def _pis(row: Row) -> str:
    mildest = {
        pi: next((label for label, result in row.recipes.items() if result.fits[pi] == "yes"), "no")
        for pi in RASPBERRY_PIS
    }
    if len(set(mildest.values())) == 1:
        return f"all: {next(iter(mildest.values()))}"
    return ", ".join(f"{pi}: {label}" for pi, label in mildest.items())


def _kb(size: int) -> str:
    return f"{size // 1024} kB"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo",
        description=__doc__,
        epilog="examples: python -m benchmarks.zoo mlperf-ic mlperf-kws; python -m benchmarks.zoo --json resnet18",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; without any, all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list with one object for each network")
    form.add_argument("--markdown", action="store_true", help="the page docs/zoo.md")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    torch.set_num_threads(1)
    rows = []
    try:
        for name in options.names or NETWORKS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows.append(measure(name))
        if options.json:
            print(json.dumps([asdict(row) for row in rows], indent=2))
        else:
            print(as_markdown(rows) if options.markdown else f"{_sizes(rows)}\n\n{_boards(rows)}")
    except (host_runtime.HostRuntimeError, CompilerError) as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 1
    return 0 if all(result.bit_exact for row in rows for result in row.recipes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
