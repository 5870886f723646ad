"""The table of the zoo: its figures, its verdicts, and how it is asked for."""

from __future__ import annotations

import json
import re
from math import log2

import pytest

from benchmarks import boards, zoo
from benchmarks.boards import MICROCONTROLLERS, Footprint, Microcontroller, verdict
from dccdka.models import NETWORKS

KB = 1024


@pytest.fixture(scope="module")
def autoencoder() -> zoo.Row:
    return zoo.measure("mlperf-ad")


def test_a_row_has_the_networks_sizes_and_bit_exact_artifacts(autoencoder: zoo.Row) -> None:
    assert autoencoder.input == (5, 128, 1)
    assert autoencoder.multiply_accumulates == 264_192
    assert autoencoder.float_bytes == 4 * autoencoder.parameters
    assert all(result.bit_exact for result in autoencoder.recipes.values())
    # 264,192 weights: the entropy of which are not zero, and which of 63, 15 or 7 values those have; then the rest.
    for result, (nonzero, values) in zip(autoencoder.recipes.values(), ((0.5, 63), (0.2, 15), (0.1, 7)), strict=True):
        zero = 1 - nonzero
        bits = -zero * log2(zero) - nonzero * log2(nonzero) + nonzero * log2(values)
        weights = 264_192 * bits / 8
        assert weights < result.artifact_bytes < weights + 30_000


def test_a_wrong_output_is_not_bit_exact(autoencoder: zoo.Row, monkeypatch: pytest.MonkeyPatch) -> None:
    right = zoo.host_runtime.run
    monkeypatch.setattr(zoo.host_runtime, "run", lambda *case: right(*case)[:-1] + b"\x55")
    row = zoo.measure("mlperf-ad")
    assert not any(result.bit_exact for result in row.recipes.values())
    assert zoo._sizes([row]).endswith("NO |")


BOARD = Microcontroller("board", "core", 100 * KB, printed_ram=64 * KB, ram=32 * KB, source="")


@pytest.mark.parametrize(
    ("artifact", "arena", "expected"),
    [
        (90 * KB, 30 * KB, "yes"),
        (90 * KB + 1, 30 * KB, "flash"),
        (90 * KB, 30 * KB + 1, "printed"),
        (90 * KB, 62 * KB + 1, "RAM"),
    ],
)
def test_a_verdict_counts_code_and_stack(
    monkeypatch: pytest.MonkeyPatch, artifact: int, arena: int, expected: str
) -> None:
    monkeypatch.setattr(boards, "runtime_footprint", lambda core: Footprint(code=10 * KB, stack=2 * KB))
    assert verdict(BOARD, artifact, arena) == expected


@pytest.mark.parametrize("core", sorted({board.core for board in MICROCONTROLLERS}))
def test_the_runtime_is_linked_for_every_core(core: str) -> None:
    footprint = boards.runtime_footprint(core)
    assert 4 * KB < footprint.code < 32 * KB
    assert 256 < footprint.stack < 8 * KB


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_COMPILER", "no-such-gcc")
    with pytest.raises(boards.CompilerError, match="no-such-gcc is not installed"):
        boards.runtime_footprint("cortex-m33")


def test_the_page_has_a_row_for_each_network_and_no_place_left_empty(autoencoder: zoo.Row) -> None:
    page = zoo.as_markdown([autoencoder])
    assert re.search(r"^\| mlperf-ad \| 5x128x1 \| +[\d,]+ \| 264,192 \|", page, re.MULTILINE)
    assert re.search(r"^\| mlperf-ad \| +50% \|.* all: 50% \|$", page, re.MULTILINE)
    assert "@" not in page
    for board in MICROCONTROLLERS:
        assert board.name in page


def test_json_has_every_figure(
    autoencoder: zoo.Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo, "measure", lambda name: autoencoder)
    assert zoo.main(["--json", "mlperf-ad"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["recipes"]["80%"]["fits"]["STM32H743ZI"] == "yes"


def test_an_unknown_network_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        zoo.main(["mlperf-ad", "resnet9"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "unknown network 'resnet9'" in message
    assert all(name in message for name in NETWORKS)
