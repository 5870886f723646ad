"""What a wrong argument is, in the words of a message."""

from __future__ import annotations


def kind_of(value: object) -> str:
    """ "None", "a dict", "an int", or "the class Net" where an instance was meant."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
