"""What a study's report tells besides its figures."""

from __future__ import annotations

import io

from rich.console import Console

from harness.results.front_report import as_object, as_tables
from harness.results.measurement import Measurement
from harness.results.objectives import Objectives
from harness.results.records import Candidate, DeviceRun, Training

OBJECTIVES = Objectives("board", True, ("latency", "flash"), (1.0, 10.0, 10.0))
NOTE = "layer fc: its 20 live weights are too few for 32 clusters; has 21"
RECIPE = {"temperature": 2.0, "final_sparsity": 0.5, "clusters": 32, "bits": 5}


def test_what_a_recipe_could_not_have_is_told_to_people_and_scripts() -> None:
    measurements = tuple(
        Measurement("b1", "board", metric, 5.0, "estimated", 1, None, "test") for metric in ("latency", "flash")
    )
    run = DeviceRun("a" * 64, "board", True, "fw", "s", "b1", 32, {}, measurements, ())  # type: ignore[arg-type]
    candidate = Candidate(
        "c001", 1, RECIPE, "done", training=Training(1, {}, 0.9, 0.9, "a" * 64, 100, (NOTE,)), runs=(run,)
    )
    assert as_object("study", [candidate], OBJECTIVES)["candidates"][0]["notes"] == [NOTE]
    terminal = Console(file=io.StringIO(), width=120)
    terminal.print(as_tables("study", [candidate], OBJECTIVES, 120))
    assert f"c001: {NOTE}" in terminal.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
