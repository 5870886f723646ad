"""The measurement of stacked training prints what other measurements take from it."""

from __future__ import annotations

import json

import pytest

from benchmarks import stacked

SMALL = ["--device", "cpu", "--width", "2", "--batch", "8", "--repeats", "1"]


@pytest.fixture(autouse=True)
def _threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked.torch, "set_num_threads", lambda threads: None)


def test_a_ratio_for_each_number_of_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    stacked.main([*SMALL, "--steps", "5", "--counts", "1", "3", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report["stacked_ratio"]) == {"1", "3"}
    for run in report["runs"]:
        assert run["ratio"] == pytest.approx(run["stacked_per_second"] / run["alone_per_second"])
        assert report["stacked_ratio"][str(run["candidates"])] == run["ratio"] > 0


def test_passes_are_timed_in_three_ways(capsys: pytest.CaptureFixture[str]) -> None:
    stacked.main([*SMALL, "--passes", "2"])
    table = capsys.readouterr().out
    assert all(way in table for way in ("one by one", "vmap", "stacked"))
