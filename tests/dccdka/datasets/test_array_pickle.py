"""Python 2's pickles of arrays: read as numpy reads them, and nothing in any pickle is ever executed."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.datasets.array_pickle import PickleRefused, read_array_pickle

PIXELS = np.arange(2 * 300, dtype=np.uint16).astype(np.uint8).reshape(2, 300)


def test_a_python_2_pickle_is_read_as_pickle_itself_reads_it(python2_pickle: Callable[..., bytes]) -> None:
    data = python2_pickle(PIXELS, [3, 300, 70_000])
    ours, theirs = read_array_pickle(data), pickle.loads(data, encoding="bytes")  # noqa: S301  (our own bytes)
    assert ours.keys() == theirs.keys() == {b"batch_label", b"labels", b"data", b"filenames"}
    assert np.array_equal(ours.pop(b"data"), PIXELS)
    assert np.array_equal(theirs.pop(b"data"), PIXELS)
    assert ours == theirs


def test_columns_first_arrays_are_read_by_columns(python2_pickle: Callable[..., bytes]) -> None:
    data = python2_pickle(PIXELS, [1]).replace(b"K\x00tb\x89", b"K\x00tb\x88")
    assert np.array_equal(read_array_pickle(data)[b"data"], PIXELS.reshape(-1).reshape(2, 300, order="F"))


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_protocol_gets_a_command_executed(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "touched"
    data = pickle.dumps({b"data": Malicious(victim)}, protocol)
    with pytest.raises(PickleRefused):
        read_array_pickle(data)
    assert not victim.exists()
    pickle.loads(data)  # noqa: S301  (to see that the command would have run)
    assert victim.exists()


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (b"cposix\nsystem\nU\x09touch got\x85R", r"asks for posix\.system"),
        (b"c__builtin__\neval\nU\x011\x85R", r"asks for __builtin__\.eval"),
        (b"cnumpy\nndarray\nK\x01\x85R", "calls what is not numpy's way"),
        (b"(U\x09touch goti posix\nsystem\n", "INST|damaged"),
        (b"cnumpy\nndarray\n)\x81", "NEWOBJ"),
        (b"U\x01xQ", "BINPERSID"),
        (b"\x82\x01", "EXT1"),
        (b"}U\x01xb", "gives a state to a dict"),
        (b"h\x07", "recalls entry 7"),
        (b"(K\x01K\x02d", "DICT"),
    ],
)
def test_what_no_array_is_made_of_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: bytes, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickleRefused, match=named):
        read_array_pickle(b"\x80\x02}U\x04data" + hostile + b"s.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x80\x02]q\x01.", "holds a list, not a dictionary"),
        (b"\x80\x04}.", "protocol is 4, not 2"),
        (b"\x80\x02}K\x01K\x02s.", "a key of its dictionary is a int"),
        (b"\x80\x02}(U\x01au.", "has no value"),
        (b"\x80\x02e.", "lacks a mark"),
        (b"\x80\x02.", "empty stack"),
        (b"\x80\x02(.", "a mark for a value"),
        (b"\x80\x02K\x01K\x02a.", "fills a int as if it were a list"),
        (b"\x80\x02" + b")" + b"\x85" * 100_000 + b".", "holds a tuple"),
        (b"\x80\x02" + b"N" * 1_000_001 + b".", "more than 1,000,000 operations"),
        (b"", "damaged or no pickle"),
    ],
)
def test_a_pickle_that_is_no_dictionary_is_refused(data: bytes, named: str) -> None:
    with pytest.raises(PickleRefused, match=named):
        read_array_pickle(data)


def test_other_numbers_than_bytes_and_sizes_that_do_not_fit_are_refused(python2_pickle: Callable[..., bytes]) -> None:
    with pytest.raises(PickleRefused, match="another type than uint8"):
        read_array_pickle(python2_pickle(PIXELS, [1], dtype=b"O8"))
    with pytest.raises(PickleRefused, match=r"array of shape \[3, 300\] has 600 bytes"):
        read_array_pickle(python2_pickle(PIXELS, [1]).replace(b"K\x02M\x2c\x01\x86", b"K\x03M\x2c\x01\x86"))
    without_state = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs."
    with pytest.raises(PickleRefused, match="without content"):
        read_array_pickle(without_state)


def test_a_string_that_is_recalled_for_many_arrays_is_in_memory_once() -> None:
    length = 1_000_000
    arrays = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01J" + struct.pack("<i", length) + b"\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89h\x01tb"
    ) * 400
    string = b"T" + struct.pack("<i", length) + bytes(length) + b"q\x01"
    data = b"\x80\x02}(U\x01a" + string + b"U\x01b](" + arrays + b"eu."
    tracemalloc.start()
    try:
        assert len(read_array_pickle(data)[b"b"]) == 400
        assert tracemalloc.get_traced_memory()[1] < 5 * len(data)
    finally:
        tracemalloc.stop()


def test_every_truncated_pickle_is_refused(python2_pickle: Callable[..., bytes]) -> None:
    data = python2_pickle(PIXELS, [3, 4])
    for length in range(len(data)):
        with pytest.raises(PickleRefused):
            read_array_pickle(data[:length])


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused_and_nothing_is_imported(position: int, byte: int) -> None:
    data = bytearray(_small_pickle())
    data[position % len(data)] = byte
    modules = set(sys.modules)
    began = time.monotonic()
    try:
        assert isinstance(read_array_pickle(bytes(data)), dict)
    except PickleRefused as refused:
        assert str(refused)
    # A codec that Python's own reader of texts loads is no import of the pickle's.
    assert not {name for name in set(sys.modules) - modules if not name.startswith("encodings.")}
    assert time.monotonic() - began < 5


def _small_pickle() -> bytes:
    return (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x01K\x02eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04abcdtbu."
    )
