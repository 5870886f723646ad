"""A study's folder as the commands that only read it find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import StudyConfig
from harness.errors import UsageError
from harness.results.folder import folder_for_search, journaled_config, journaled_objectives, open_journal
from harness.results.journal import Journal

CONFIG = {"name": "small", "data": {"source": "fashion-mnist"}, "candidates": 1, "devices": ["a"], "target": "a"}
OBJECTIVES = {"profile": "p", "emulated": False, "metrics": ["ram"], "reference": [0.9, 1.0], "baseline": "dense"}


@pytest.fixture
def written(tmp_path: Path) -> Journal:
    (tmp_path / "small").mkdir()
    journal = Journal.in_file(tmp_path / "small" / "journal.sqlite")
    journal.set_fact("config", CONFIG)
    journal.set_fact("objectives", OBJECTIVES)
    return journal


@pytest.mark.parametrize("by_folder", [True, False])
def test_a_study_is_found_by_its_name_or_folder_and_knows_its_own_name(
    tmp_path: Path, written: Journal, by_folder: bool
) -> None:
    journal = open_journal(str(tmp_path / "small") if by_folder else "small", tmp_path)
    assert journaled_config(journal).name == "small"
    assert journaled_objectives(journal).to_fact() == OBJECTIVES


@pytest.mark.parametrize("study", ["none", "x" * 300, "a\0b"])
def test_a_study_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, written: Journal, study: str) -> None:
    with pytest.raises(UsageError, match=r"no study .* there are: small"):
        open_journal(study, tmp_path)


def test_reading_cannot_write(tmp_path: Path, written: Journal) -> None:
    with pytest.raises(UsageError, match="readonly"):
        open_journal("small", tmp_path).set_fact("config", {})


def test_a_study_begun_before_a_key_was_known_goes_on_where_the_key_has_its_default(
    tmp_path: Path, written: Journal
) -> None:
    config = StudyConfig.model_validate(CONFIG)
    with folder_for_search(config, tmp_path / "study.yaml", tmp_path, resume=True) as (_, journal):
        assert journal.fact("config") == config.model_dump(mode="json")
    with (
        pytest.raises(UsageError, match=r"study\.yaml: seed: differs from what study 'small' was begun with"),
        folder_for_search(config.model_copy(update={"seed": 9}), tmp_path / "study.yaml", tmp_path, resume=True),
    ):
        pass


@pytest.mark.parametrize("fact", [{}, {**OBJECTIVES, "reference": 7}, {**OBJECTIVES, "metrics": []}])
def test_damaged_objectives_are_told_with_the_journal(written: Journal, fact: dict[str, object]) -> None:
    written.set_fact("objectives", fact)
    with pytest.raises(UsageError, match=r"journal\.sqlite: the journaled objectives are damaged: "):
        journaled_objectives(written)


def test_a_damaged_config_is_told_with_the_journal_and_the_key(written: Journal) -> None:
    written.set_fact("config", {**CONFIG, "candidates": "many"})
    with pytest.raises(UsageError, match=r"journal\.sqlite: the journaled study is damaged: candidates: "):
        journaled_config(written)


def test_a_study_that_has_not_begun_is_told_so(tmp_path: Path) -> None:
    journal = Journal.in_file(tmp_path / "journal.sqlite")
    with pytest.raises(UsageError, match="has not begun yet; run `harness search`"):
        journaled_config(journal)
    with pytest.raises(UsageError, match="has not enrolled its devices yet; run `harness search`"):
        journaled_objectives(journal)
