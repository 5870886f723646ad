"""What people see of a running search: a live picture in a terminal, plain lines anywhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from dccdka.progress import Progress
from harness.config import StudyConfig
from harness.farm.farm import Farm
from harness.results.front_report import RECIPE_HEADINGS, WIDE_ENOUGH_FOR_RECIPES, recipe_cells, shown
from harness.results.objectives import Objectives
from harness.results.pareto import front, hypervolume
from harness.results.records import ENDS, Candidate
from harness.search.coordinator import Coordinator

_REFRESH_PER_SECOND = 2
_ROWS = 14


class View:
    """quiet: nothing but errors (for --json)."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet

    def say(self, line: str) -> None:
        if not self._quiet:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def teacher_progress(self, stop: threading.Event) -> Iterator[Callable[[Progress], None]]:
        """Gives the listener of the teacher's training; it raises KeyboardInterrupt once stop is set."""
        columns = (TextColumn("training the teacher"), BarColumn(), TextColumn("{task.fields[loss]}"))
        hidden = self._quiet or not self._console.is_terminal
        bar = Bar(*columns, TimeRemainingColumn(), console=self._console, disable=hidden, transient=True)
        task = bar.add_task("teacher", total=None, loss="")

        def listen(progress: Progress) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            bar.update(task, completed=progress.step, total=progress.steps, loss=f"loss {progress.loss:.3f}")

        with bar:
            yield listen

    @contextmanager
    def watching(
        self, config: StudyConfig, coordinator: Coordinator, farm: Farm, objectives: Objectives
    ) -> Iterator[None]:
        if self._quiet:
            yield
            return
        picture = _Picture(config, coordinator, farm, objectives)
        if self._console.is_terminal:
            with Live(
                console=self._console,
                get_renderable=lambda: picture.draw(self._console.width),
                refresh_per_second=_REFRESH_PER_SECOND,
            ):
                yield
            return
        done = threading.Event()
        reporter = threading.Thread(target=_report_ends, args=(coordinator, objectives, self.say, done), daemon=True)
        reporter.start()
        try:
            yield
        finally:
            done.set()
            reporter.join()


class _Picture:
    def __init__(self, config: StudyConfig, coordinator: Coordinator, farm: Farm, objectives: Objectives) -> None:
        self._config = config
        self._coordinator = coordinator
        self._farm = farm
        self._objectives = objectives
        self._began = time.monotonic()
        self._ended_before: int | None = None
        self._ended = -1
        self._on_front: set[str] = set()
        self._hypervolume = 0.0

    def draw(self, width: int) -> RenderableType:
        candidates = self._coordinator.candidates()
        self._judge(candidates)
        return Group(self._candidates(candidates, width), self._devices(), self._summary())

    def _judge(self, candidates: Sequence[Candidate]) -> None:
        """Front and hypervolume change only when a candidate ends; in five dimensions they are not free."""
        ended = sum(candidate.state in ENDS for candidate in candidates)
        if ended != self._ended:
            self._ended = ended
            self._on_front = {candidate.id for candidate in front(candidates, self._objectives)}
            self._hypervolume = hypervolume(candidates, self._objectives)

    def _candidates(self, candidates: Sequence[Candidate], width: int) -> Table:
        stages = self._coordinator.stages()
        chosen = self._on_front
        table = Table(title=f"study {self._config.name}", title_justify="left", box=box.SIMPLE_HEAD)
        recipes_beside = width >= WIDE_ENOUGH_FOR_RECIPES
        recipe_headings = RECIPE_HEADINGS if recipes_beside else ()
        for heading in ("", *recipe_headings, "state", "validation", "artifact", "latency", "RAM", "energy"):
            table.add_column(heading, no_wrap=True)
        # Unfinished ones and the front matter most; a long study would not fit otherwise.
        notable = [c for c in candidates if c.state not in ENDS or c.id in chosen]
        rows = candidates if len(candidates) <= _ROWS else notable[-_ROWS:]
        for candidate in rows:
            run = self._objectives.target_run(candidate.runs)
            training = candidate.training
            table.add_row(
                f"{'*' if candidate.id in chosen else ' '} {candidate.id}",
                *(recipe_cells(candidate) if recipes_beside else ()),
                stages.get(candidate.id, "at the gate" if candidate.state == "proposed" else candidate.state),
                f"{training.accuracy_validation:.2%}" if training else "",
                f"{training.artifact_bytes} B" if training else "",
                *(shown(run, metric) if run else "" for metric in ("latency", "ram", "energy")),
            )
        return table

    def _devices(self) -> Table:
        table = Table(box=None, show_header=False)
        for device, activity in self._farm.activities().items():
            table.add_row(Text(device), Text(activity, style="dim" if activity == "idle" else ""))
        return table

    def _summary(self) -> Text:
        ended = self._ended
        if self._ended_before is None:
            self._ended_before = ended
        counted = f"{ended} of {self._config.candidates} ended"
        text = f"{counted}, * = on the front, hypervolume {self._hypervolume:.4f}, ~ estimated"
        new = ended - self._ended_before
        if new > 0:
            left = (time.monotonic() - self._began) / new * (self._config.candidates - ended)
            text += f", about {left / 60:.1f} min left"
        return Text(text)


def _report_ends(
    coordinator: Coordinator, objectives: Objectives, say: Callable[[str], None], done: threading.Event
) -> None:
    told = {candidate.id for candidate in coordinator.candidates() if candidate.state in ENDS}
    while True:
        last_round = done.wait(timeout=1.0)
        for candidate in coordinator.candidates():
            if candidate.state in ENDS and candidate.id not in told:
                told.add(candidate.id)
                say(_line(candidate, objectives))
        if last_round:
            return


def _line(candidate: Candidate, objectives: Objectives) -> str:
    run = objectives.target_run(candidate.runs)
    recipe = ", ".join(f"{name} {cell}" for name, cell in zip(RECIPE_HEADINGS, recipe_cells(candidate), strict=True))
    text = f"{candidate.id} {candidate.state}: {recipe}"
    if candidate.training is not None:
        text += f"; {candidate.training.accuracy_validation:.2%}, {candidate.training.artifact_bytes} B"
    if run is not None:
        text += f", {shown(run, 'latency')}, {shown(run, 'energy')}"
    return text + (f"; {candidate.reason}" if candidate.reason else "")
