"""`harness search` as a user runs it: real images, a real emulated board, a real sshd, real trainings."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.emulators.qemu import QemuBoard

if TYPE_CHECKING:
    from conftest import SmallStudy

PATIENCE_S = 240.0


def rows(study: SmallStudy, query: str) -> list[tuple[Any, ...]]:
    journal = study.folder / "studies" / study.name / "journal.sqlite"
    if not journal.exists():
        return []
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30) as database:
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # the study is about to create them
                return []
            raise


def wait_for(study: SmallStudy, process: subprocess.Popen[str], query: str, count: int) -> None:
    """Waits until the journal has count rows of this kind, while the search runs."""
    until = time.monotonic() + PATIENCE_S
    while len(rows(study, query)) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, f"no {count} rows of {query!r} in time"
        time.sleep(0.1)


def test_every_candidate_is_measured_on_every_device(finished_study: SmallStudy) -> None:
    report = finished_study.front()
    assert len(report["candidates"]) == 4
    for candidate in report["candidates"]:
        assert candidate["state"] == "done", candidate["reason"]
        assert candidate["verified_inputs"] == 32
        kinds = {(m["device"], m["metric"]): m["kind"] for m in candidate["measurements"]}
        assert kinds["f405-emulated", "latency"] == "estimated"
        assert kinds["this-machine", "latency"] == "measured"
        assert kinds["f405-emulated", "energy"] == "estimated"
        assert kinds["f405-emulated", "flash"] == "estimated"
        assert kinds["f405-emulated", "ram"] == kinds["pi3-emulated", "flash"] == "measured"
        absent = {(a["device"], a["metric"]): a["reason"] for a in candidate["absent"]}
        assert "instructions counted" in absent["pi3-emulated", "latency"]
        assert all(m["value"] > 0 and m["unit"] in ("s", "B", "J") for m in candidate["measurements"])


def test_the_report_names_the_front_and_its_volume(finished_study: SmallStudy) -> None:
    report = finished_study.front()
    assert any(candidate["on_front"] for candidate in report["candidates"])
    assert 0 < report["hypervolume"] < 1
    assert set(report["reference_point"]) == {"error_validation", "latency_s", "ram_B", "flash_B", "energy_J"}


def test_the_tables_mark_every_estimate(finished_study: SmallStudy) -> None:
    shown = finished_study.run("front", "small").stdout
    assert "~ estimated" in shown
    on_front = [c for c in finished_study.front()["candidates"] if c["on_front"]]
    for candidate in on_front:
        line = next(line for line in shown.splitlines() if line.strip().startswith(candidate["id"]))
        assert line.count("~") == 3  # latency, energy and flash of the emulated board; RAM is measured


def test_a_finished_study_that_is_resumed_does_nothing_again(finished_study: SmallStudy) -> None:
    before = finished_study.front()["candidates"]
    again = finished_study.search("--resume", "--json")
    assert again.returncode == 0, again.stderr
    assert finished_study.front()["candidates"] == before


def test_an_existing_study_is_not_overwritten(finished_study: SmallStudy) -> None:
    refused = finished_study.search()
    assert refused.returncode == 2 and "--resume" in refused.stderr


def test_a_study_cannot_go_on_with_other_settings(finished_study: SmallStudy) -> None:
    other = finished_study.folder / "other.yaml"
    other.write_text(finished_study.file.read_text().replace("width: 4", "width: 5"))
    refused = finished_study.run("search", "other.yaml", "--resume")
    assert refused.returncode == 2 and "model" in refused.stderr and "other.yaml" in refused.stderr


def test_after_a_kill_nothing_finished_is_trained_or_measured_again(study: SmallStudy) -> None:
    study.write(candidates=5)
    driver = study.start("search", "study.yaml")
    wait_for(study, driver, "SELECT * FROM device_runs", 5)  # three baselines and two candidates
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    trained = rows(study, "SELECT * FROM trainings")
    measured = rows(study, "SELECT * FROM device_runs")
    proposed = rows(study, "SELECT id, recipe FROM candidates")

    resumed = study.search("--resume")
    assert resumed.returncode == 0, resumed.stderr
    candidates = study.front()["candidates"]
    assert len(candidates) == 5
    assert all(candidate["state"] == "done" for candidate in candidates)
    assert set(proposed) <= set(rows(study, "SELECT id, recipe FROM candidates"))
    assert set(trained) <= set(rows(study, "SELECT * FROM trainings"))
    assert set(measured) <= set(rows(study, "SELECT * FROM device_runs"))
    starts = {candidate["id"]: candidate["training_starts"] for candidate in candidates}
    assert all(starts[row[0]] == 1 for row in trained), "a finished training was begun again"
    runs = rows(study, "SELECT artifact_sha256 FROM device_runs")
    assert len(runs) == len(set(runs)) == 3 + len({c["artifact_sha256"] for c in candidates})


def test_ctrl_c_ends_cleanly_and_keeps_what_was_found(study: SmallStudy) -> None:
    study.write(candidates=50)
    driver = study.start("search", "study.yaml")
    wait_for(study, driver, "SELECT * FROM device_runs", 4)
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "Traceback" not in err and "--resume goes on" in err
    assert "Pareto front" in out
    report = study.front()
    assert any(candidate["state"] == "done" for candidate in report["candidates"])


def test_the_gate_refuses_what_does_not_fit_before_any_training(study: SmallStudy) -> None:
    study.write(limits={"ram_bytes": 1500}, candidates=3)
    ended = study.search()
    assert ended.returncode == 0, ended.stderr
    for candidate in study.front()["candidates"]:
        assert candidate["state"] == "refused"
        assert candidate["training_starts"] == candidate["training_steps"] == 0
        assert candidate["reason"].startswith("ram (measured): needs ") and "allows 1500 B" in candidate["reason"]


def test_a_gate_between_the_candidates_lets_the_smaller_ones_pass(
    study: SmallStudy, finished_study: SmallStudy
) -> None:
    """The limit lies between the gate's own findings of the finished study, whose proposals begin alike."""
    flash = sorted(
        m["value"]
        for c in finished_study.front()["candidates"]
        for m in c["measurements"]
        if (m["device"], m["metric"]) == ("f405-emulated", "flash")
    )
    limit = int(flash[0] + flash[-1]) // 2
    study.write(limits={"flash_bytes": limit}, candidates=4)
    ended = study.search()
    assert ended.returncode == 0, ended.stderr
    candidates = study.front()["candidates"]
    assert {candidate["state"] for candidate in candidates} == {"done", "refused"}
    for candidate in candidates:
        if candidate["state"] == "refused":
            assert candidate["training_starts"] == 0 and f"allows {limit} B" in candidate["reason"]


def test_a_board_that_is_lost_leaves_candidates_unmeasured_and_the_study_goes_on(
    study: SmallStudy, stm32f405_firmware: Path
) -> None:
    with QemuBoard(stm32f405_firmware, "desk") as board:
        desk = {"profile": "stm32f405", "connection": {"kind": "serial", "port": board.port_url, "emulated": True}}
        study.write(inventory={"desk": desk}, devices=["desk"], target="desk", candidates=6)
        search = study.start("search", "study.yaml")
        wait_for(study, search, "SELECT * FROM device_runs", 4)
    _, err = search.communicate(timeout=PATIENCE_S)
    assert search.returncode == 0, err
    states = [candidate["state"] for candidate in study.front()["candidates"]]
    assert len(states) == 6
    assert set(states) == {"done", "unmeasured"}
    assert "desk" in err


def test_a_lost_board_is_replaced_by_another_of_its_profile(study: SmallStudy, stm32f405_firmware: Path) -> None:
    with QemuBoard(stm32f405_firmware, "first") as first, QemuBoard(stm32f405_firmware, "second") as second:
        inventory = {
            name: {"profile": "stm32f405", "connection": {"kind": "serial", "port": board.port_url, "emulated": True}}
            for name, board in (("first", first), ("second", second))
        }
        study.write(inventory=inventory, devices=["first", "second"], target="second", candidates=5)
        search = study.start("search", "study.yaml")
        wait_for(study, search, "SELECT * FROM device_runs", 4)
        first.__exit__(None, None, None)
        _, err = search.communicate(timeout=PATIENCE_S)
    assert search.returncode == 0, err
    candidates = study.front()["candidates"]
    assert [candidate["state"] for candidate in candidates] == ["done"] * 5
    assert candidates[-1]["measurements"][0]["device"] == "second"


@pytest.mark.parametrize(
    ("changes", "words", "code"),
    [
        ({"devices": ["nobody"], "target": "nobody"}, "'nobody' is not in", 2),
        ({"data": {"source": "/nowhere/at/all"}}, "/nowhere/at/all", 2),
        ({"model": {"name": "no_such_module:build"}}, "no_such_module", 2),
        ({"space": {"bits": {"min": 0, "max": 4}}}, "bits.min: is 0", 2),
    ],
)
def test_bad_input_ends_in_one_line_before_any_work(
    study: SmallStudy, changes: dict[str, Any], words: str, code: int
) -> None:
    refused = study.write(**changes).search()
    assert refused.returncode == code, refused.stderr
    assert words in refused.stderr and "Traceback" not in refused.stderr
    assert refused.stderr.count("error:") == 1
    assert not (study.folder / "studies" / study.name / "teacher.safetensors").exists()


def test_a_network_too_large_for_the_board_unless_compressed_is_searched(study: SmallStudy) -> None:
    space = {
        "final_sparsity": {"min": 0.9, "max": 0.95},
        "clusters": {"min": 2, "max": 4},
        "bits": {"min": 2, "max": 3},
    }
    study.write(model={"name": "resnet8", "width": 24}, space=space, candidates=1)
    ended = study.search()
    assert ended.returncode == 0, ended.stderr
    report = study.front()
    assert report["baseline"] == "the least compressed recipe of the space, the most compressed recipe of the space"
    assert [candidate["state"] for candidate in report["candidates"]] == ["done"]


def test_a_network_that_never_fits_is_refused_before_training(study: SmallStudy) -> None:
    refused = study.write(model={"name": "resnet8", "width": 128}, candidates=1).search()
    assert refused.returncode == 2
    assert "not even the most compressed recipe" in refused.stderr
    assert not (study.folder / "studies" / study.name / "teacher.safetensors").exists()


def test_a_start_that_failed_is_no_obstacle_to_the_next(study: SmallStudy) -> None:
    nowhere = {"desk": {"profile": "stm32f405", "connection": {"kind": "serial", "port": "socket://127.0.0.1:9"}}}
    assert study.write(inventory=nowhere, devices=["desk"], target="desk").search().returncode == 3
    (study.folder / "devices.yaml").unlink()
    study.write(devices=["f405-emulated"], target="f405-emulated", candidates=1, limits={"ram_bytes": 1})
    ended = study.search()
    assert ended.returncode == 0, ended.stderr
    assert "no candidate has been measured" in ended.stdout and "allows 1 B" in ended.stdout


def test_a_port_nobody_listens_on_ends_the_search_before_training(study: SmallStudy) -> None:
    desk = {"profile": "stm32f405", "connection": {"kind": "serial", "port": "socket://127.0.0.1:9"}}
    refused = study.write(inventory={"desk": desk}, devices=["desk"], target="desk").search()
    assert refused.returncode == 3
    assert "device desk" in refused.stderr and "socket://127.0.0.1:9" in refused.stderr
    assert not (study.folder / "studies" / study.name / "teacher.safetensors").exists()
