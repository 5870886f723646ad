"""The frame codec against any bytes: what is sent arrives, what is damaged never does, memory stays bounded."""

from hypothesis import given
from hypothesis import strategies as st

from agent_wire.framing import (
    MAX_ENCODED,
    Frame,
    FrameDecoder,
    cobs_decode,
    cobs_encode,
    encode_frame,
)
from agent_wire.protocol import PROTOCOL

payloads = st.binary(max_size=PROTOCOL.max_payload)
frames = st.builds(Frame, st.integers(0, 0xFFFF), st.integers(0, 0xFF), payloads)


def test_cobs_gives_the_published_examples() -> None:
    # From the COBS paper's notation as commonly tabulated: (data, encoding).
    for data, encoded in [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("11220033", "0311220233"),
        ("11000000", "0211010101"),
        (bytes(range(1, 254)).hex(), "fe" + bytes(range(1, 254)).hex()),
        ("00" + bytes(range(1, 254)).hex(), "01fe" + bytes(range(1, 254)).hex()),
    ]:
        assert cobs_encode(bytes.fromhex(data)).hex() == encoded


@given(st.binary(max_size=1100))
def test_cobs_decodes_what_it_encodes_and_the_encoding_has_no_zero(data: bytes) -> None:
    assert 0 not in cobs_encode(data)
    assert cobs_decode(cobs_encode(data)) == data


def test_runs_of_254_bytes_without_a_zero_survive() -> None:
    for length in (253, 254, 255, 508, 509, 1031):
        assert cobs_decode(cobs_encode(b"\x01" * length)) == b"\x01" * length
        assert cobs_decode(cobs_encode(b"\x01" * length + b"\0")) == b"\x01" * length + b"\0"


@given(st.lists(frames, max_size=4), st.integers(1, 700))
def test_frames_survive_a_stream_cut_into_pieces_of_any_size(sent: list[Frame], piece: int) -> None:
    stream = b"".join(encode_frame(frame) for frame in sent)
    decoder = FrameDecoder()
    received = [frame for at in range(0, len(stream), piece) for frame in decoder.feed(stream[at : at + piece])]
    assert received == sent
    assert decoder.dropped == 0


@given(frames, st.data())
def test_a_frame_with_one_damaged_bit_is_never_delivered(frame: Frame, data: st.DataObject) -> None:
    stream = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(0, 8 * len(stream) - 9))  # the delimiter itself is left alone
    stream[bit // 8] ^= 1 << bit % 8
    assert list(FrameDecoder().feed(bytes(stream))) == []


@given(st.binary(max_size=2000), frames)
def test_after_any_noise_and_a_delimiter_the_next_frame_arrives(noise: bytes, frame: Frame) -> None:
    decoder = FrameDecoder()
    assert [*decoder.feed(noise), *decoder.feed(b"\0" + encode_frame(frame))][-1] == frame


def test_the_longest_frame_is_as_long_as_announced_and_fits() -> None:
    frame = Frame(0xFFFF, 0xFF, b"\xff" * PROTOCOL.max_payload)
    encoded = encode_frame(frame)
    assert len(encoded) <= MAX_ENCODED + 1
    assert list(FrameDecoder().feed(encoded)) == [frame]


def test_endless_noise_without_a_delimiter_does_not_grow_the_decoder() -> None:
    decoder = FrameDecoder()
    for _ in range(100):
        assert list(decoder.feed(b"\xaa" * 4096)) == []
    assert len(decoder._pending) <= MAX_ENCODED + 1
    assert list(decoder.feed(b"\0" + encode_frame(Frame(1, 2, b"x")))) == [Frame(1, 2, b"x")]
    assert decoder.dropped == 1
