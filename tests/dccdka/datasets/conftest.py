"""What the tests of several formats write."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PickleWriter = Callable[..., bytes]
ImageWriter = Callable[..., Path]


def _string(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text


def _whole_number(number: int) -> bytes:
    if number < 256:
        return b"K" + bytes([number])
    return b"M" + struct.pack("<H", number) if number < 65536 else b"J" + struct.pack("<i", number)


@pytest.fixture
def python2_pickle() -> PickleWriter:
    """Writes {"batch_label": ..., KEY: labels, "data": pixels} with the opcodes of Python 2's cPickle, protocol 2."""

    def write(pixels: np.ndarray, labels: list[int], key: bytes = b"labels", dtype: bytes = b"u1") -> bytes:
        shape = b"".join(_whole_number(length) for length in pixels.shape) + b"\x86"
        return b"".join(
            [
                b"\x80\x02}q\x01(",
                *(_string(b"batch_label"), b"q\x02", _string(b"training batch 1 of 5"), b"q\x03"),
                *(_string(key), b"q\x04]q\x05(", *(_whole_number(label) for label in labels), b"e"),
                *(_string(b"data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08"),
                *(b"K\x00\x85", _string(b"b"), b"\x87Rq\x09(K\x01", shape),
                *(b"cnumpy\ndtype\nq\x0a", _string(dtype), b"K\x00K\x01\x87Rq\x0b"),
                *(b"(K\x03", _string(b"|"), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"),
                *(_string(pixels.tobytes()), b"tb"),
                *(_string(b"filenames"), b"q\x0c]q\x0d(", _string(b"a.png"), b"q\x0e", _string(b"b.png"), b"q\x0feu."),
            ]
        )

    return write


@pytest.fixture
def write_image() -> ImageWriter:
    """Writes an image file of one colour, or of the pixels given, and the folders above it."""

    def write(path: Path, pixels: int | tuple[int, ...] | np.ndarray = 0, size: tuple[int, int] = (4, 6)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(pixels, np.ndarray):
            channels = () if isinstance(pixels, int) else (len(pixels),)
            pixels = np.broadcast_to(np.array(pixels, np.uint8), (*size, *channels))
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        return path

    return write
