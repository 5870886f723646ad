"""Exported models beside the devices' integers: trained networks that tell images apart, and a line for each."""

from __future__ import annotations

import json

import pytest

from benchmarks import onnx_agreement
from dccdka.datasets import Dataset, DatasetError
from dccdka.training import TrainingConfig


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_agreement, "_TRAINING", TrainingConfig(1, 64, 0.01, device="cpu"))
    monkeypatch.setattr(onnx_agreement, "_TRAINING_IMAGES", 3200)
    monkeypatch.setattr(onnx_agreement, "_IMAGES", 200)
    monkeypatch.setattr(onnx_agreement, "_ALONE_IMAGES", 50)


@pytest.mark.usefixtures("short")
def test_a_trained_network_agrees_as_a_whole_and_by_operators(capsys: pytest.CaptureFixture[str]) -> None:
    assert onnx_agreement.main(["--networks", "resnet8", "--recipes", "dense", "--json"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["accuracy"] > 0.3  # so it computes something
    for whole, operators in zip(row["whole"], row["operators"], strict=True):
        assert whole["images"] == 200 and whole["outputs"]["values"] == 2000
        assert whole["outputs"]["steps"] <= 1 and whole["predictions"] > 0.99
        assert max(alone["steps"] for alone in operators) <= 1
        assert sum(alone["differing"] for alone in operators) < 1e-4 * sum(alone["values"] for alone in operators)


def test_a_row_has_the_worse_of_both_modes() -> None:
    def whole(differing: int, steps: int) -> onnx_agreement.NetworkAgreement:
        same = 1.0 - steps / 100
        return onnx_agreement.NetworkAgreement(onnx_agreement.Agreement("network", steps, differing, 2000), same, 200)

    alone = tuple((onnx_agreement.Agreement("0_Add", steps, differing, 3000),) for steps, differing in ((1, 5), (0, 0)))
    row = onnx_agreement.Row("resnet8", "dense", 0.5, (whole(3, 1), whole(4, 2)), (alone[0], alone[1]))
    assert row.cells() == ["resnet8", "dense", "50.0%", "3,000", "5", "1", "2,000", "4", "2", "98.0%"]


def test_an_unknown_name_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        onnx_agreement.main(["--networks", "other"])
    assert ended.value.code == 2
    assert "invalid choice: 'other'" in capsys.readouterr().err


def test_images_that_are_missing_are_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(_spec: str) -> Dataset:
        raise DatasetError("fashion-mnist: not here")

    monkeypatch.setattr(onnx_agreement, "load_dataset", missing)
    assert onnx_agreement.main([]) == 1
    assert capsys.readouterr().err == "onnx_agreement: fashion-mnist: not here\n"
