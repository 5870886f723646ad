"""Users' own models and data come in as "module:function": this finds the function and calls it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST_MESSAGE = 300


class FunctionReferenceError(Exception):
    """A "module:function" reference leads nowhere or fails; the message says which part is wrong."""


def call_function(reference: str, **arguments: object) -> Any:
    """What the function that "module:function" names returns. Raises FunctionReferenceError, whatever it raises."""
    function = import_function(reference)
    try:
        return function(**arguments)
    except (Exception, SystemExit) as error:  # a user's own code: whatever it raises is its fault, and told as such
        names = ", ".join(arguments) or "no arguments"
        raise FunctionReferenceError(f"{reference!r}: called with {names}, raises {in_one_line(error)}") from error


def import_function(reference: str) -> Callable[..., Any]:
    """The function that "module:function" names; modules in the current folder are found too."""
    module_name, _, function_name = reference.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise FunctionReferenceError(f"{reference!r} is not of the form module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise FunctionReferenceError(
            f"{reference!r}: cannot import {module_name!r} ({in_one_line(error)}); run from its folder, or install it"
        ) from error
    except (Exception, SystemExit) as error:  # a user's own module runs here: see call_function
        raise FunctionReferenceError(f"{reference!r}: importing {module_name!r} raises {in_one_line(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise FunctionReferenceError(f"{reference!r}: {module.__file__} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]  # getattr is untyped


def in_one_line(error: BaseException) -> str:
    """Type and message of what a user's code raised; a long message is cut."""
    message = " ".join(str(error).split())
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
