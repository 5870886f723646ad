"""What pydantic finds wrong with a value, in the words of who wrote the file."""

from __future__ import annotations

import reprlib
from typing import Any

from pydantic_core import ErrorDetails

_MAPPING = "must be a mapping of keys to values"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_TRUTH = "must be true or false"
# By pydantic's type of error, with the names of its context.
_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "this key is missing",
    "invalid_key": "a key must be a text: put it in quotes (on, off, yes and no are none in YAML)",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": "must be a text",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be of the form {pattern}",
    "path_type": "must be the path of a file",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "too_short": "must have {min_length} or more entries, has {actual_length}",
    "too_long": "must have at most {max_length} entries, has {actual_length}",
    "union_tag_not_found": "needs the key {discriminator}",
    "union_tag_invalid": "the key {discriminator} must be one of {expected_tags}",
}
# The key says what is wrong with it; its value adds nothing.
_WITHOUT_VALUE = ("extra_forbidden", "missing", "invalid_key", "wrong_key")


def in_plain_words(error: ErrorDetails) -> str:
    """One error of a ValidationError without its place; what was found is told where it is short."""
    context = {name: _shown(value) for name, value in error.get("ctx", {}).items()}
    words = _WORDS.get(error["type"])
    message = words.format(**context) if words is not None else error["msg"].removeprefix("Value error, ")
    given: Any = error.get("input")
    if error["type"] in _WITHOUT_VALUE or not (given is None or isinstance(given, str | int | float | bool)):
        return message
    return f"{message} (found: {'nothing' if given is None else reprlib.repr(given)})"


def _shown(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value
