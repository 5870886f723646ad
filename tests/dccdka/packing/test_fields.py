"""Numbers of records are as short as they can be, and nothing longer is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.packing import ArtifactError, ArtifactStatus, PackingError
from dccdka.packing.fields import FieldReader, FieldWriter


def written(*values: int, signed: bool = False) -> bytes:
    fields = FieldWriter("record")
    (fields.s if signed else fields.u)(*values)
    return bytes(fields.data)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2"), (2**32 - 1, b"\xff\xff\xff\xff\x0f")],
)
def test_unsigned_numbers_by_hand(value, data):
    assert written(value) == data
    assert FieldReader(data, 0).u() == value


@pytest.mark.parametrize(("value", "data"), [(0, b"\0"), (-1, b"\1"), (1, b"\2"), (-64, b"\x7f"), (64, b"\x80\1")])
def test_signed_numbers_by_hand(value, data):
    assert written(value, signed=True) == data
    assert FieldReader(data, 0).s() == value


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_numbers_come_back_one_after_the_other(values):
    reader = FieldReader(written(*values, signed=True), 0)
    assert [reader.s() for _ in values] == values
    assert reader.at == len(reader.data)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\0", b"\xff\x80\0", b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\xff\1"]
)
def test_a_number_that_is_cut_off_too_long_or_too_large_is_refused(data):
    with pytest.raises(ArtifactError) as caught:
        FieldReader(data, 0).u()
    assert caught.value.status == ArtifactStatus.DATA_RANGE


def test_what_no_field_holds_is_refused():
    for method, value in (("u8", 256), ("u8", -1), ("i8", 128), ("u", 2**32), ("u", -1), ("s", 2**31)):
        with pytest.raises(PackingError, match="record: a size exceeds"):
            getattr(FieldWriter("record"), method)(value)


def test_bytes_behind_the_end_are_refused():
    reader = FieldReader(b"abcd", 1)
    assert reader.take(2) == b"bc"
    with pytest.raises(ArtifactError, match="ends inside"):
        reader.take(2)
