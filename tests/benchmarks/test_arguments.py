"""Command lines of the benchmarks: what cannot work is told in one line before any work, and the examples work."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks import ablation, front, stacked, training

BENCHMARKS = [ablation, front, stacked, training]


class Began(Exception):
    """The work."""


@pytest.fixture(autouse=True)
def _no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*arguments: object) -> None:
        raise Began

    for module, work in (
        (ablation, "results_of"),
        (front, "run"),
        (stacked, "stacked_ratios"),
        (stacked, "pass_times"),
        (training, "measure"),
    ):
        monkeypatch.setattr(module, work, begin)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.chdir(tmp_path)


def told(module: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a benchmark that refuses its arguments."""
    with pytest.raises(SystemExit) as exit_:
        module.main(arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1.5"])
@pytest.mark.parametrize(
    ("module", "option"),
    [
        *((training, option) for option in ("--width", "--batch", "--repeats", "--threads")),
        *((stacked, option) for option in ("--width", "--batch", "--repeats", "--threads", "--steps", "--passes")),
        (stacked, "--counts"),
        *((ablation, option) for option in ("--workers", "--batch-size")),
        *((front, option) for option in ("--workers", "--epochs")),
    ],
)
def test_what_is_no_number_of_things_is_refused(
    module: ModuleType, option: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = told(module, [option, wrong], capsys)
    assert re.search(rf"error: argument {option}: must be a whole number, [12] or more, got '{wrong}'$", line)


@pytest.mark.parametrize("wrong", ["0", "-0.1", "x", "nan", "inf"])
def test_what_is_no_learning_rate_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = told(ablation, [f"--learning-rate={wrong}"], capsys)
    assert line.endswith(f"argument --learning-rate: must be a number above 0, got '{wrong}'")


@pytest.mark.parametrize("module", [training, stacked])
def test_a_gpu_that_is_not_there_is_refused(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = told(module, ["--device", "cuda"], capsys)
    assert line.endswith('argument --device: "cuda" is not available here; use "cpu" or "auto"')
    assert told(module, ["--device", "tpu"], capsys).endswith(", got 'tpu'")


@pytest.mark.parametrize("module", [ablation, front])
@pytest.mark.parametrize("folder", ["/proc/x", "file", "file/below", "zero\0byte"])
def test_a_folder_that_cannot_be_written_into_is_refused(
    module: ModuleType, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    line = told(module, ["--folder", folder], capsys)
    assert f"argument --folder: cannot write into {folder!r} (" in line


@pytest.mark.parametrize("module", [ablation, front])
def test_a_folder_that_is_not_there_is_made(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Began):
        module.main(["--folder", "a/b"])
    assert list((tmp_path / "a/b").iterdir()) == []


def test_steps_that_show_not_every_class_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = told(stacked, ["--steps", "1", "--batch", "9"], capsys)
    assert line.endswith("--steps: 1 of 9 images show fewer than one of each of 10 classes; give more")


def test_the_examples_in_the_help_are_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for module in BENCHMARKS:
        with pytest.raises(SystemExit):
            module.main(["--help"])
        examples = re.findall(r"^  python -m [\w.]+(.*)$", capsys.readouterr().out, re.MULTILINE)
        assert len(examples) >= 2
        for example in examples:
            arguments, *_ = re.split(r"\s{2,}|>", example)  # what it is for, or where its output goes
            with pytest.raises(Began):
                module.main(arguments.split())
