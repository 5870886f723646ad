"""The agent's side: each request is carried out once, and what is not understood is refused, not fatal."""

import pytest

from agent_wire.framing import RESPONSE_BIT, Frame, FrameDecoder, encode_frame
from agent_wire.messages import (
    MalformedMessage,
    Refused,
    decode_response,
    encode_request,
)
from agent_wire.protocol import PROTOCOL
from agent_wire.server import AgentServer


class Recorder:
    """Handlers that note what they are asked and answer with nothing, or refuse."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        handlers = {name: self.note(name) for name in PROTOCOL.messages}
        handlers["verify"] = self.refuse
        self.server = AgentServer(handlers)

    def note(self, name):
        def handler(fields):
            self.asked.append(name)
            if name == "hello":
                return {
                    "pool_bytes": 1,
                    "timer_hz": 2,
                    "core_hz": 3,
                    "runtime_code_bytes": 4,
                    "static_bytes": 5,
                    "identity": "a;b;c",
                }
            return {}

        return handler

    def refuse(self, fields):
        raise Refused("bad_state", "no artifact")

    def ask(self, sequence: int, name: str, **values) -> list[Frame]:
        frame = Frame(sequence, *encode_request(name, values))
        return [
            answer for encoded in self.server.receive(encode_frame(frame)) for answer in FrameDecoder().feed(encoded)
        ]


@pytest.fixture
def agent() -> Recorder:
    return Recorder()


def test_an_answer_carries_the_sequence_and_the_kind_of_its_request(agent: Recorder) -> None:
    (answer,) = agent.ask(7, "run", warm_ups=1, repeats=2)
    assert (answer.sequence, answer.kind) == (7, PROTOCOL.messages["run"].kind | RESPONSE_BIT)


def test_a_request_seen_twice_is_answered_twice_and_carried_out_once(agent: Recorder) -> None:
    first = agent.ask(7, "run", warm_ups=1, repeats=2)
    assert agent.ask(7, "run", warm_ups=1, repeats=2) == first
    assert agent.asked == ["run"]


def test_a_late_duplicate_is_not_carried_out(agent: Recorder) -> None:
    agent.ask(7, "input_chunk", offset=0, data=b"old")
    agent.ask(8, "input_chunk", offset=0, data=b"new")
    (answer,) = agent.ask(7, "input_chunk", offset=0, data=b"old")
    with pytest.raises(Refused, match="past"):
        decode_response("input_chunk", answer.payload)
    assert agent.asked == ["input_chunk", "input_chunk"]


def test_sequences_go_on_beyond_the_end_of_their_range(agent: Recorder) -> None:
    agent.ask(0xFFFF, "reset")
    agent.ask(0, "reset")
    assert agent.asked == ["reset", "reset"]


def test_hello_with_another_version_is_refused_with_the_agents_own(agent: Recorder) -> None:
    (answer,) = agent.ask(1, "hello", version=PROTOCOL.version + 1)
    with pytest.raises(Refused) as caught:
        decode_response("hello", answer.payload)
    assert (caught.value.status, caught.value.code) == ("bad_version", PROTOCOL.version)
    assert agent.asked == []


def test_hello_answers_with_the_version_of_the_protocol(agent: Recorder) -> None:
    (answer,) = agent.ask(1, "hello", version=PROTOCOL.version)
    assert decode_response("hello", answer.payload)["version"] == PROTOCOL.version


def test_refusals_unknown_kinds_and_wrong_lengths_become_answers(agent: Recorder) -> None:
    (refused,) = agent.ask(1, "verify")
    with pytest.raises(Refused, match="no artifact"):
        decode_response("verify", refused.payload)
    for sequence, frame in [(2, Frame(2, 99, b"")), (3, Frame(3, 7, b"x"))]:
        (encoded,) = agent.server.receive(encode_frame(frame))
        (answer,) = FrameDecoder().feed(encoded)
        assert (answer.sequence, answer.payload[0]) == (sequence, PROTOCOL.statuses["bad_message"])


def test_responses_and_noise_on_the_line_are_not_answered(agent: Recorder) -> None:
    assert list(agent.server.receive(b"noise\0" + encode_frame(Frame(1, 0x81, b"\0")))) == []


def test_a_server_without_a_handler_for_every_message_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no handler for hello"):
        AgentServer({name: lambda fields: {} for name in PROTOCOL.messages if name != "hello"})


def test_a_response_of_another_layout_is_malformed_in_the_harness() -> None:
    with pytest.raises(MalformedMessage, match="hello"):
        decode_response("hello", b"\0\1")
