"""What each kernel costs on a core, in time and in code; from this the packer estimates its choices.

Time is a table of costs per unit of work, fitted to measurements (`harness tune`). All is kept as JSON:

    {"unit": "instructions", "estimated": true, "source": "...", "runtime": "...",
     "code": {"runtime": 5764, "decoding": 320, "add": 276, ..., "general": 1744, ..., "indexed": 328, ...},
     "kernels": {"tile": {"costs": {"steps": 12.5, ...}, "measurements": 40, "typical_error": 0.01,
                          "largest_error": 0.04}, ...}}
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.parts import KIND_NAMES
from dccdka.packing.work import Layer, kinds_of_work, work

Unit = Literal["instructions", "seconds"]
_Part = TypeVar("_Part")

KINDS = tuple(name for name in KIND_NAMES.values() if name != "convolution")
DECODED = tuple(encoding for encoding in Encoding if encoding is not Encoding.RAW)
PACKAGED = Path(__file__).parent / "kernel_costs"
# Cores that run the same code have one table: Cortex-M with the DSP extension, Cortex-M without it, larger machines.
_FAMILIES = {
    "cortex-m4": ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"),
    "cortex-m3": ("cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m3", "cortex-m23"),
}
_OTHERS = "cortex-a53"
_DEFAULT = "cortex-m4"
_MOST_BYTES = 1 << 20


class CostsError(Exception):
    """A file is no table of costs; the message names the file and the field."""


@dataclass(frozen=True)
class KernelFit:
    """costs: of one unit of each kind of work (`kinds_of_work`), >= 0.

    measurements: how many it was fitted to; errors: |estimate / measured - 1|, median and largest. All three are 0
    where nothing was measured.
    """

    costs: Mapping[str, float]
    measurements: int = 0
    typical_error: float = 0.0
    largest_error: float = 0.0


@dataclass(frozen=True)
class CodeSizes:
    """Bytes of flash. runtime: what every model with a convolution links; the others: what a part adds to that.

    kinds: of operators, by name, without the convolution; decoding: what every model with coded weights links, whatever
    decodes them. 0 where code takes no room that counts, as on a machine with a file system. Some parts share more, so
    a sum of them is an estimate of what is linked, and rather too large.
    """

    runtime: int
    decoding: int
    kinds: Mapping[str, int]
    kernels: Mapping[Kernel, int]
    encodings: Mapping[Encoding, int]  # without RAW, which is not decoded

    def of(self, kernels: Collection[Kernel], encodings: Collection[Encoding], kinds: Collection[str] = ()) -> int:
        """Of a runtime with these; RAW and the convolution may be among them, and add nothing."""
        kernel_bytes, decoder_bytes = _linked(self.kernels, kernels), _linked(self.encodings, encodings)
        decoding = self.decoding if any(encoding in self.encodings for encoding in encodings) else 0
        return self.runtime + _linked(self.kinds, kinds) + kernel_bytes + decoding + decoder_bytes


@dataclass(frozen=True)
class KernelCosts:
    """estimated: whether a unit only stands for time, as an emulator's instructions do. source: how it came about.

    runtime: which build was measured, empty where none was.
    """

    unit: Unit
    estimated: bool
    source: str
    runtime: str
    code: CodeSizes
    kernels: Mapping[Kernel, KernelFit]

    def estimate(self, choice: KernelChoice, layer: Layer) -> float:
        """Of one inference of the layer, in `unit`."""
        costs = self.kernels[choice.kernel].costs
        return sum(costs[kind] * amount for kind, amount in work(choice, layer).items())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises CostsError."""
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
            if len(text) > _MOST_BYTES:
                raise CostsError(f"{path}: longer than {_MOST_BYTES} bytes; no table of kernel costs is")
            return cls.from_object(json.loads(text))
        except OSError as error:
            raise CostsError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise CostsError(f"{path}: is not JSON: {error}") from None
        except _WrongField as error:
            raise CostsError(f"{path}: {error}; make it anew: harness tune") from None

    def store(self, path: Path) -> None:
        """Whole or not at all. Raises OSError."""
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(json.dumps(self.as_object(), indent=2) + "\n")
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def as_object(self) -> dict[str, Any]:
        """What JSON holds of it; `from_object` takes it back."""
        kernels = {kernel.name.lower(): asdict(fit) for kernel, fit in self.kernels.items()}
        parts = {part.name.lower(): size for part, size in (*self.code.kernels.items(), *self.code.encodings.items())}
        code = {"runtime": self.code.runtime, "decoding": self.code.decoding, **self.code.kinds, **parts}
        return {**{name: getattr(self, name) for name in _FIELDS}, "code": code, "kernels": kernels}

    @classmethod
    def from_object(cls, value: object) -> Self:
        """Raises CostsError naming the field that is wrong."""
        table = _mapping(value, "file", (*_FIELDS, "code", "kernels"))
        if table["unit"] not in get_args(Unit):
            raise _WrongField(f"unit: must be one of {', '.join(get_args(Unit))}")
        if not isinstance(table["estimated"], bool):
            raise _WrongField("estimated: must be true or false")
        for name in ("source", "runtime"):
            if not isinstance(table[name], str):
                raise _WrongField(f"{name}: must be a text")
        kernels = _mapping(table["kernels"], "kernels", tuple(kernel.name.lower() for kernel in Kernel))
        fits = {kernel: _fit(kernels[kernel.name.lower()], kernel) for kernel in Kernel}
        return cls(**{name: table[name] for name in _FIELDS}, code=_code(table["code"]), kernels=fits)


@cache
def packaged_costs(core: str = _DEFAULT) -> KernelCosts:
    """The table that comes with the packer for the family of a core, which is named as compilers name it."""
    family = next((name for name, cores in _FAMILIES.items() if core in cores), _OTHERS)
    return KernelCosts.load(PACKAGED / f"{family}.json")


_FIELDS = ("unit", "estimated", "source", "runtime")
_ERRORS = ("typical_error", "largest_error")


class _WrongField(CostsError):
    pass


def _mapping(value: object, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongField(f"{where}: must be an object")
    for key in keys:
        if key not in value:
            raise _WrongField(f"{where}: {key!r} is missing")
    for key in value:
        if key not in keys:
            raise _WrongField(f"{where}: {key!r} is unknown")
    return value


def _code(value: object) -> CodeSizes:
    sizes = _mapping(
        value, "code", ("runtime", "decoding", *KINDS, *(part.name.lower() for part in (*Kernel, *DECODED)))
    )
    for name, size in sizes.items():
        _check_count(size, f"code.{name}")
    return CodeSizes(
        sizes["runtime"],
        sizes["decoding"],
        {kind: sizes[kind] for kind in KINDS},
        {kernel: sizes[kernel.name.lower()] for kernel in Kernel},
        {encoding: sizes[encoding.name.lower()] for encoding in DECODED},
    )


def _linked(sizes: Mapping[_Part, int], parts: Collection[_Part]) -> int:
    return sum(size for part, size in sizes.items() if part in parts)


def _check_count(value: object, where: str) -> None:
    if type(value) is not int or value < 0:
        raise _WrongField(f"{where}: must be a whole number that is not negative")


def _fit(value: object, kernel: Kernel) -> KernelFit:
    where = f"kernels.{kernel.name.lower()}"
    table = _mapping(value, where, ("costs", "measurements", *_ERRORS))
    costs = _mapping(table["costs"], f"{where}.costs", kinds_of_work(kernel))
    numbers = {f"costs.{kind}": cost for kind, cost in costs.items()} | {name: table[name] for name in _ERRORS}
    for name, number in numbers.items():
        # bool is an int, and json reads NaN and Infinity.
        if type(number) not in (int, float) or not math.isfinite(number) or number < 0:
            raise _WrongField(f"{where}.{name}: must be a number that is not negative")
    _check_count(table["measurements"], f"{where}.measurements")
    return KernelFit(costs, table["measurements"], table["typical_error"], table["largest_error"])
