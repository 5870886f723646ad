"""The journal keeps each finished piece of work once, whole, and across processes."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from harness.errors import HarnessError, UsageError
from harness.results.journal import Journal
from harness.results.measurement import Absent, Measurement
from harness.results.records import DeviceRun, Training

ARTIFACT = b"artifact bytes"
SHA = sha256(ARTIFACT).hexdigest()
TRAINING = Training(100, {"train": 1.5}, 0.9, 0.89, SHA, len(ARTIFACT))
RUN = DeviceRun(
    SHA,
    "stm32f405",
    True,
    "firmware 1",
    "policy=1",
    "board",
    32,
    {"ship": 0.1},
    (Measurement("board", "stm32f405", "latency", 0.01, "measured", 9, (0.009, 0.011), "clock"),),
    (Absent("board", "stm32f405", "energy", "no monitor"),),
)
RECIPE = {"temperature": 2.0, "final_sparsity": 0.5, "clusters": 16, "bits": 4}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal.in_file(tmp_path / "journal.sqlite")
    journal.propose("c001", 1, RECIPE)
    return journal


def test_what_was_written_is_read_back_whole(journal: Journal) -> None:
    journal.accept("c001", {"latency": 0.01})
    assert journal.record_training("c001", TRAINING, ARTIFACT)
    journal.record_run(RUN)
    journal.set_state("c001", "done")
    reopened = Journal(journal.url)
    candidate = reopened.candidate("c001")
    assert (candidate.recipe, candidate.state, candidate.training) == (RECIPE, "done", TRAINING)
    assert candidate.runs == (RUN,)
    assert reopened.artifact(SHA) == ARTIFACT
    assert reopened.find_run(SHA, "stm32f405", True, "firmware 1", "policy=1") == RUN


def test_a_second_training_of_a_candidate_is_turned_away(journal: Journal) -> None:
    assert journal.record_training("c001", TRAINING, ARTIFACT)
    assert not journal.record_training("c001", replace(TRAINING, steps=7), ARTIFACT)
    assert journal.candidate("c001").training == TRAINING


def test_the_same_run_cannot_be_written_twice(journal: Journal) -> None:
    journal.record_training("c001", TRAINING, ARTIFACT)
    journal.record_run(RUN)
    with pytest.raises(IntegrityError):
        journal.record_run(RUN)
    assert len(journal.candidate("c001").runs) == 1


def test_another_firmware_or_the_real_board_is_another_run(journal: Journal) -> None:
    journal.record_training("c001", TRAINING, ARTIFACT)
    journal.record_run(RUN)
    assert journal.find_run(SHA, "stm32f405", False, "firmware 1", "policy=1") is None
    assert journal.find_run(SHA, "stm32f405", True, "firmware 2", "policy=1") is None


def test_an_artifact_that_is_not_what_its_hash_says_is_refused(journal: Journal) -> None:
    with pytest.raises(HarnessError, match="hash"):
        journal.record_training("c001", TRAINING, b"other")
    assert journal.candidate("c001").training is None


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 20)
    with pytest.raises(UsageError, match="not a journal"):
        Journal.in_file(path)


def test_two_processes_write_at_once_without_loss(journal: Journal) -> None:
    script = (
        "import sys; from harness.results.journal import Journal\n"
        "journal = Journal(sys.argv[1])\n"
        "for i in range(40): journal.set_fact(f'{sys.argv[2]}-{i}', {'value': i})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, journal.url, name]) for name in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert all(journal.fact(f"{name}-{i}") == {"value": i} for name in "ab" for i in range(40))
