"""Ray Tune's side of the search: hands it candidates that passed the gate and hears how their training ended.

Metrics are not named to Ray, because it would then take the search for a single-objective one; the journal and the
optimizer learn the results from the coordinator. Ray's own snapshots are never restored from, so there is no state.
"""

from __future__ import annotations

import threading
from typing import Any

from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from harness.search.coordinator import Coordinator


class GatedSearcher(Searcher):
    """settings: TrainerSettings as a dict, handed to every trial."""

    def __init__(self, coordinator: Coordinator, settings: dict[str, Any]) -> None:
        super().__init__()
        self._coordinator = coordinator
        self._settings = settings
        self._candidates: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        candidate = self._coordinator.next_to_train()
        if candidate is None:
            return Searcher.FINISHED if self._coordinator.nothing_left_to_train else None
        self._candidates[trial_id] = candidate.id
        return {"candidate": candidate.id, "recipe": dict(candidate.recipe), "settings": self._settings}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "share" in result:
            self._coordinator.training_progressed(self._candidates[trial_id], result["share"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._coordinator.training_ended(self._candidates.pop(trial_id), crashed=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the searcher with its snapshots; threads and database connections stay here.
        return {}


class StopWhenSet(Stopper):
    """Ends the whole experiment once the event is set (by Ctrl-C or an error elsewhere)."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._stop.is_set()

    def stop_all(self) -> bool:
        return self._stop.is_set()

    def __getstate__(self) -> dict[str, Any]:
        # Pickled by Ray with its snapshots, which are never restored from.
        return {}
