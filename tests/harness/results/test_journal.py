"""The journal keeps each finished piece of work once, whole, and across processes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.results.journal import Journal
from harness.results.measurement import Absent, Measurement
from harness.results.records import DeviceRun, Training

ARTIFACT = b"artifact bytes"
SHA = sha256(ARTIFACT).hexdigest()
TRAINING = Training(100, {"train": 1.5}, 0.9, 0.89, SHA, len(ARTIFACT), ("layer a: has 3 clusters",))
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


def test_of_the_same_run_recorded_twice_the_first_stays(journal: Journal) -> None:
    journal.record_training("c001", TRAINING, ARTIFACT)
    assert journal.record_run(RUN)
    assert not journal.record_run(replace(RUN, device="another board", verified_inputs=7))
    assert journal.candidate("c001").runs == (RUN,)


def test_a_run_of_an_artifact_that_is_not_there_is_a_fault_and_no_repetition(journal: Journal) -> None:
    with pytest.raises(UsageError, match=r"journal\.sqlite: .*FOREIGN KEY"):
        journal.record_run(RUN)


def test_a_reason_goes_when_the_candidate_goes_on(journal: Journal) -> None:
    journal.set_state("c001", "proposed", "the gate's device was lost")
    journal.accept("c001", {})
    assert journal.candidate("c001").reason is None
    journal.set_state("c001", "accepted", "the trainer was killed")
    journal.record_training("c001", TRAINING, ARTIFACT)
    assert journal.candidate("c001").reason is None


def test_candidates_are_read_without_their_artifacts_content(journal: Journal) -> None:
    journal.record_training("c001", TRAINING, ARTIFACT)
    spoil(journal, "UPDATE artifacts SET data = x'00'")
    assert journal.candidate("c001").training == TRAINING
    with pytest.raises(UsageError, match=rf"journal\.sqlite: artifact {SHA[:12]} is missing or damaged"):
        journal.artifact(SHA)


def spoil(journal: Journal, statement: str) -> None:
    with closing(sqlite3.connect(journal.name)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE candidates SET recipe = '{'", "JSONDecodeError"),
        ("UPDATE candidates SET recipe = '7'", "TypeError"),
        ("UPDATE candidates SET state = 'perhaps'", "'perhaps' is none of proposed"),
        ("UPDATE trainings SET accuracy_test = 'high'", "could not convert string to float"),
        ("UPDATE device_runs SET absent = '[{}]'", "missing 4 required positional arguments"),
        ("UPDATE measurements SET metric = 'taste'", "'taste' is none of latency"),
        ("DROP TABLE measurements", "no such table: measurements"),
        ("ALTER TABLE candidates DROP COLUMN gate", "no such column: candidates.gate"),
        ("DELETE FROM artifacts", "No row was found"),
    ],
)
def test_a_damaged_journal_is_told_with_its_file_and_what_is_wrong(
    journal: Journal, statement: str, words: str
) -> None:
    journal.record_training("c001", TRAINING, ARTIFACT)
    journal.record_run(RUN)
    spoil(journal, statement)
    for read in (journal.candidates, lambda: journal.candidate("c001")):
        with pytest.raises(UsageError) as refused:
            read()
        message = str(refused.value)
        assert message.startswith(f"{journal.name}: ") and words in message and "\n" not in message


def test_a_journal_of_another_version_is_named_as_such(journal: Journal) -> None:
    journal.set_fact("schema", {"version": 4})
    with pytest.raises(UsageError, match=r"journal\.sqlite: is a journal of version 4, this program reads version 3"):
        Journal(journal.url)


def test_a_journal_from_before_versions_is_named_as_such(journal: Journal) -> None:
    journal.set_fact("config", {"name": "old"})
    spoil(journal, "DELETE FROM facts WHERE key = 'schema'")
    with pytest.raises(UsageError, match="is a journal of version 1"):
        Journal(journal.url)


def test_a_journal_whose_making_was_cut_short_is_made_whole(journal: Journal) -> None:
    spoil(journal, "DELETE FROM facts")
    spoil(journal, "DROP TABLE measurements")
    again = Journal(journal.url)
    assert again.candidate("c001").recipe == RECIPE


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    for read_only in (True, False):
        with pytest.raises(UsageError, match=r"journal\.sqlite: is not the journal of a study"):
            Journal.in_file(path, read_only=read_only)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


def test_reading_neither_makes_nor_alters_a_file(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    path = Path(journal.name)
    before = path.read_bytes()
    reading = Journal.in_file(path, read_only=True)
    assert reading.candidate("c001").recipe == RECIPE
    with pytest.raises(UsageError, match="attempt to write a readonly database"):
        reading.set_fact("config", {})
    reading.close()
    assert path.read_bytes() == before
    with pytest.raises(UsageError, match="unable to open database file"):
        Journal.in_file(tmp_path / "none.sqlite", read_only=True)
    assert not (tmp_path / "none.sqlite").exists()


def test_an_empty_file_is_no_journal_to_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    with pytest.raises(UsageError, match=r"journal\.sqlite: is empty, not the journal of a study"):
        Journal.in_file(path, read_only=True)
    assert path.stat().st_size == 0


def test_what_a_killed_writer_had_finished_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    script = (
        "import os, sys; from pathlib import Path; from harness.results.journal import Journal\n"
        "journal = Journal.in_file(Path(sys.argv[1])); journal.set_fact('a', {'b': 1}); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -9
    assert Journal.in_file(path, read_only=True).fact("a") == {"b": 1}


@pytest.mark.parametrize("read_only", [True, False])
def test_any_folder_name_will_do(tmp_path: Path, read_only: bool) -> None:
    folder = tmp_path / "100% of? a#b ä"
    folder.mkdir()
    Journal.in_file(folder / "journal.sqlite").close()
    journal = Journal.in_file(folder / "journal.sqlite", read_only=read_only)
    assert journal.fact("none") is None
    assert Journal(journal.url).fact("none") is None
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://x", "sqlite:////no/such/folder/x"])
def test_a_url_that_leads_nowhere_is_told(url: str) -> None:
    with pytest.raises(UsageError):
        Journal(url)


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
