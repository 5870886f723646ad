"""Damage to the numbers of an artifact: both sides refuse it with the same status, or compute the same bytes.

Most fields are varints, which other numbers make longer or shorter: what follows moves with them.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.random import Generator

from dccdka.packing import pack
from dccdka.packing.conformance import random_choices, random_graph, random_inputs

HEADER_BYTES = 20
LIMITS = (0, 1, 31, 127, 128, 255, 256, 65535, 65536, 1 << 26, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at this place, and where it ends."""
    value = 0
    for end in range(at, min(at + 5, len(data))):
        value |= (data[end] & 0x7F) << 7 * (end - at)
        if data[end] < 0x80:
            return value, end + 1
    return data[at], at + 1


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def with_length_and_checksum(artifact: bytes) -> bytes:
    covered = struct.pack("<I", len(artifact)) + artifact[12:]
    return artifact[:4] + struct.pack("<I", zlib.crc32(covered)) + covered


def damaged(generator: Generator, artifact: bytes) -> bytes:
    """With one to three numbers replaced by others, and length and checksum made right again."""
    for _ in range(generator.integers(1, 4)):
        reach = len(artifact) if generator.random() < 0.5 else min(len(artifact), HEADER_BYTES + 100)
        at = int(generator.integers(HEADER_BYTES, reach))
        value, end = read_varint(artifact, at)
        elsewhere, _ = read_varint(artifact, int(generator.integers(HEADER_BYTES, len(artifact))))
        others = (value + 1, value - 1, 2 * value, value // 2, value ^ 1 << int(generator.integers(8)), elsewhere)
        other = int(generator.choice([*others, *others, generator.choice(LIMITS)])) % (1 << 32)
        number = varint(other)
        if generator.random() < 0.02:  # longer than needed
            number = bytes([*number[:-1], number[-1] | 0x80, 0])
        artifact = artifact[:at] + number + artifact[end:]
    return with_length_and_checksum(artifact)


@pytest.mark.parametrize("seed", range(8))
def test_other_numbers_give_the_same_answer_on_both_sides(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    cases = []
    for case in range(500):
        if case % 20 == 0:
            graph = random_graph(generator, operators=1 + case // 20 % 5)
            artifact = pack(graph, choose=random_choices(generator))
            inputs = random_inputs(generator, graph, count=1).tobytes()
        cases.append((damaged(generator, artifact), inputs))
    assert sanitized_driver.agreed(cases) > 0
