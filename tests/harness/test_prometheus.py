"""A real Prometheus scrapes a real study; promtool finds nothing to say about the metrics."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import quote

import pytest

from harness.config.study import MetricsConfig
from harness.errors import UsageError
from harness.metrics import MetricsServer, StudyCollector
from harness.results.folder import open_journal
from harness.results.objectives import Objectives

if TYPE_CHECKING:
    from conftest import SmallStudy

LOOPBACK = "127.0.0.1"
PATIENCE_S = 30.0


@pytest.fixture
def served(finished_study: SmallStudy) -> Iterator[MetricsServer]:
    journal = open_journal("small", finished_study.folder / "studies")
    fact = journal.fact("objectives")
    assert fact is not None
    collector = StudyCollector("small", Objectives.from_fact(fact), journal.candidates, lambda: {"board": "idle"})
    server = MetricsServer(MetricsConfig(host=LOOPBACK, port=0), collector)
    yield server
    server.close()


def test_promtool_finds_the_metrics_clean(served: MetricsServer) -> None:
    with urllib.request.urlopen(served.url, timeout=10) as answer:
        text = answer.read()
    promtool = shutil.which("promtool")
    assert promtool is not None, "apt install prometheus"
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert b"dccdka_candidate_latency_seconds{" in text


def test_a_candidates_latency_comes_back_from_prometheus(
    served: MetricsServer, finished_study: SmallStudy, tmp_path: Path
) -> None:
    candidate = finished_study.front()["candidates"][0]
    expected = {(m["device"], m["kind"]): m["value"] for m in candidate["measurements"] if m["metric"] == "latency"}
    with prometheus(served, tmp_path) as ask:
        found: list[dict[str, Any]] = []
        until = time.monotonic() + PATIENCE_S
        while not found and time.monotonic() < until:
            found = ask(f'dccdka_candidate_latency_seconds{{candidate="{candidate["id"]}"}}')
            time.sleep(0.2)
    values = {(r["metric"]["device"], r["metric"]["kind"]): float(r["value"][1]) for r in found}
    assert values == pytest.approx(expected)
    assert ("f405-emulated", "estimated") in values and ("this-machine", "measured") in values


def test_a_port_in_use_is_named(served: MetricsServer) -> None:
    port = int(served.url.rsplit(":", 1)[1].removesuffix("/metrics"))
    with pytest.raises(UsageError, match=f"{LOOPBACK}:{port} cannot be served"):
        MetricsServer(MetricsConfig(host=LOOPBACK, port=port), StudyCollector("x", None, list, dict))  # type: ignore[arg-type]


def test_a_port_that_nobody_asked_for_gives_way(served: MetricsServer) -> None:
    taken = int(served.url.rsplit(":", 1)[1].removesuffix("/metrics"))
    where = MetricsConfig().model_copy(update={"port": taken})  # as if the default port were in use
    where.model_fields_set.discard("port")
    other = MetricsServer(where, StudyCollector("x", None, list, dict))  # type: ignore[arg-type]
    assert other.url != served.url
    other.close()


class prometheus:  # noqa: N801 - reads as a statement
    """Debian's Prometheus on loopback, scraping one target every second."""

    def __init__(self, target: MetricsServer, folder: Path) -> None:
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            self._port = free.getsockname()[1]
        address = target.url.removeprefix("http://").removesuffix("/metrics")
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: study, static_configs: [{{targets: ['{address}']}}]}}]\n"
        )
        self._command = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self._port}",
        ]
        self._log = folder / "prometheus.log"

    def __enter__(self) -> Any:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self._ask

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def _ask(self, query: str) -> list[dict[str, Any]]:
        assert self._process.poll() is None, self._log.read_text()
        try:
            url = f"http://{LOOPBACK}:{self._port}/api/v1/query?query={quote(query)}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except URLError:
            return []  # it is still starting
