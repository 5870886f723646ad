"""An exported library builds with the command that it prints, and its example checks the model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs
from dccdka.packing.export import ExportError, export_library

RUNTIME = Path(__file__).parents[3] / "agents" / "runtime"


@pytest.fixture
def arguments():
    """Of a model of all operators, with a sample and its output."""
    generator = np.random.default_rng(7)
    graph = random_graph(generator, operators=12)
    sample = random_inputs(generator, graph, count=1)
    data = pack(graph)
    expected = run_reference(read_artifact(data), sample).tobytes()
    return {
        "artifact_bytes": data,
        "name": "tiny",
        "runtime_dir": RUNTIME,
        "sample_input": sample.tobytes(),
        "expected_output": expected,
    }


def build_and_run(folder: Path) -> subprocess.CompletedProcess[str]:
    (command,) = (line for line in (folder / "README.txt").read_text().splitlines() if "gcc" in line)
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S602


def test_the_library_builds_without_warnings_and_gives_the_expected_output(tmp_path, arguments):
    written = export_library(out_dir=tmp_path / "library", **arguments)
    assert all(path.is_file() for path in written)
    done = build_and_run(tmp_path / "library")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_the_example_fails_if_the_model_computes_something_else(tmp_path, arguments):
    expected = bytearray(arguments["expected_output"])
    expected[0] ^= 1
    export_library(out_dir=tmp_path, **{**arguments, "expected_output": bytes(expected)})
    done = build_and_run(tmp_path)
    assert done.returncode == 1
    assert "differs" in done.stdout


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, arguments):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty"):
        export_library(out_dir=tmp_path, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "2nd model"}, "C identifier"),
        ({"sample_input": b"12"}, "sample_input: 2 bytes, the model has"),
        ({"runtime_dir": Path("/nonexistent")}, "no runtime sources"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, change, message):
    with pytest.raises(ExportError, match=message):
        export_library(out_dir=tmp_path / "library", **{**arguments, **change})
    assert not (tmp_path / "library").exists()
