"""A study's data: loaded as its file says, its faults told as the user's, and the same when the study is resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.config import StudyConfig, load_study
from harness.errors import UsageError
from harness.results.journal import Journal
from harness.search.preparation import study_dataset
from harness.study import _same_data


@pytest.fixture
def irises(tmp_path: Path) -> Path:
    """Six subjects, two eyes, four images each, laid out as CASIA-Iris-Interval."""
    generator = np.random.default_rng(0)
    for subject in range(6):
        for eye in "LR":
            for number in range(4):
                path = tmp_path / "irises" / f"{subject:03}" / eye / f"S1{subject:03}{eye}{number:02}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (20, 24), np.uint8)).save(path)
    return tmp_path / "irises"


def study_on(tmp_path: Path, **data: object) -> StudyConfig:
    path = tmp_path / "study.yaml"
    values = {"name": "eyes", "data": data, "candidates": 1, "devices": ["board"], "target": "board"}
    path.write_text(yaml.safe_dump(values))
    return load_study(path)


def test_every_option_of_the_study_s_file_reaches_the_data(tmp_path: Path, irises: Path) -> None:
    config = study_on(
        tmp_path,
        source=str(irises),
        layout="casia-iris-v4",
        split="subject-disjoint",
        class_from=r"S\d{4}(?P<eye>[LR])",
        subject_from=r"S1(?P<who>\d{3})",
        size=[8, 10],
        channels=3,
        test_share=0.34,
        validation=8,
    )
    dataset = study_dataset(config)
    assert dataset.image_shape == (3, 8, 10)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [24, 8, 16]
    assert dataset.classes == 2
    journaled = StudyConfig.model_validate(config.model_dump(mode="json"))
    assert study_dataset(journaled).sha256 == dataset.sha256


def test_what_is_wrong_with_the_data_is_told_as_the_user_s_fault(tmp_path: Path, irises: Path) -> None:
    with pytest.raises(UsageError, match=r"^data: .*class_from .* is not found"):
        study_dataset(study_on(tmp_path, source=str(irises), layout="ubiris-v2", validation=2))
    with pytest.raises(UsageError, match=r"^data: .*cannot split 5000 validation images off"):
        study_dataset(study_on(tmp_path, source=str(irises), layout="casia-iris-v4"))


def test_a_study_is_not_resumed_on_other_data(tmp_path: Path, irises: Path) -> None:
    config = study_on(tmp_path, source=str(irises), layout="casia-iris-v4", validation=4)
    journal = Journal.in_file(tmp_path / "journal.sqlite")
    before = study_dataset(config)
    _same_data(journal, before)
    assert journal.fact("data") == {"name": before.name, "sha256": before.sha256}
    _same_data(journal, study_dataset(config))
    Image.new("L", (24, 20)).save(irises / "003" / "R" / "S1003R02.jpg")
    with pytest.raises(UsageError, match="is not what it was when this study began"):
        _same_data(journal, study_dataset(config))
