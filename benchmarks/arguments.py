"""What the benchmarks' command lines take: types for argparse, which tells what is wrong before any work and ends."""

from __future__ import annotations

import math
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from dccdka.training_config import TrainingConfigError, resolve_device


def at_least(least: int) -> Callable[[str], int]:
    """A whole number from there on."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"must be a whole number, {least} or more, got {text!r}")
        return number

    return whole_number


positive = at_least(1)


def positive_number(text: str) -> float:
    """Any number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def device(text: str) -> str:
    """ "cpu" or "cuda", whichever "auto" is here."""
    try:
        return resolve_device(text).type
    except TrainingConfigError as error:
        raise ArgumentTypeError(str(error).removeprefix("device: ")) from error


def writable_folder(text: str) -> Path:
    """A folder, which is made if it is not there."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"cannot write into {text!r} ({error}); give another folder") from error
