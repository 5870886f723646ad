"""Every Prometheus metric of the project, in one place; names and units by Prometheus' naming conventions.

Values are read when Prometheus asks, from the study itself, so that what is served is what the journal holds.
`kind` is "measured" or "estimated"; a board that an emulator plays has emulated="true".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.config.study import MetricsConfig
from harness.errors import UsageError
from harness.results.objectives import Objectives
from harness.results.pareto import front, hypervolume
from harness.results.records import Candidate

_PER_RUN = {
    "latency": ("dccdka_candidate_latency_seconds", "Time of one inference."),
    "ram": ("dccdka_candidate_ram_bytes", "Arena, static data and stack of one inference."),
    "flash": ("dccdka_candidate_flash_bytes", "Artifact and the runtime code that it needs."),
    "energy": ("dccdka_candidate_energy_joules", "Energy of one inference."),
}


class StudyCollector(Collector):
    """candidates and activities are called at each scrape."""

    def __init__(
        self,
        study: str,
        objectives: Objectives,
        candidates: Callable[[], Sequence[Candidate]],
        activities: Callable[[], Mapping[str, str]],
    ) -> None:
        self._study = study
        self._objectives = objectives
        self._candidates = candidates
        self._activities = activities

    def collect(self) -> Iterator[Metric]:
        candidates = self._candidates()
        yield from self._runs(candidates)
        yield from self._trainings(candidates)
        states = GaugeMetricFamily("dccdka_candidates", "Candidates of the study by state.", labels=["study", "state"])
        for state in sorted({candidate.state for candidate in candidates}):
            states.add_metric([self._study, state], sum(candidate.state == state for candidate in candidates))
        yield states
        volume = GaugeMetricFamily(
            "dccdka_front_hypervolume_ratio",
            "Share of the box between ideal and reference point that the front dominates.",
            labels=["study"],
        )
        volume.add_metric([self._study], hypervolume(candidates, self._objectives))
        yield volume
        up = GaugeMetricFamily("dccdka_device_up", "1 unless the device is quarantined.", labels=["device"])
        for device, activity in self._activities().items():
            up.add_metric([device], activity != "quarantined")
        yield up

    def _runs(self, candidates: Sequence[Candidate]) -> Iterator[Metric]:
        labels = ["study", "candidate", "device", "profile", "emulated", "kind"]
        families = {metric: GaugeMetricFamily(*named, labels=labels) for metric, named in _PER_RUN.items()}
        for candidate in candidates:
            for run in candidate.runs:
                for m in run.measurements:
                    emulated = "true" if run.emulated else "false"
                    families[m.metric].add_metric(
                        [self._study, candidate.id, m.device, m.profile, emulated, m.kind], m.value
                    )
        yield from families.values()

    def _trainings(self, candidates: Sequence[Candidate]) -> Iterator[Metric]:
        accuracy = GaugeMetricFamily(
            "dccdka_candidate_accuracy_ratio",
            "Share of images that the integer model classifies right.",
            labels=["study", "candidate", "split"],
        )
        size = GaugeMetricFamily(
            "dccdka_candidate_artifact_bytes", "Size of the packed model.", labels=["study", "candidate"]
        )
        on_front = GaugeMetricFamily(
            "dccdka_candidate_on_front", "1 when no other candidate dominates it.", labels=["study", "candidate"]
        )
        chosen = {candidate.id for candidate in front(candidates, self._objectives)}
        for candidate in candidates:
            if candidate.training is not None:
                accuracy.add_metric([self._study, candidate.id, "validation"], candidate.training.accuracy_validation)
                accuracy.add_metric([self._study, candidate.id, "test"], candidate.training.accuracy_test)
                size.add_metric([self._study, candidate.id], candidate.training.artifact_bytes)
                on_front.add_metric([self._study, candidate.id], candidate.id in chosen)
        yield from (accuracy, size, on_front)


class MetricsServer:
    """Serves a collector over HTTP until closed.

    A port that nobody asked for is only a preference: another one is taken when it is in use. Raises UsageError when
    the port asked for cannot be had.
    """

    def __init__(self, where: MetricsConfig, collector: Collector) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ports = [where.port or 0] if "port" in where.model_fields_set else [where.port or 0, 0]
        try:
            self._server, self._thread = _serve(ports, where.host, registry)
        except OSError as error:
            raise UsageError(
                f"metrics.port: {where.host}:{where.port} cannot be served: {error.strerror}; choose another port,"
                " 0 for a free one, or null for none"
            ) from None
        self.url = f"http://{where.host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _serve(ports: Sequence[int], host: str, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    """On the first port that can be had."""
    try:
        return start_http_server(ports[0], addr=host, registry=registry)
    except OSError:
        if len(ports) == 1:
            raise
        return _serve(ports[1:], host, registry)
