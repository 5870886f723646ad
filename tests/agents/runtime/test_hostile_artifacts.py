"""Whatever the bytes, the loader gives an error or the run is clean, and both sides agree which.

The driver dies, and the test with it, on the first byte touched outside artifact or arena and on undefined behaviour.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from dccdka.packing import ArtifactError, pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs

LARGEST_ARENA = 1 << 20  # the driver's
ARENA_TOO_SMALL = 12
TRAILING_BYTES = "after its end"


def repaired(data: bytes, length: int | None = None) -> bytes:
    """With the checksum, and if asked the announced length, made right again."""
    if len(data) < 16:
        return data
    announced = struct.pack("<I", length if length is not None else struct.unpack_from("<I", data, 8)[0])
    end = struct.unpack("<I", announced)[0]
    return data[:8] + announced + struct.pack("<I", zlib.crc32(data[16:end])) + data[16:]


def sample(seed: int, operators: int = 4) -> tuple[bytes, bytes]:
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators)
    return pack(graph), random_inputs(generator, graph, count=1).tobytes()


def assert_both_sides_agree(driver, cases: list[tuple[bytes, bytes]]) -> int:
    """Compares status and output of every case; gives the number of cases that both accepted."""
    accepted = 0
    for (data, inputs), answer in zip(cases, driver.run(cases), strict=True):
        try:
            artifact = read_artifact(data)
        except ArtifactError as error:
            # A device may be given a buffer that is longer than the artifact in it.
            if TRAILING_BYTES not in str(error):
                assert answer.status == error.status, (error, data.hex())
            continue
        if artifact.arena_bytes > LARGEST_ARENA:
            assert answer.status == ARENA_TOO_SMALL
            continue
        assert answer.status == 0, data.hex()
        count = len(inputs) // artifact.input_bytes
        images = np.frombuffer(inputs, np.int8, count * artifact.input_bytes).reshape(count, *artifact.input_shape)
        assert answer.output == run_reference(artifact, images).tobytes(), data.hex()
        accepted += 1
    return accepted


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(artifact[:length], inputs) for length in range(len(artifact))]
    assert assert_both_sides_agree(sanitized_driver, cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_every_truncation_with_length_and_checksum_repaired_is_refused(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    cut = [(repaired(artifact[:length], length), inputs) for length in range(len(artifact))]
    assert assert_both_sides_agree(sanitized_driver, cut) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_is_refused_by_the_checksum(sanitized_driver, seed):
    artifact, inputs = sample(seed)
    flipped = []
    for at in range(len(artifact)):
        data = bytearray(artifact)
        data[at] ^= 1 << at % 8
        flipped.append((bytes(data), inputs))
    assert assert_both_sides_agree(sanitized_driver, flipped) == 0


@pytest.mark.parametrize("seed", range(8))
def test_damage_with_the_checksum_repaired_gives_the_same_answer_on_both_sides(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    cases = []
    for case in range(600):
        artifact, inputs = sample(seed * 1000 + case // 20, operators=1 + case % 5)
        data = bytearray(artifact)
        # Most of the structure is in the first bytes; the weights, which cannot be wrong, come last.
        for at in generator.integers(0, [len(data), min(len(data), 300)][case % 2], generator.integers(1, 4)):
            data[at] = generator.choice([0, 1, 127, 128, 255, data[at] ^ 1, data[at] + 1 & 255, data[at] - 1 & 255])
        cases.append((repaired(bytes(data)), inputs))
    assert assert_both_sides_agree(sanitized_driver, cases) > 0


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_behind_a_valid_header_are_refused_or_run_cleanly(sanitized_driver, seed):
    generator = np.random.default_rng(seed)
    artifact, inputs = sample(seed)
    cases = []
    for _ in range(300):
        tail = generator.integers(0, 256, len(artifact) - 36, dtype=np.uint8).tobytes()
        cases.append((repaired(artifact[:36] + tail), inputs))
    assert_both_sides_agree(sanitized_driver, cases)
