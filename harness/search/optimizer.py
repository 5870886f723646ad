"""Proposes recipes: multi-objective search with constraints, by Optuna's ask and tell.

The journal is the truth; this is rebuilt from it on resume. Ray's own Optuna searcher is not used because it has no
constraints and tells stopped trials as complete.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import Trial, TrialState

from harness.config import Space

_STARTUP = 6  # recipes drawn at random before the model of the good ones takes over

PARAMETERS = ("temperature", "final_sparsity", "clusters", "bits")
RecipeParameters = dict[str, float | int]


class Optimizer:
    """Thread-safe. seed makes a search that sees the same results in the same order repeatable.

    known: recipes that earlier runs of the study asked for, by candidate; without them the first proposals of a resumed
    study would be those of its first run. worst: objective values that stand for a candidate which was refused before
    it had any.
    """

    def __init__(
        self, space: Space, worst: Sequence[float], seed: int, known: Mapping[str, Mapping[str, object]]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._worst = list(worst)
        (fresh_seed,) = np.random.SeedSequence([seed, len(known)]).generate_state(1)
        sampler = TPESampler(seed=int(fresh_seed), n_startup_trials=_STARTUP)
        self._study = optuna.create_study(directions=["minimize"] * len(worst), sampler=sampler)
        self._open: dict[str, Trial] = {}
        self._lock = threading.Lock()
        for candidate_id, recipe in known.items():
            self._study.enqueue_trial({key: recipe[key] for key in PARAMETERS})
            self.ask(candidate_id)

    def ask(self, candidate_id: str) -> RecipeParameters:
        """The next recipe, to be told about under this id."""
        with self._lock:
            trial = self._study.ask()
            self._open[candidate_id] = trial
            return self._suggest(trial)

    def _suggest(self, trial: Trial) -> RecipeParameters:
        space = self._space
        temperature, sparsity = space.temperature, space.final_sparsity
        bits = trial.suggest_int("bits", space.bits.min, space.bits.max)
        # More clusters than codes could not be told apart: the range ends where the bits do.
        most = min(space.clusters.max, 2**bits)
        return {
            "temperature": trial.suggest_float("temperature", temperature.min, temperature.max, log=temperature.log),
            "final_sparsity": trial.suggest_float("final_sparsity", sparsity.min, sparsity.max, log=sparsity.log),
            "clusters": trial.suggest_int("clusters", space.clusters.min, most, log=True),
            "bits": bits,
        }

    def tell_done(self, candidate_id: str, values: Sequence[float]) -> None:
        self._tell(candidate_id, values, violation=0.0)

    def tell_refused(self, candidate_id: str, violation: float) -> None:
        """violation: how far beyond the limit, as a share of it (0.2: 20% too large)."""
        self._tell(candidate_id, self._worst, violation)

    def tell_failed(self, candidate_id: str) -> None:
        """Nothing is learned from this recipe."""
        with self._lock:
            self._study.tell(self._open.pop(candidate_id), state=TrialState.FAIL)

    def _tell(self, candidate_id: str, values: Sequence[float], violation: float) -> None:
        with self._lock:
            trial = self._open.pop(candidate_id)
            trial.set_constraint("limits", violation)
            self._study.tell(trial, list(values))
