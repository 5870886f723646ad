"""The benchmark of training prints what it promises; its figures are judged on a quiet machine, not here."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import training


@pytest.fixture(autouse=True)
def threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_prints_the_ratios_and_where_the_time_goes(capsys: pytest.CaptureFixture[str]) -> None:
    training.main(["--device", "cpu", "--width", "2", "--batch", "4", "--repeats", "1", "--no-stacked", "--json"])
    report = json.loads(capsys.readouterr().out)
    seconds = report["step_seconds"]
    assert set(seconds) == set(training.PHASES)
    assert report["step_ratio"] == pytest.approx(max(seconds["noise"], seconds["rounded"]) / seconds["plain"])
    assert report["memory_ratio"] > 0
    for phase, parts in report["parts"].items():
        assert {"forward and loss", "backward", "optimizer"} <= set(parts), phase
