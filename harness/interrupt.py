"""Ctrl-C: the first asks the study to end cleanly, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 130


@contextmanager
def stopped_by_interrupt(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Within it SIGINT and SIGTERM set the event that is given out."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)  # the journal is written in whole transactions, and emulators end with us
        stop.set()
        say("stopping; what is finished is kept, --resume goes on from here (again to stop at once)")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
