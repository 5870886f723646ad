"""Bytes as the numbers of a C array."""

from __future__ import annotations


def c_numbers(values: memoryview) -> str:
    """Lines of an initialiser, indented, with a comma behind each number."""
    numbers = values.tolist()
    lines = (numbers[i : i + 20] for i in range(0, len(numbers), 20))
    return "".join("    " + ", ".join(map(str, line)) + ",\n" for line in lines)
