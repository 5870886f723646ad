"""INDEXED: an index into the codebook for each weight. BITMAP: a bit for each weight, an index for each nonzero one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.encoding.bits import Bytes, pack_mapped, unpack_mapped, whole_bytes
from dccdka.packing.encoding.codebook import Codebook, codebook_bytes, read_codebook
from dccdka.packing.encoding.errors import StreamError, require_size


def indexed_bytes(codebook: Codebook, weights: int) -> int:
    """Of codebook and indices."""
    return codebook.size + whole_bytes(weights * codebook.bits)


def encode_indexed(codes: Bytes, codebook: Codebook) -> bytes:
    """Without the codebook."""
    return pack_mapped(codes, codebook.index_table(), codebook.bits)


def decode_indexed(data: Bytes, bits: int, gap_bits: int, weights: int) -> Bytes:
    """uint8 [weights]. Raises StreamError unless data are exactly codebook and indices."""
    begin = codebook_bytes(1 << bits, gap_bits)
    require_size(data, begin + whole_bytes(weights * bits))
    return unpack_mapped(data[begin:], read_codebook(data, 1 << bits, gap_bits), bits, weights)


def bitmap_bytes(codebook: Codebook, weights: int, nonzeros: int) -> int:
    """Of codebook, bitmap and indices."""
    return codebook.size + whole_bytes(weights) + whole_bytes(nonzeros * codebook.bits)


def encode_bitmap(codes: Bytes, zero_point: int, codebook: Codebook) -> bytes:
    """Without the codebook."""
    mask = codes != zero_point
    bitmap = np.packbits(mask, bitorder="little").tobytes()
    return bitmap + pack_mapped(codes[mask], codebook.index_table(), codebook.bits)


def decode_bitmap(data: Bytes, bits: int, gap_bits: int, weights: int, zero_point: int) -> Bytes:
    """uint8 [weights]. Raises StreamError unless data are exactly codebook, bitmap and indices."""
    begin = codebook_bytes(1 << bits, gap_bits)
    indices_at = begin + whole_bytes(weights)
    if indices_at > len(data):
        raise StreamError("its bitmap is cut off")
    mask = _unpack_mask(data[begin:], weights)
    nonzeros = int(np.count_nonzero(mask))
    require_size(data, indices_at + whole_bytes(nonzeros * bits))
    codes = np.full(weights, zero_point, np.uint8)
    codes[mask] = unpack_mapped(data[indices_at:], read_codebook(data, 1 << bits, gap_bits), bits, nonzeros)
    return codes


def _unpack_mask(stream: Bytes, weights: int) -> NDArray[np.bool_]:
    return np.unpackbits(stream[: whole_bytes(weights)], count=weights, bitorder="little").view(bool)
