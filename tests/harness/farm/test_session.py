"""What a session makes of an agent's answers: typed results, and errors that say whose fault it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_wire.framing import RESPONSE_BIT, Frame, FrameDecoder, encode_frame
from agent_wire.messages import Refused, encode_refusal
from agent_wire.protocol import PROTOCOL
from harness.errors import (
    ArtifactRejected,
    DeviceLost,
    DeviceUnreachable,
    DoesNotFit,
    ProtocolMismatch,
)
from harness.farm.session import Deadlines, Hello, Loaded, Session

SHORT = Deadlines(boot_s=0.05, step_s=0.05, first_verify_s=0.05)
INPUT = bytes(1500)

Open = Callable[..., Session]


@pytest.fixture
def open_session(link: Any, fake_agent: Any) -> Open:
    def open_session(agent: Any = None, deadlines: Deadlines | None = None) -> Session:
        return Session(link((agent or fake_agent()).server().receive), "board-7", deadlines)

    return open_session


def answering(payload_of: Callable[[Frame], bytes | None]) -> Callable[[bytes], Iterator[bytes]]:
    """An agent that answers every request with the payload given, or with silence."""

    def receive(data: bytes) -> Iterator[bytes]:
        for request in FrameDecoder().feed(data):
            payload = payload_of(request)
            if payload is not None:
                yield encode_frame(Frame(request.sequence, request.kind | RESPONSE_BIT, payload))

    return receive


def refusing(message: str, refusal: Refused, agent: Any) -> Callable[[bytes], Iterator[bytes]]:
    """The agent given, but for one message."""
    server = agent.server()

    def receive(data: bytes) -> Iterator[bytes]:
        for request in FrameDecoder().feed(data):
            if request.kind == PROTOCOL.messages[message].kind:
                payload = encode_refusal(refusal)
                yield encode_frame(Frame(request.sequence, request.kind | RESPONSE_BIT, payload))
            else:
                yield from server.receive(encode_frame(request))

    return receive


def test_hello_load_verify_and_run_give_what_the_agent_says(open_session: Open, fake_agent: Any) -> None:
    session = open_session()
    assert session.hello() == Hello(100_000, 1000, 2000, 3000, 40, "fake", "fake agent", "0")
    artifact = b"an artifact of more than one frame " * 100
    assert session.load(artifact) == Loaded(4000, 1500, 32)
    assert session.verify(INPUT) == fake_agent.output_of(artifact, INPUT)
    result = session.run(warm_ups=3, repeats=130)
    assert result.ticks == list(range(1, 131))
    assert result.durations_s == [tick / 1000 for tick in result.ticks]
    assert (result.arena_peak_bytes, result.stack_bytes, result.peak_rss_bytes) == (3999, 321, 0)
    assert session.result() == result
    assert session.reset().profile == "fake"


def test_a_second_harness_is_understood_whatever_sequences_the_first_used(link: Any, fake_agent: Any) -> None:
    server = fake_agent().server()
    for _ in range(50):
        assert Session(link(server.receive), "board-7").hello().profile == "fake"


def test_silence_at_hello_is_an_unreachable_device(link: Any) -> None:
    with pytest.raises(DeviceUnreachable, match=r"device board-7: no agent answered within 0\.05 s"):
        Session(link(lambda data: []), "board-7", SHORT).hello()


def test_silence_later_is_a_lost_device(link: Any, fake_agent: Any) -> None:
    board = link(fake_agent().server().receive)
    session = Session(board, "board-7", SHORT)
    session.hello()
    board.receive = lambda data: []
    with pytest.raises(DeviceLost, match="board-7: did not answer load_begin"):
        session.load(b"artifact")


def test_an_agent_that_refuses_our_version_is_named_with_both_versions(link: Any) -> None:
    refusal = encode_refusal(Refused("bad_version", "older", code=7))
    with pytest.raises(ProtocolMismatch, match=f"board-7: speaks protocol version 7, this harness {PROTOCOL.version}"):
        Session(link(answering(lambda request: refusal)), "board-7", SHORT).hello()


def test_an_agent_that_answers_with_another_version_is_named_with_both_versions(link: Any) -> None:
    hello = b"\0" + (9).to_bytes(2, "little") + bytes(20) + b"a;b;c"
    with pytest.raises(ProtocolMismatch, match="speaks protocol version 9"):
        Session(link(answering(lambda request: hello)), "board-7", SHORT).hello()


def test_an_answer_that_is_laid_out_otherwise_is_a_mismatch_and_no_crash(link: Any) -> None:
    with pytest.raises(ProtocolMismatch, match="answers outside protocol version"):
        Session(link(answering(lambda request: b"\0what")), "board-7", SHORT).hello()


@pytest.mark.parametrize("change", [{"identity": "nonsense"}, {"timer_hz": 0}])
def test_an_agent_that_does_not_say_what_it_is_is_a_mismatch(
    open_session: Open, fake_agent: Any, change: dict[str, Any]
) -> None:
    with pytest.raises(ProtocolMismatch, match="answers hello with"):
        open_session(fake_agent(**change)).hello()


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (
            Refused("too_large", "RAM", needed=200, available=100),
            DoesNotFit,
            "needs 200 B, device board-7 allows 100 B",
        ),
        (Refused("artifact_rejected", "no", code=9), ArtifactRejected, "code 9"),
        (Refused("hash_mismatch", "no"), DeviceLost, "other bytes than were sent"),
        (Refused("bad_state", "nothing here"), DeviceLost, "was reset in the middle of load_end"),
        (Refused("bad_message", "what"), ProtocolMismatch, "does not understand load_end"),
    ],
)
def test_a_refused_load_says_whose_fault_it_is(
    link: Any, fake_agent: Any, refusal: Refused, error: type[Exception], words: str
) -> None:
    session = Session(link(refusing("load_end", refusal, fake_agent())), "board-7")
    session.hello()
    with pytest.raises(error, match=re.escape(words)):
        session.load(b"artifact")


@pytest.mark.parametrize("status", ["run_failed", "guard_overwritten"])
def test_a_run_that_goes_wrong_is_the_artifacts_fault(link: Any, fake_agent: Any, status: str) -> None:
    session = Session(link(refusing("verify", Refused(status, "bad", code=3), fake_agent())), "board-7")
    session.hello()
    session.load(b"artifact")
    with pytest.raises(ArtifactRejected, match=f"board-7: {status}: bad"):
        session.verify(INPUT)


def test_figures_of_a_misfit_are_kept(link: Any, fake_agent: Any) -> None:
    refusal = Refused("too_large", "RAM for the artifact", needed=200_000, available=119_616)
    session = Session(link(refusing("load_begin", refusal, fake_agent())), "board-7")
    session.hello()
    with pytest.raises(DoesNotFit) as misfit:
        session.load(b"artifact")
    assert (misfit.value.needed, misfit.value.available) == (200_000, 119_616)


def test_a_device_that_was_reset_while_verifying_is_lost(link: Any, fake_agent: Any) -> None:
    board = link(fake_agent().server().receive)
    session = Session(board, "board-7")
    session.hello()
    session.load(b"artifact")
    board.receive = fake_agent().server().receive  # a fresh one
    with pytest.raises(DeviceLost, match="was reset"):
        session.verify(INPUT)


def test_an_output_of_another_length_than_announced_is_a_mismatch(open_session: Open, fake_agent: Any) -> None:
    session = open_session(fake_agent(output_bytes=31))
    session.hello()
    session.load(b"artifact")
    with pytest.raises(ProtocolMismatch, match="announced 31 bytes of output"):
        session.verify(INPUT)


def test_steps_out_of_order_are_the_callers_mistake(open_session: Open) -> None:
    session = open_session()
    session.hello()
    with pytest.raises(RuntimeError, match="verify before load"):
        session.verify(INPUT)
    session.load(b"artifact")
    with pytest.raises(ValueError, match="1500 bytes of input, not 1"):
        session.verify(b"x")
    with pytest.raises(RuntimeError, match="run before verify"):
        session.run(0, 1)
    session.verify(INPUT)
    with pytest.raises(RuntimeError, match="result before run"):
        session.result()
    for repeats in (0, PROTOCOL.max_repeats + 1):
        with pytest.raises(ValueError, match="repeats"):
            session.run(0, repeats)


def test_leaving_the_session_closes_the_transport(link: Any, fake_agent: Any) -> None:
    board = link(fake_agent().server().receive)
    with Session(board, "board-7"):
        assert not board.closed
    assert board.closed
