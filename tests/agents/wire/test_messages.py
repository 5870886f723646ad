"""Payloads against the definition file, and the committed C header against the same file."""

from pathlib import Path

import pytest

from agent_wire.generate_header import header
from agent_wire.messages import (
    MalformedMessage,
    Refused,
    decode_request,
    decode_response,
    encode_refusal,
    encode_request,
    encode_response,
)
from agent_wire.protocol import PROTOCOL

SAMPLES = {
    "u8": 200,
    "u16": 60_000,
    "u32": 4_000_000_000,
    "u64": 1 << 60,
    "bytes32": bytes(range(32)),
    "text": "stm32f405;firmware;é",
    "bytes": b"\0\1\2",
    "u64s": [1, 1 << 63],
}


def sample(layout):
    return {name: SAMPLES[kind] for name, kind in (*layout.scalars, *([layout.tail] if layout.tail else []))}


@pytest.mark.parametrize("name", PROTOCOL.messages)
def test_every_message_decodes_to_what_was_encoded(name: str) -> None:
    message = PROTOCOL.messages[name]
    assert decode_request(*encode_request(name, sample(message.request))) == (name, sample(message.request))
    assert decode_response(name, encode_response(name, sample(message.response))) == sample(message.response)


@pytest.mark.parametrize("name", PROTOCOL.messages)
def test_a_request_cut_short_is_malformed(name: str) -> None:
    layout = PROTOCOL.messages[name].request
    kind, payload = encode_request(name, sample(layout))
    if layout.head.size:
        with pytest.raises(MalformedMessage, match=name):
            decode_request(kind, payload[: layout.head.size - 1])
    if layout.tail is None:
        with pytest.raises(MalformedMessage, match=name):
            decode_request(kind, payload + b"x")


def test_a_refusal_is_raised_on_the_other_side_with_all_its_figures() -> None:
    refusal = Refused("too_large", "the pool is small", code=7, needed=200_000, available=120_000)
    with pytest.raises(Refused) as caught:
        decode_response("load_begin", encode_refusal(refusal))
    raised = caught.value
    assert (raised.status, raised.message, raised.code, raised.needed, raised.available) == (
        "too_large",
        "the pool is small",
        7,
        200_000,
        120_000,
    )


def test_a_refusal_with_a_long_reason_still_fits_a_frame() -> None:
    assert len(encode_refusal(Refused("run_failed", "é" * 2000))) <= PROTOCOL.max_payload


def test_unknown_kinds_statuses_and_half_numbers_are_malformed() -> None:
    with pytest.raises(MalformedMessage, match="kind 99"):
        decode_request(99, b"")
    with pytest.raises(MalformedMessage, match="200"):
        decode_response("run", b"\xc8")
    with pytest.raises(MalformedMessage, match="empty"):
        decode_response("run", b"")
    whole = encode_response("result", sample(PROTOCOL.messages["result"].response))
    with pytest.raises(MalformedMessage, match="u64"):
        decode_response("result", whole[:-1])


def test_the_committed_header_is_the_one_that_the_definition_generates() -> None:
    committed = Path(__file__).parents[3] / "agents" / "wire" / "wire_protocol.h"
    assert committed.read_text() == header(), "run python -m agent_wire.generate_header"
