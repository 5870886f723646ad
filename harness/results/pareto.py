"""The front: the finished candidates that no other dominates, and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from harness.results.objectives import Objectives
from harness.results.records import Candidate


def finished(candidates: Sequence[Candidate], objectives: Objectives) -> list[tuple[Candidate, tuple[float, ...]]]:
    """Candidates that are done, with their objective values."""
    valued = ((c, objectives.of(c)) for c in candidates if c.state == "done")
    return [(candidate, values) for candidate, values in valued if values is not None]


def front(candidates: Sequence[Candidate], objectives: Objectives) -> list[Candidate]:
    """Non-dominated candidates, best validation accuracy first; equal ones are all on the front."""
    done = finished(candidates, objectives)
    if not done:
        return []
    keep = moocore.is_nondominated(np.array([values for _, values in done]), keep_weakly=True)
    chosen = [(values, candidate) for (candidate, values), kept in zip(done, keep, strict=True) if kept]
    return [candidate for values, candidate in sorted(chosen, key=lambda pair: (pair[0], pair[1].number))]


def hypervolume(candidates: Sequence[Candidate], objectives: Objectives) -> float:
    """Share of the box between the ideal point (zero) and the reference point that the front dominates, 0..1."""
    done = finished(candidates, objectives)
    if not done:
        return 0.0
    scaled = np.array([values for _, values in done]) / np.array(objectives.reference)
    inside = scaled[(scaled < 1).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=np.ones(len(objectives.reference)))) if len(inside) else 0.0
