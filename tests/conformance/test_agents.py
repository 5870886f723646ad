"""What every agent must do, whatever it runs on and however it is reached."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from agent_wire.framing import MAX_ENCODED, Frame, encode_frame
from agent_wire.messages import Refused, decode_response
from agent_wire.protocol import PROTOCOL
from dccdka.packing import ArtifactStatus, read_artifact
from harness.errors import ArtifactRejected, DeviceLost
from harness.farm.session import Session

_CHUNK = 256


def load(raw: Any, artifact: bytes, announced_hash: bytes | None = None) -> None:
    digest = announced_hash or hashlib.sha256(artifact).digest()
    raw.ask("load_begin", artifact_bytes=len(artifact), sha256=digest)
    for offset in range(0, len(artifact), _CHUNK):
        raw.ask("load_chunk", offset=offset, data=artifact[offset : offset + _CHUNK])
    raw.ask("load_end")


def test_hello_tells_figures_that_can_be_true(session: Session) -> None:
    hello = session.hello()
    assert hello.pool_bytes > 32 * 1024
    assert hello.timer_hz > 1_000_000
    assert 1_000 < hello.runtime_code_bytes < 200_000
    assert 0 < hello.static_bytes < 4096
    assert hello.profile
    assert hello.agent
    assert hello.build


def test_outputs_are_the_reference_interpreters_bytes(session: Session, candidates: list[Any]) -> None:
    for candidate in candidates:
        artifact = read_artifact(candidate.artifact)
        loaded = session.load(candidate.artifact)
        assert loaded.arena_bytes == artifact.arena_bytes
        assert (loaded.input_bytes, loaded.output_bytes) == (artifact.input_bytes, artifact.output_bytes)
        held = [output[: session.longest_output] for output in candidate.outputs]
        assert [session.verify(sample) for sample in candidate.inputs] == held


def test_a_run_gives_as_many_durations_as_asked_for_and_watermarks_within_bounds(
    session: Session, candidates: list[Any]
) -> None:
    loaded = session.load(candidates[0].artifact)
    session.verify(candidates[0].inputs[0])
    for repeats in (1, 64, 65, PROTOCOL.max_repeats):
        result = session.run(warm_ups=1, repeats=repeats)
        assert len(result.durations_s) == len(result.ticks) == repeats
        assert all(0 < duration < 1 for duration in result.durations_s)
    assert 0 < result.arena_peak_bytes <= loaded.arena_bytes
    assert 0 < result.stack_bytes < 64 * 1024


def test_a_run_leaves_the_answers_right(session: Session, candidates: list[Any]) -> None:
    session.load(candidates[1].artifact)
    session.verify(candidates[1].inputs[0])
    session.run(warm_ups=2, repeats=3)
    assert session.verify(candidates[1].inputs[0]) == candidates[1].outputs[0]
    assert session.verify(candidates[1].inputs[1]) == candidates[1].outputs[1]


def test_an_artifact_takes_the_place_of_the_one_before(session: Session, candidates: list[Any]) -> None:
    for candidate in (candidates[2], candidates[3], candidates[2]):
        session.load(candidate.artifact)
        assert session.verify(candidate.inputs[0]) == candidate.outputs[0]


def test_after_a_reset_nothing_is_loaded(raw: Any, candidates: list[Any]) -> None:
    load(raw, candidates[0].artifact)
    raw.ask("input_chunk", offset=0, data=candidates[0].inputs[0])
    raw.ask("reset")
    raw.greet()
    with pytest.raises(Refused) as refused:
        raw.ask("verify")
    assert refused.value.status == "bad_state"


def test_a_reset_in_the_middle_of_the_work_is_a_lost_device(
    session: Session, transport: Any, candidates: list[Any]
) -> None:
    session.load(candidates[0].artifact)
    other = Session(transport, "somebody else")
    other.hello()
    other.reset()
    session.hello()  # takes the sequences over again
    with pytest.raises(DeviceLost, match="was reset"):
        session.verify(candidates[0].inputs[0])


def test_one_byte_more_than_the_pool_is_refused_with_the_bytes(raw: Any) -> None:
    pool_bytes = raw.greet()["pool_bytes"]
    with pytest.raises(Refused) as refused:
        raw.ask("load_begin", artifact_bytes=pool_bytes + 1, sha256=bytes(32))
    assert refused.value.status == "too_large"
    assert (refused.value.needed, refused.value.available) == (pool_bytes + 1, pool_bytes)


def test_a_corrupted_artifact_is_refused_with_the_runtimes_code(session: Session, candidates: list[Any]) -> None:
    damaged = bytearray(candidates[0].artifact)
    damaged[-1] ^= 1
    with pytest.raises(ArtifactRejected, match=f"code {ArtifactStatus.CHECKSUM.value}\\b"):
        session.load(bytes(damaged))
    with pytest.raises(ArtifactRejected, match=f"code {ArtifactStatus.MAGIC.value}\\b"):
        session.load(b"no artifact at all, but long enough to have a header" * 3)
    session.load(candidates[0].artifact)
    assert session.verify(candidates[0].inputs[0]) == candidates[0].outputs[0]


def test_after_a_refused_artifact_nothing_is_loaded(raw: Any, candidates: list[Any]) -> None:
    load(raw, candidates[0].artifact)
    with pytest.raises(Refused) as refused:
        load(raw, b"no artifact at all, but long enough to have a header" * 3)
    assert refused.value.status == "artifact_rejected"
    with pytest.raises(Refused) as refused:
        raw.ask("verify")
    assert refused.value.status == "bad_state"


def test_an_artifact_with_another_hash_than_announced_is_not_accepted(raw: Any, candidates: list[Any]) -> None:
    with pytest.raises(Refused) as refused:
        load(raw, candidates[0].artifact, announced_hash=bytes(32))
    assert refused.value.status == "hash_mismatch"


def test_another_protocol_version_is_refused_with_the_agents_own(raw: Any) -> None:
    with pytest.raises(Refused) as refused:
        raw.ask("hello", version=PROTOCOL.version + 1)
    assert (refused.value.status, refused.value.code) == ("bad_version", PROTOCOL.version)


def test_a_frame_that_comes_twice_is_carried_out_once_and_answered_twice(raw: Any, candidates: list[Any]) -> None:
    candidate = next(c for c in candidates if len(c.inputs[0]) >= 2)
    load(raw, candidate.artifact)
    raw.ask("input_chunk", offset=0, data=candidate.inputs[0][:1])
    # Carried out twice, the second would not follow what was received.
    sent = raw.send(raw.next_sequence(), "input_chunk", offset=1, data=candidate.inputs[0][1:])
    raw.write(sent)
    first, second = raw.receive(), raw.receive()
    assert first == second
    decode_response("input_chunk", first.payload)
    assert raw.ask("verify")["output"] == candidate.outputs[0]


def test_a_late_duplicate_is_refused_and_changes_nothing(raw: Any, candidates: list[Any]) -> None:
    candidate = candidates[0]
    load(raw, candidate.artifact)
    late = raw.send(raw.next_sequence(), "input_chunk", offset=0, data=candidate.inputs[0])
    raw.receive()
    raw.ask("input_chunk", offset=0, data=candidate.inputs[1])
    raw.write(late)
    with pytest.raises(Refused) as refused:
        decode_response("input_chunk", raw.receive().payload)
    assert refused.value.status == "bad_state"
    assert raw.ask("verify")["output"] == candidate.outputs[1]


@pytest.mark.parametrize(
    "noise", [b"\0" * 50, bytes(range(256)) * 4, b"\xff" * (3 * MAX_ENCODED), b"\x01\0" * 300], ids=len
)
def test_noise_between_frames_is_survived(
    session: Session, transport: Any, candidates: list[Any], noise: bytes
) -> None:
    session.load(candidates[0].artifact)
    transport.write(noise)
    assert session.verify(candidates[0].inputs[0]) == candidates[0].outputs[0]


def test_damaged_frames_are_not_answered(raw: Any) -> None:
    sent = bytearray(raw.send(raw.next_sequence(), "hello", version=PROTOCOL.version))
    raw.receive()
    sent[3] ^= 0x10
    raw.write(bytes(sent))
    assert raw.receive(timeout_s=0.2) is None


@pytest.mark.parametrize(
    ("message", "values", "status"),
    [
        ("load_chunk", {"offset": 0, "data": b"x"}, {"bad_state", "bad_message"}),
        ("load_end", {}, {"bad_state"}),
        ("input_chunk", {"offset": 0, "data": b"x"}, {"bad_state"}),
        ("verify", {}, {"bad_state"}),
        ("run", {"warm_ups": 0, "repeats": 1}, {"bad_state"}),
        ("result", {"first": 0}, {"bad_state"}),
    ],
)
def test_work_out_of_order_is_refused(raw: Any, message: str, values: dict[str, Any], status: set[str]) -> None:
    with pytest.raises(Refused) as refused:
        raw.ask(message, **values)
    assert refused.value.status in status


def test_chunks_that_do_not_fit_together_are_refused(raw: Any, candidates: list[Any]) -> None:
    candidate = min(candidates, key=lambda one: len(one.artifact) + len(one.inputs[0]))  # each fits into one frame
    artifact = candidate.artifact
    raw.ask("load_begin", artifact_bytes=len(artifact), sha256=hashlib.sha256(artifact).digest())
    with pytest.raises(Refused):  # a gap
        raw.ask("load_chunk", offset=100, data=artifact[100:200])
    with pytest.raises(Refused):  # more than announced
        raw.ask("load_chunk", offset=0, data=artifact + b"x")
    load(raw, artifact)
    with pytest.raises(Refused):
        raw.ask("input_chunk", offset=0, data=candidate.inputs[0] + b"x")
    with pytest.raises(Refused):
        raw.ask("input_chunk", offset=1, data=b"x")


@pytest.mark.parametrize("repeats", [0, PROTOCOL.max_repeats + 1])
def test_repeats_out_of_range_are_refused(raw: Any, candidates: list[Any], repeats: int) -> None:
    load(raw, candidates[0].artifact)
    raw.ask("input_chunk", offset=0, data=candidates[0].inputs[0])
    with pytest.raises(Refused) as refused:
        raw.ask("run", warm_ups=0, repeats=repeats)
    assert refused.value.status == "bad_message"


def test_kinds_and_lengths_that_the_protocol_does_not_know_are_refused(raw: Any) -> None:
    hello_kind = PROTOCOL.messages["hello"].kind
    for kind, payload in [(0, b""), (77, b"x"), (hello_kind, b""), (hello_kind, b"too long a payload")]:
        raw.write(encode_frame(Frame(raw.next_sequence(), kind, payload)))
        assert raw.receive().payload[0] == PROTOCOL.statuses["bad_message"]
