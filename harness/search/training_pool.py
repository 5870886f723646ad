"""Runs the trainings by Ray Tune, as many at once as there are processors; Ray's own output stays off the terminal."""

from __future__ import annotations

import logging
import math
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.search.coordinator import Coordinator

# Read by Ray when it is imported or started: nothing that this module imports above may import it.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths and modules of a study are relative to where the user stands
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_OBJECT_STORE_BYTES = 150 * 1024 * 1024


@dataclass(frozen=True)
class TrainerSettings:
    """All that a trainer process is told, as plain values; the journal's URL leads to the rest."""

    journal_url: str
    folder: str
    study: dict[str, Any]
    threads: int


class TrainingPool:
    """A local Ray instance; start it early, since it takes seconds."""

    def __init__(self, workers: int, gpus: int) -> None:
        for key, value in _QUIET.items():
            os.environ.setdefault(key, value)
        # Ray listens on every interface and runs what it is sent: nobody without the token may send it anything.
        os.environ["RAY_AUTH_MODE"] = "token"
        import ray  # after the environment is set; the import alone takes a second

        # A training is on one GPU: of 3 trainings on 2 GPUs each has a half, as two of two thirds would fit on none.
        self._resources = {"cpu": 1.0, "gpu": 1 / math.ceil(workers / gpus)} if gpus else {"cpu": 1.0}
        for name in ("ray", "ray.tune"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what went wrong is told by the coordinator
        ray.init(
            address="local",  # never a cluster that happens to run here: the journal and the data are on this machine
            num_cpus=workers,
            num_gpus=gpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            object_store_memory=_OBJECT_STORE_BYTES,
        )

    def train_all(
        self, coordinator: Coordinator, settings: TrainerSettings, folder: Path, stop: threading.Event
    ) -> None:
        """Returns when there is nothing left to train, or soon after stop is set."""
        from ray import tune

        from harness.search.searcher import GatedSearcher, StopWhenSet
        from harness.search.trainable import train_candidate

        tuner = tune.Tuner(
            tune.with_resources(train_candidate, self._resources),
            tune_config=tune.TuneConfig(
                search_alg=GatedSearcher(coordinator, asdict(settings)), num_samples=-1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="tune", storage_path=str(folder.resolve() / "ray"), verbose=0, stop=StopWhenSet(stop)
            ),
        )
        tuner.fit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        ray.shutdown()
