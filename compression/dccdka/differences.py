"""Where two collections of settings differ, told by the name of the field."""

from __future__ import annotations

import json

_LONGEST = 80


def first_difference(theirs: object, ours: object, there: str, here: str, name: str = "") -> str | None:
    """Where two JSON values differ first, by the name of the field; None when they are equal.

    there, here: where each side is, in the words of the message, such as "the file". name: of the values themselves.
    """
    if theirs == ours:
        return None
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            inner = f"{name}.{key}" if name else key
            if key not in theirs or key not in ours:
                return f"{inner} is only in {there if key in theirs else here}"
            found = first_difference(theirs[key], ours[key], there, here, inner)
            if found is not None:
                return found
    return f"{name} is {_short(theirs)} in {there}, {_short(ours)} in {here}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
