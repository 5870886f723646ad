"""The firmware's frame codec, CRC and SHA-256, built for this machine, against Python's own."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_wire.framing import MAX_ENCODED, Frame, FrameDecoder, encode_frame
from agent_wire.protocol import PROTOCOL

AGENTS = Path(__file__).resolve().parents[3] / "agents"
CORE = AGENTS / "firmware" / "core"
FLAGS = "-std=c99 -O1 -g -fPIC -shared -Wall -Wextra -Wconversion -Werror"
# No sanitizer runtime can be preloaded into this Python: bounds and overflows trap instead.
TRAPS = "-fsanitize=undefined -fsanitize-undefined-trap-on-error"

payloads = st.binary(max_size=PROTOCOL.max_payload) | st.integers(250, 260).map(lambda n: b"\x01" * n)
frames = st.builds(Frame, st.integers(0, 0xFFFF), st.integers(0, 0xFF), payloads)


class ReceivedFrame(ctypes.Structure):
    """struct frame of frame.h."""

    _fields_ = (
        ("sequence", ctypes.c_uint16),
        ("kind", ctypes.c_uint8),
        ("crc", ctypes.c_uint32),
        ("payload", ctypes.POINTER(ctypes.c_uint8)),
        ("payload_bytes", ctypes.c_size_t),
    )


class Decoder(ctypes.Structure):
    """frame_decoder of frame.h, with bytes behind it that nobody may touch."""

    _fields_ = (
        ("bytes", ctypes.c_uint8 * MAX_ENCODED),
        ("count", ctypes.c_size_t),
        ("canary", ctypes.c_uint8 * 64),
    )


class Codec:
    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.library.frame_encode.restype = ctypes.c_size_t
        self.library.frame_decoder_push.restype = ctypes.c_bool
        self.library.crc32.restype = ctypes.c_uint32

    def encode(self, frame: Frame) -> bytes:
        encoded = ctypes.create_string_buffer(MAX_ENCODED + 1)
        length = self.library.frame_encode(
            ctypes.c_uint16(frame.sequence),
            ctypes.c_uint8(frame.kind),
            frame.payload,
            ctypes.c_size_t(len(frame.payload)),
            encoded,
        )
        return encoded.raw[:length]

    def decode(self, stream: bytes) -> list[Frame]:
        decoder, received, frames = Decoder(), ReceivedFrame(), []
        for byte in stream:
            if self.library.frame_decoder_push(ctypes.byref(decoder), ctypes.c_uint8(byte), ctypes.byref(received)):
                payload = bytes(received.payload[: received.payload_bytes])
                frames.append(Frame(received.sequence, received.kind, payload))
        assert bytes(decoder.canary) == bytes(64)
        return frames


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    library = tmp_path_factory.mktemp("codec") / "codec.so"
    sources = [CORE / "frame.c", CORE / "crc32.c", CORE / "sha256.c"]
    command = ["cc", *FLAGS.split(), *TRAPS.split(), f"-I{AGENTS / 'wire'}", *sources, "-o", library]
    subprocess.run(command, check=True)
    return Codec(ctypes.CDLL(str(library)))


@given(frame=frames)
def test_the_firmware_encodes_every_frame_so_that_python_reads_it(codec: Codec, frame: Frame) -> None:
    assert list(FrameDecoder().feed(codec.encode(frame))) == [frame]


@given(sent=st.lists(frames, max_size=3))
def test_the_firmware_reads_every_frame_that_python_encodes(codec: Codec, sent: list[Frame]) -> None:
    assert codec.decode(b"".join(encode_frame(frame) for frame in sent)) == sent


@given(noise=st.binary(max_size=3000), frame=frames)
def test_the_firmware_reads_the_frame_after_any_noise_and_a_delimiter(codec: Codec, noise: bytes, frame: Frame) -> None:
    assert codec.decode(noise + b"\0" + encode_frame(frame))[-1] == frame


@given(frame=frames, data=st.data())
def test_the_firmware_drops_a_frame_with_one_damaged_bit(codec: Codec, frame: Frame, data: st.DataObject) -> None:
    stream = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(0, 8 * len(stream) - 9))
    stream[bit // 8] ^= 1 << bit % 8
    assert codec.decode(bytes(stream)) == []


def test_the_longest_frame_passes_both_ways(codec: Codec) -> None:
    frame = Frame(0xFFFF, 0xFF, b"\xff" * PROTOCOL.max_payload)
    assert codec.decode(codec.encode(frame)) == [frame]


@given(data=st.binary(max_size=1000))
def test_crc_and_sha256_are_those_of_the_standards(codec: Codec, data: bytes) -> None:
    digest = ctypes.create_string_buffer(32)
    codec.library.sha256(data, ctypes.c_size_t(len(data)), digest)
    assert digest.raw == hashlib.sha256(data).digest()
    assert codec.library.crc32(data, ctypes.c_size_t(len(data))) == zlib.crc32(data)


def test_sha256_is_right_at_every_length_around_its_blocks(codec: Codec) -> None:
    digest = ctypes.create_string_buffer(32)
    for length in range(200):
        data = bytes(range(length))
        codec.library.sha256(data, ctypes.c_size_t(length), digest)
        assert digest.raw == hashlib.sha256(data).digest()
