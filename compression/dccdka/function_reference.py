"""Users' own models and data come in as "module:function": this finds the function."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class FunctionReferenceError(Exception):
    """A "module:function" reference leads nowhere; the message says which part is wrong."""


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
            f"{reference!r}: cannot import {module_name!r} ({error}); run from its folder, or install it"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise FunctionReferenceError(f"{reference!r}: {module.__file__} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]  # getattr is untyped
