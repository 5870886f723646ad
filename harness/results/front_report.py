"""The study as one plain object for scripts (`harness front --json`) and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.results.measurement import Absent, Measurement
from harness.results.objectives import Objectives
from harness.results.pareto import front, hypervolume
from harness.results.records import Candidate, DeviceRun

WIDE_ENOUGH_FOR_RECIPES = 106
_REASONS_SHOWN = 3
RECIPE_HEADINGS = ("T", "zeros", "clusters", "bits")


def as_object(study: str, candidates: Sequence[Candidate], objectives: Objectives) -> dict[str, Any]:
    """Keys and units as documented in the README; every measurement says whether it was measured or estimated."""
    on_front = {candidate.id for candidate in front(candidates, objectives)}
    return {
        "study": study,
        "target": {"profile": objectives.profile, "emulated": objectives.emulated},
        "hypervolume": hypervolume(candidates, objectives),
        "baseline": objectives.baseline,
        "reference_point": dict(zip(objectives.names, objectives.reference, strict=True)),
        "candidates": [_candidate(candidate, candidate.id in on_front) for candidate in candidates],
    }


def _candidate(candidate: Candidate, on_front: bool) -> dict[str, Any]:
    training = candidate.training
    return {
        "id": candidate.id,
        "recipe": dict(candidate.recipe),
        "state": candidate.state if candidate.state in ("done", "refused", "failed", "unmeasured") else "unmeasured",
        "stage": candidate.state,
        "reason": candidate.reason,
        "on_front": on_front,
        "accuracy_validation": training.accuracy_validation if training else None,
        "accuracy_test": training.accuracy_test if training else None,
        "artifact_bytes": training.artifact_bytes if training else None,
        "artifact_sha256": training.artifact_sha256 if training else None,
        "notes": list(training.notes) if training else [],
        "training_starts": candidate.training_starts,
        "training_steps": training.steps if training else 0,
        "verified_inputs": min((run.verified_inputs for run in candidate.runs), default=0),
        "seconds": {
            **(dict(training.seconds) if training else {}),
            **{f"{stage}:{run.device}": value for run in candidate.runs for stage, value in run.seconds.items()},
        },
        "measurements": [_measurement(m) for run in candidate.runs for m in run.measurements],
        "absent": [_absent(a) for run in candidate.runs for a in run.absent],
    }


def _measurement(m: Measurement) -> dict[str, Any]:
    return {
        "device": m.device,
        "profile": m.profile,
        "metric": m.metric,
        "value": m.value,
        "unit": m.unit,
        "kind": m.kind,
        "n": m.n,
        "interval": list(m.interval) if m.interval else None,
        "method": m.method,
    }


def _absent(a: Absent) -> dict[str, Any]:
    return {"device": a.device, "profile": a.profile, "metric": a.metric, "reason": a.reason}


def as_tables(study: str, candidates: Sequence[Candidate], objectives: Objectives, width: int) -> RenderableType:
    """The front on the target, then what the other devices say of the same candidates; width: of the terminal."""
    chosen = front(candidates, objectives)
    if not chosen:
        return _no_front(study, candidates)
    recipes_beside = width >= WIDE_ENOUGH_FOR_RECIPES
    headings = ["candidate", "validation", "test", "artifact", "latency", "RAM", "flash", "energy"]
    where = f"{objectives.profile} (emulated)" if objectives.emulated else objectives.profile
    table = _table(
        f"{study}: Pareto front on {where}",
        [*headings, *(RECIPE_HEADINGS if recipes_beside else ())],
    )
    for candidate in chosen:
        run = objectives.target_run(candidate.runs)
        assert candidate.training is not None and run is not None
        table.add_row(
            candidate.id,
            f"{candidate.training.accuracy_validation:.2%}",
            f"{candidate.training.accuracy_test:.2%}",
            f"{candidate.training.artifact_bytes} B",
            *(shown(run, metric) for metric in ("latency", "ram", "flash", "energy")),
            *(recipe_cells(candidate) if recipes_beside else ()),
        )
    states = ", ".join(f"{n} {state}" for state, n in _count(candidates).items())
    share = hypervolume(candidates, objectives)
    table.caption = (
        f"~ estimated. {states}. Hypervolume {share:.4f}, relative to the largest figures of: {objectives.baseline}."
    )
    recipes = () if recipes_beside else (_recipes(chosen), Text(""))
    notes = [f"{c.id}: {note}" for c in chosen if c.training is not None for note in c.training.notes]
    told = (Text("\n".join(notes)), Text("")) if notes else ()
    return Group(table, Text(""), *recipes, *told, _others(chosen, objectives))


def _no_front(study: str, candidates: Sequence[Candidate]) -> RenderableType:
    states = ", ".join(f"{n} {state}" for state, n in _count(candidates).items()) or "none proposed yet"
    reasons = [f"  {c.id} {c.state}: {c.reason}" for c in candidates if c.reason][:_REASONS_SHOWN]
    return Text("\n".join([f"{study}: no candidate has been measured on the target ({states})", *reasons]))


def _recipes(chosen: Sequence[Candidate]) -> Table:
    table = _table("Their recipes", ["candidate", *RECIPE_HEADINGS])
    for candidate in chosen:
        table.add_row(candidate.id, *recipe_cells(candidate))
    return table


def _others(chosen: Sequence[Candidate], objectives: Objectives) -> RenderableType:
    table = _table(
        "The same candidates on the other devices",
        ["candidate", "device", "latency", "RAM", "flash", "energy", "verified"],
    )
    reasons: dict[str, None] = {}
    for candidate in chosen:
        for run in sorted(candidate.runs, key=lambda run: run.device):
            if run is objectives.target_run(candidate.runs):
                continue
            cells = [shown(run, metric) for metric in ("latency", "ram", "flash", "energy")]
            table.add_row(candidate.id, Text(run.device), *cells, f"{run.verified_inputs} inputs")
            reasons |= {
                f"{a.device}: no {a.metric}: {a.reason.partition('; ')[2] or a.reason}": None for a in run.absent
            }
    if not table.rows:
        return Text("")
    return Group(table, *(Text(reason, style="dim") for reason in reasons))


def recipe_cells(candidate: Candidate) -> list[str]:
    """In the order of RECIPE_HEADINGS."""
    r = candidate.recipe
    return [
        f"{float(str(r['temperature'])):.2f}",
        f"{float(str(r['final_sparsity'])):.1%}",
        f"{r['clusters']}",
        f"{r['bits']}",
    ]


def _table(title: str, headings: Sequence[str]) -> Table:
    # Tight enough for the eight columns of the front on a terminal of 80.
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = table.pad_edge = False
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("candidate", "device") else "right", no_wrap=True)
    return table


def shown(run: DeviceRun, metric: str) -> str:
    """A value with its unit, marked ~ when it was estimated; "-" when it is absent."""
    found = next((m for m in run.measurements if m.metric == metric), None)
    if found is None:
        return "-"
    mark = "~" if found.kind == "estimated" else ""
    if found.unit == "B":
        return f"{mark}{found.value:.0f} B"
    for factor, prefix in ((1.0, ""), (1e3, "m"), (1e6, "u")):
        if found.value * factor >= 1 or prefix == "u":
            return f"{mark}{found.value * factor:.3g} {prefix}{found.unit}"
    raise AssertionError("unreachable")


def _count(candidates: Sequence[Candidate]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for candidate in candidates:
        counted[candidate.state] = counted.get(candidate.state, 0) + 1
    return counted
