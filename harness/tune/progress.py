"""What people see while a device is tuned: a bar in a terminal, a line at the begin anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from harness.tune.tuning import OnProgress


@contextmanager
def shown_on(console: Console, device: str, *, quiet: bool) -> Iterator[OnProgress]:
    """Gives the listener. quiet: nothing is shown."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    hidden = quiet or not console.is_terminal
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden, transient=True)
    task = bar.add_task(f"tuning {device}", total=None)

    def listen(done: int, total: int) -> None:
        if done == 0 and hidden and not quiet:
            console.print(f"measuring {total} layers on {device}", highlight=False, markup=False)
        bar.update(task, completed=done, total=total)

    try:
        with bar:
            yield listen
    except KeyboardInterrupt:
        console.print("stopped: nothing was stored")
        raise
