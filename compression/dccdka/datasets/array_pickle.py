"""Reads the dictionaries of arrays and lists that Python 2 pickled (protocol 2), without executing anything.

A pickle is a program for a stack machine (the opcodes are documented in Python's pickletools). This interpreter knows
only the opcodes that dictionaries of numbers, strings, lists and uint8 arrays are made of, imports nothing, and calls
nothing: "make an array" and "make a dtype" are recognised by name and done by hand. Everything else is refused by name.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dccdka.function_reference import in_one_line

# CIFAR-100's training batch, the largest that there is, takes some 250,000. An operation may be a byte of the file that
# makes an object of a hundred: more of them would only fill the memory.
_MOST_OPERATIONS = 1_000_000


class PickleRefused(Exception):
    """The bytes are no pickle of plain arrays; the message says what was met."""


@dataclass(frozen=True)
class _Global:
    name: str


class _UnsignedBytes:
    """The dtype |u1."""


class _Array:
    """numpy pickles an array as an empty one, to which its state is given afterwards."""

    content: NDArray[np.uint8] | None = None


_RECONSTRUCT = _Global("numpy.core.multiarray _reconstruct")
_NDARRAY = _Global("numpy ndarray")
_DTYPE = _Global("numpy dtype")
_GLOBALS = {known.name: known for known in (_RECONSTRUCT, _NDARRAY, _DTYPE)}
_MARK = object()
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_array_pickle(data: bytes) -> dict[bytes, Any]:
    """The dictionary in a pickle; its values are bytes, int, bool, None, tuple, list, dict and uint8 arrays.

    The arrays cannot be written to: each is a view of a string of the pickle. Raises PickleRefused naming what no such
    pickle has: an opcode, a function or class, or a damaged end.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if count > _MOST_OPERATIONS:
                raise PickleRefused(f"it has more than {_MOST_OPERATIONS:,} operations")
            machine.execute(opcode.name, argument, position or 0)
    except ValueError as error:  # of pickletools: an unknown opcode, or the end in the middle of one
        raise PickleRefused(f"it is damaged or no pickle ({in_one_line(error)})") from error
    return machine.result()


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> dict[bytes, Any]:
        value = _finished(self._pop())
        if not isinstance(value, dict):
            raise PickleRefused(f"it holds a {type(value).__name__}, not a dictionary")
        return {key: _finished(entry) for key, entry in value.items()}

    def execute(self, name: str, argument: Any, position: int) -> None:
        match name:
            case "PROTO":
                if argument != 2:
                    raise PickleRefused(f"its protocol is {argument}, not 2")
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE" | "MARK":
                self._stack.append(_CONSTANTS[name])
            case "EMPTY_DICT":
                self._stack.append({})
            case "EMPTY_LIST":
                self._stack.append([])
            case "BININT" | "BININT1" | "BININT2":
                self._stack.append(argument)
            case "SHORT_BINSTRING" | "BINSTRING":
                self._stack.append(argument.encode("latin-1"))  # pickletools decodes Python 2's bytes so
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._top()
            case "BINGET" | "LONG_BINGET":
                if argument not in self._memo:
                    raise PickleRefused(f"it recalls entry {argument}, which it never stored (byte {position})")
                self._stack.append(self._memo[argument])
            case "TUPLE":
                self._stack.append(tuple(self._pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(tuple(reversed([self._pop() for _ in range(_TUPLES[name])])))
            case "APPEND" | "APPENDS":
                entries = [self._pop()] if name == "APPEND" else self._pop_to_mark()
                self._top_as(list).extend(entries)
            case "SETITEM" | "SETITEMS":
                pairs = [self._pop(), self._pop()][::-1] if name == "SETITEM" else self._pop_to_mark()
                self._top_as(dict).update(_items(pairs))
            case "GLOBAL":
                if argument not in _GLOBALS:
                    raise PickleRefused(f"it asks for {argument.replace(' ', '.')}, and nothing is executed here")
                self._stack.append(_GLOBALS[argument])
            case "REDUCE":
                arguments, function = self._pop(), self._pop()
                self._stack.append(_called(function, arguments))
            case "BUILD":
                state = self._pop()
                _give_state(self._top(), state)
            case "STOP":
                pass
            case _:
                raise PickleRefused(f"its operation {name} (byte {position}) is not one of a plain array's")

    def _top(self) -> Any:
        if not self._stack:
            raise PickleRefused("it takes from an empty stack")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self._stack.pop()
        if value is _MARK:
            raise PickleRefused("it takes a mark for a value")
        return value

    def _pop_to_mark(self) -> list[Any]:
        for start in range(len(self._stack) - 1, -1, -1):
            if self._stack[start] is _MARK:
                values = self._stack[start + 1 :]
                del self._stack[start:]
                return values
        raise PickleRefused("it lacks a mark")

    def _top_as(self, kind: type) -> Any:
        value = self._top()
        if not isinstance(value, kind):
            raise PickleRefused(f"it fills a {type(value).__name__} as if it were a {kind.__name__}")
        return value


def _items(pairs: list[Any]) -> Iterator[tuple[bytes, Any]]:
    if len(pairs) % 2:
        raise PickleRefused("a key of its dictionary has no value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, bytes):
            raise PickleRefused(f"a key of its dictionary is a {type(key).__name__}, not a string")
        yield key, value


def _called(function: Any, arguments: Any) -> _Array | _UnsignedBytes:
    if function is _RECONSTRUCT and arguments == (_NDARRAY, (0,), b"b"):
        return _Array()
    if function is _DTYPE and isinstance(arguments, tuple) and arguments[:1] == (b"u1",):
        return _UnsignedBytes()
    if function is _DTYPE:
        raise PickleRefused("it has an array of another type than uint8 ('u1')")
    raise PickleRefused("it calls what is not numpy's way to make an array")


def _give_state(target: Any, state: Any) -> None:
    if isinstance(target, _UnsignedBytes):
        return  # byte order and alignment: of single bytes, there is one
    if not isinstance(target, _Array):
        raise PickleRefused(f"it gives a state to a {type(target).__name__}")
    match state:
        case (1, tuple(shape), _UnsignedBytes(), bool() | 0 | 1 as fortran, bytes(pixels)) if _is_shape(shape):
            if math.prod(shape) != len(pixels):
                raise PickleRefused(f"its array of shape {list(shape)} has {len(pixels)} bytes")
            # No copy: the same string may be recalled for any number of arrays.
            target.content = np.frombuffer(pixels, np.uint8).reshape(shape, order="F" if fortran else "C")
        case _:
            raise PickleRefused("the state of its array is none that numpy writes for uint8")


def _is_shape(shape: tuple[Any, ...]) -> bool:
    return len(shape) <= 4 and all(type(length) is int and length >= 0 for length in shape)


def _finished(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    if value.content is None:
        raise PickleRefused("its array is without content")
    return value.content
