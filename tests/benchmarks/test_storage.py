"""What artifacts are made of: every byte has its column, and the compressed ones hardly exceed their entropy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import storage
from dccdka.datasets import Dataset, DatasetError, load_dataset
from dccdka.packing.sizes import ArtifactSizes

PARTS = ("stream_bytes", "table_bytes", "channel_bytes", "padding_bytes", "record_bytes")


def test_the_image_classifier_is_within_a_tenth_of_its_entropy(capsys):
    assert storage.main(["--json", "--models", "ic", "--recipes", "80%/16", "90%/8"]) == 0
    sparse, sparsest = map(json.loads, capsys.readouterr().out.splitlines())
    for row in (sparse, sparsest):
        assert sum(row[part] for part in PARTS) == row["artifact_bytes"]
        assert row["ratio"] == pytest.approx(row["artifact_bytes"] / row["entropy_bytes"])
        assert row["weights"] == sum(layer["weights"] for layer in row["layers"]) == 77_360
        assert {layer["choice"]["encoding"] for layer in row["layers"]} == {"CODED"}
    share = np.array([0.8, *[0.2 / 15] * 15])  # of zeros and 15 other codes, alike
    assert sparse["entropy_bytes"] == pytest.approx(-(share @ np.log2(share)) * 77_360 / 8, rel=0.01)
    assert sparse["ratio"] < 1.1
    assert sparsest["ratio"] < 1.2


def test_the_table_has_a_line_for_each_artifact(capsys):
    assert storage.main(["--models", "ad", "--recipes", "dense", "80%/16"]) == 0
    head, _, dense, sparse, *_ = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")][-4:] == ["streams", "tables", "channels", "rest"]
    cells = [cell.strip() for cell in sparse.strip("|").split("|")]
    assert cells[:3] == ["ad", "80%/16", "264,192"]
    *_, artifact, _, stream, tables, channels, rest = [cell.replace(",", "") for cell in cells]
    assert int(artifact) == sum(map(int, (stream, tables, channels, rest)))
    assert "264,192" in dense


def test_a_trained_network_uses_its_clusters_unevenly(monkeypatch):
    monkeypatch.setattr(storage, "_EPOCHS", 1)
    dataset = storage.first_images(load_dataset("fashion-mnist"), 1024)
    assert len(dataset.train.labels) == 1024
    (row,) = storage.trained_rows(dataset, ["80%/16"])
    share = row.sizes.entropy * 8 / sum(layer.weights for layer in row.sizes.layers)
    assert 0.5 < share < 1.503  # which 16 equally frequent ones would take


def test_without_weights_there_is_no_ratio():
    row = storage.Row("none", "dense", ArtifactSizes(100, ()))
    assert row.ratio is None and row.as_json()["ratio"] is None
    assert row.cells()[5] == ""


@pytest.mark.parametrize("option", ["models", "recipes"])
def test_an_unknown_name_is_refused_before_any_work(option, capsys):
    with pytest.raises(SystemExit) as ended:
        storage.main([f"--{option}", "other"])
    assert ended.value.code == 2
    assert f"--{option}: 'other' is none of" in capsys.readouterr().err


def test_images_that_are_missing_are_said(monkeypatch, capsys):
    def missing(_spec: str) -> Dataset:
        raise DatasetError("fashion-mnist: not here")

    monkeypatch.setattr(storage, "load_dataset", missing)
    assert storage.main(["--models", "ad", "--recipes", "90%/8", "--trained"]) == 1
    assert capsys.readouterr().err == "storage: fashion-mnist: not here\n"
