"""Tables of kernel costs: what they estimate, and what a file may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dccdka.lowering.graph import POINT, Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import DECODED, KINDS, CodeSizes, CostsError, KernelCosts, KernelFit, packaged_costs
from dccdka.packing.kernels import Shape
from dccdka.packing.work import Layer, kinds_of_work

LAYER = Layer(Shape((4, 4, 8), (4, 4, 6), POINT, 1, flatten=False), nonzeros=20, entries=15)


def table(**tile: float) -> KernelCosts:
    fits = {kernel: KernelFit(dict.fromkeys(kinds_of_work(kernel), 0.0)) for kernel in Kernel}
    fits[Kernel.TILE] = KernelFit({**fits[Kernel.TILE].costs, **tile}, 3, 0.01, 0.02)
    code = CodeSizes(
        1000, 5, dict.fromkeys(KINDS, 30), dict.fromkeys(Kernel, 100) | {Kernel.TILE: 200}, dict.fromkeys(DECODED, 10)
    )
    return KernelCosts("seconds", True, "a test", "none", code, fits)


def test_an_estimate_is_the_sum_of_what_is_done_times_what_it_costs() -> None:
    costs = table(steps=2.0, channels=10.0)
    steps = 4 * 3 * 4  # 16 pixels in tiles of 4, 3 pairs of filters, 8 channels two at a time
    assert costs.estimate(KernelChoice(Kernel.TILE, Encoding.RAW, 6), LAYER) == 2.0 * steps + 10.0 * 6


def test_code_is_the_runtime_and_its_parts() -> None:
    code = table().code
    assert code.of((), (Encoding.RAW,)) == 1000
    assert code.of((Kernel.TILE, Kernel.BAND), (Encoding.RAW, Encoding.CODED, Encoding.INDEXED)) == 1325
    assert code.of((), (), ("convolution", "add", "softmax")) == 1060


def test_a_stored_table_is_read_back(tmp_path: Path) -> None:
    costs = table(tiles=1.5)
    costs.store(tmp_path / "costs.json")
    assert KernelCosts.load(tmp_path / "costs.json") == costs
    assert [path.name for path in tmp_path.iterdir()] == ["costs.json"]


def test_a_table_that_cannot_be_stored_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.json"
    table().store(path)
    before = path.read_bytes()

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table(tiles=9.0).store(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["costs.json"]


def _drop(*keys: str) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        del value[keys[-1]]

    return change


def _put(new: object, *keys: str) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        value[keys[-1]] = new

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop("unit"), "'unit' is missing"),
        (_put("parsecs", "unit"), "unit: must be one of"),
        (_put("yes", "estimated"), "estimated"),
        (_put(3, "source"), "source: must be a text"),
        (_put({}, "surprise"), "'surprise' is unknown"),
        (_drop("code"), "'code' is missing"),
        (_drop("code", "coded"), "code: 'coded' is missing"),
        (_put(0, "code", "raw"), "code: 'raw' is unknown"),
        (_put(-1, "code", "runtime"), "code.runtime: must be a whole number"),
        (_put(1.5, "code", "band"), "code.band: must be a whole number"),
        (_drop("kernels", "band"), "kernels: 'band' is missing"),
        (_put([], "kernels", "band"), "kernels.band: must be an object"),
        (_drop("kernels", "tile", "costs", "steps"), "kernels.tile.costs: 'steps' is missing"),
        (_put(-1.0, "kernels", "tile", "costs", "steps"), "kernels.tile.costs.steps"),
        (_put(float("nan"), "kernels", "tile", "costs", "steps"), "kernels.tile.costs.steps"),
        (_put(True, "kernels", "tile", "costs", "steps"), "kernels.tile.costs.steps"),
        (_put(float("inf"), "kernels", "vector", "largest_error"), "kernels.vector.largest_error"),
        (_put(1.5, "kernels", "vector", "measurements"), "kernels.vector.measurements"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, change: Callable[[Any], None], words: str) -> None:
    value = table().as_object()
    change(value)
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(value))
    with pytest.raises(CostsError) as refused:
        KernelCosts.load(path)
    assert words in str(refused.value) and "wrong.json" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b" " * (1 << 20) + b"[]", "longer than"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "wrong.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CostsError, match=words):
        KernelCosts.load(path)


def test_every_core_has_a_table() -> None:
    assert packaged_costs("cortex-m7") == packaged_costs("cortex-m4") == packaged_costs()
    assert packaged_costs("cortex-m0plus") == packaged_costs("cortex-m3") != packaged_costs()
    assert packaged_costs("unknown") == packaged_costs("cortex-a53") != packaged_costs()


def test_the_packaged_table_takes_dense_layers_for_tiles_and_sparse_ones_for_bands() -> None:
    costs = packaged_costs()

    def cheaper(nonzeros: float) -> Kernel:
        weights = 9 * 32 * 32
        shape = Shape((16, 16, 32), (16, 16, 32), Window((3, 3), (1, 1), (1, 1)), 1, flatten=False)
        pairs = round((1 - (1 - nonzeros) ** 2) * weights / 2)
        layer = Layer(shape, nonzeros=round(nonzeros * weights), entries=pairs)
        tile = costs.estimate(KernelChoice(Kernel.TILE, Encoding.RAW, 32), layer)
        band = costs.estimate(KernelChoice(Kernel.BAND, Encoding.CODED, 16, 4), layer)
        return Kernel.TILE if tile < band else Kernel.BAND

    assert cheaper(1.0) is Kernel.TILE
    assert cheaper(0.1) is Kernel.BAND
