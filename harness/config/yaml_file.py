"""Reads a YAML file into a pydantic model; every complaint names the file, the line and the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import UsageError

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """A misspelt key is an error, and what was read does not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_model(path: Path, model: type[M]) -> M:
    """Raises UsageError: missing file, bad YAML, or the first key that is wrong, with its line."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise UsageError(f"{path}{line}: not valid YAML: {problem}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of keys to values")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(_complaint(path, text, error)) from None


def line_of(path: Path, keys: Sequence[str | int]) -> str:
    """`path:line` of a key in a YAML file, for checks that need more than one file."""
    return f"{path}:{_line_of(path.read_text(encoding='utf-8'), keys)}"


def _complaint(path: Path, text: str, error: ValidationError) -> str:
    first = error.errors()[0]
    keys = [key for key in first["loc"] if not (isinstance(key, str) and key.startswith("function-"))]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key"
    elif first["type"] == "missing":
        message = "this key is missing"
    else:
        given: Any = first.get("input")
        if isinstance(given, str | int | float | bool):
            message += f" (found: {given!r})"
    others = error.error_count() - 1
    more = f" (and {others} more)" if others else ""
    return f"{path}:{_line_of(text, keys)}: {'.'.join(map(str, keys)) or 'file'}: {message}{more}"


def _line_of(text: str, keys: Sequence[str | int]) -> int:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = node.start_mark.line if node is not None else 0
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if not found:
                # A union's tag is in pydantic's path but not in the file: stay where we are.
                continue
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line
    return line + 1
