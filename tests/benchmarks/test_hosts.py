"""Instructions and times of one inference on this machine, beside onnxruntime's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.host_runtime import build
from benchmarks.hosts import rows as measuring
from benchmarks.hosts.__main__ import as_table, main
from benchmarks.hosts.errors import HostBenchmarkError
from benchmarks.hosts.instructions import count, of_one_more
from benchmarks.hosts.rows import Cost, Row, build_counter, measure
from benchmarks.kernels.cases import make_case

_ROW = Row("ic", "dense", "x86_64", 1000, Cost(3000, 20.0), Cost(1500, 40.0), True)


def test_a_count_repeats_and_grows_with_the_work() -> None:
    loop = ["sh", "-c", "i=0; while [ $i -lt $1 ]; do i=$((i+1)); done", "sh"]
    assert count([*loop, "1000"]) == count([*loop, "1000"])
    assert count([*loop, "2000"]) - count([*loop, "1000"]) == pytest.approx(
        count([*loop, "3000"]) - count([*loop, "2000"]), rel=0.05
    )


def test_a_process_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(HostBenchmarkError, match=r"^sh ended with 3 in valgrind: too bad$"):
        count(["sh", "-c", "echo too bad >&2; exit 3"])


def test_one_more_inference_is_told_from_the_first() -> None:
    assert of_one_more(lambda n: 1000 + 7 * n, 5) == 7
    with pytest.raises(
        HostBenchmarkError, match="6 inferences took 995 instructions and one took 1000: did modules change"
    ):
        of_one_more({1: 1000, 6: 995}.__getitem__, 5)


def test_ratios_are_ours_over_the_others() -> None:
    assert (_ROW.instructions_ratio, _ROW.microseconds_ratio) == (2, 0.5)
    alone = Row("ic", "dense", "cortex-a53", 1000, Cost(3000, None), None, True)
    assert (alone.instructions_ratio, alone.microseconds_ratio) == (None, None)
    first, second = as_table([_ROW, alone]).splitlines()[2:]
    assert first.replace(" ", "").endswith("|3,000|3.00|1,500|2.00|20|40|0.50|yes|")
    assert second.replace(" ", "").endswith("|3,000|3.00||||||yes|")
    assert json.loads(json.dumps(_ROW.as_json()))["instructions_ratio"] == 2


def test_a_recipe_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--recipes", "10%/3"])
    assert "'10%/3' is none of dense, 50%/64, 80%/16, 90%/8" in capsys.readouterr().err


def test_a_sysroot_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sysroot", str(tmp_path)]) == 1
    assert f"fill it: sh benchmarks/hosts/sysroot.sh {tmp_path}" in capsys.readouterr().err


@pytest.mark.slow
def test_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_REPEATS", 1)
    build_counter()
    here, board = measure(make_case("ad", "dense"), build(), tmp_path)
    assert here.bit_exact and board.bit_exact
    assert here.other is not None and here.other.instructions > 0 and here.other.microseconds is not None
    assert here.ours.instructions > here.macs / 64  # no instruction multiplies more
    assert board.other is None and board.ours.instructions < 3 * board.macs
