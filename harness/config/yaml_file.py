"""Reads a YAML file into a pydantic model; every complaint names the file, the line and the key."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from harness.config.complaints import in_plain_words
from harness.errors import UsageError

M = TypeVar("M", bound=BaseModel)

_LONGEST_KEY = 80
_LONGEST_NUMBER = 1000  # in characters; Python does not print one of more than 4300 digits
_MOST_KEYS = 1000  # of a mapping; merges of merges multiply them
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class StrictModel(BaseModel):
    """A misspelt key is an error, and what was read does not change afterwards."""

    # No path, host or name is longer than a path may be (PATH_MAX of Linux).
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=4095)


class _Loader(yaml.SafeLoader):
    """Refuses what no terminal, path or database takes: control characters, lone surrogates, endless numbers.

    And keys that are there twice, and mappings that a few lines make larger than the memory.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._flattened: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if node not in self._flattened:  # what has been merged in may well be there twice
            self._flattened.add(node)
            _check_keys(node)
        super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            problem = f"a mapping has more than {_MOST_KEYS} keys"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        text = super().construct_scalar(node)
        if node.tag in _NUMBERS and len(text) > _LONGEST_NUMBER:
            problem = f"a number has more than {_LONGEST_NUMBER} characters"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if any(unicodedata.category(character) in {"Cc", "Cs"} and character not in "\t\n" for character in text):
            raise yaml.constructor.ConstructorError(None, None, "a text holds a control character", node.start_mark)
        return text


def _check_keys(node: yaml.MappingNode) -> None:
    keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
    lines: dict[str, int] = {}
    for key in keys:
        if key.value in lines:
            problem = f"the key {reprlib.repr(key.value)} is there twice, first in line {lines[key.value]}"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        lines[key.value] = key.start_mark.line + 1


def wrong_key(key: str, problem: str) -> PydanticCustomError:
    """To be raised by a validator of a whole model: the complaint then names this key of it, and its line."""
    return PydanticCustomError("wrong_key", "{problem}", {"key": key, "problem": problem})


def read_model(path: Path, model: type[M]) -> M:
    """Raises UsageError: missing file, bad YAML, or the first key that is wrong, with its line."""
    text = _text_of(path)
    content = _parsed(path, text)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of keys to values")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(_complaint(path, text, error)) from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None


def _parsed(path: Path, text: str) -> object:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise UsageError(f"{path}{line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise UsageError(f"{path}: not valid YAML: nested too deeply") from None
    except (ValueError, LookupError, AttributeError) as error:
        # PyYAML's own conversions of a date, a number or an explicit tag that is none.
        raise UsageError(f"{path}: not valid YAML: a value is not what it is written as: {error}") from None


def line_of(path: Path, keys: Sequence[str | int]) -> str:
    """`path:line` of a key in a YAML file, for checks that need more than one file."""
    return f"{path}:{_line_of(path.read_text(encoding='utf-8'), keys)}"


def _complaint(path: Path, text: str, error: ValidationError) -> str:
    # A misspelt key is told before the key that it leaves missing.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    keys = [key for key in first["loc"] if not (isinstance(key, str) and key.startswith("function-"))]
    if first["type"] == "wrong_key":
        keys += first["ctx"]["key"].split(".")
    others = error.error_count() - 1
    more = f" (and {others} more)" if others else ""
    name = ".".join(_shown(key) for key in keys) or "file"
    return f"{path}:{_line_of(text, keys)}: {name}: {in_plain_words(first)}{more}"


def _shown(key: str | int) -> str:
    text = str(key)
    return text if text.isprintable() and len(text) <= _LONGEST_KEY else reprlib.repr(text)


def _line_of(text: str, keys: Sequence[str | int]) -> int:
    node = yaml.compose(text, Loader=_Loader)
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
