"""The agent's answers to messages, in and out of order, asked of it in this process; the runner it drives is real."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_wire.framing import Frame, FrameDecoder, encode_frame
from agent_wire.messages import Fields, Refused, decode_response, encode_request
from agent_wire.protocol import PROTOCOL
from edge_agent import agent as agent_module
from edge_agent.agent import Agent, Identity
from edge_agent.runner import describe

INPUT = bytes(range(16))
Ask = Callable[..., Fields]


@pytest.fixture
def ask(obedient_build: Path) -> Iterator[Ask]:
    """Sends one request through frames, both ways, and gives its answer's fields."""
    command = [str(obedient_build / "linux" / platform.machine() / "runner")]
    quiet, harness = os.pipe()
    agent = Agent(Identity("linux-host", (), "b1"), command, describe(command), quiet)
    server = agent.server()
    sequences = itertools.count(1)

    def ask_one(message: str, **values: object) -> Fields:
        kind, payload = encode_request(message, values)
        (answer,) = server.receive(encode_frame(Frame(next(sequences), kind, payload)))
        (frame,) = FrameDecoder().feed(answer)
        return decode_response(message, frame.payload)

    yield ask_one
    agent.close()
    os.close(quiet)
    os.close(harness)


def load(ask: Ask, artifact: bytes, sha256: bytes | None = None) -> Fields:
    digest = sha256 or hashlib.sha256(artifact).digest()
    ask("load_begin", artifact_bytes=len(artifact), sha256=digest)
    for offset in range(0, len(artifact), 10):
        ask("load_chunk", offset=offset, data=artifact[offset : offset + 10])
    return ask("load_end")


def test_hello_gives_identity_and_sizes(ask: Ask) -> None:
    fields = ask("hello", version=PROTOCOL.version)
    assert fields["identity"] == "linux-host;edge_agent;b1"
    assert fields["timer_hz"] == 1_000_000_000
    assert 0 < fields["pool_bytes"] <= 256 * 1024 * 1024
    assert fields["runtime_code_bytes"] > 100


def test_an_artifact_and_an_input_in_pieces_give_the_output(ask: Ask, obedient: Any) -> None:
    assert load(ask, obedient()) == {"arena_bytes": 4096, "input_bytes": 16, "output_bytes": 20}
    ask("input_chunk", offset=0, data=INPUT[:9])
    ask("input_chunk", offset=9, data=INPUT[9:])
    assert ask("verify") == {"output_bytes": 20, "output": obedient.output(INPUT)}


def test_of_an_output_longer_than_a_frame_the_first_part_is_answered(ask: Ask, obedient: Any) -> None:
    load(ask, obedient(outputs=3000))
    ask("input_chunk", offset=0, data=INPUT)
    answer = ask("verify")
    assert answer["output_bytes"] == 3000
    assert answer["output"] == obedient.output(INPUT, 3000)[: PROTOCOL.max_payload - 5]


def test_durations_come_in_parts_of_64(ask: Ask, obedient: Any) -> None:
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT)
    ask("run", warm_ups=1, repeats=100)
    assert [len(ask("result", first=first)["durations"]) for first in (0, 64, 100)] == [64, 36, 0]


def test_bytes_that_are_not_what_was_announced_are_refused(ask: Ask, obedient: Any) -> None:
    with pytest.raises(Refused, match="hash_mismatch"):
        load(ask, obedient(), sha256=bytes(32))


def test_an_artifact_larger_than_the_pool_is_refused_with_the_bytes(ask: Ask) -> None:
    pool = ask("hello", version=PROTOCOL.version)["pool_bytes"]
    with pytest.raises(Refused, match="too_large") as refused:
        ask("load_begin", artifact_bytes=pool + 1, sha256=bytes(32))
    assert (refused.value.needed, refused.value.available) == (pool + 1, pool)


def test_an_arena_larger_than_the_pool_is_refused_with_the_bytes(ask: Ask, obedient: Any) -> None:
    arena = 0xFFFF_0000
    artifact = obedient(arena=arena)
    with pytest.raises(Refused, match="too_large") as refused:
        load(ask, artifact)
    assert refused.value.needed == arena + len(artifact) + 16


@pytest.mark.parametrize("message", ["load_end", "verify", "result"])
def test_a_message_before_its_time_is_a_bad_state(ask: Ask, message: str) -> None:
    with pytest.raises(Refused, match="bad_state"):
        ask(message, **({"first": 0} if message == "result" else {}))


def test_an_input_that_is_not_complete_is_a_bad_state(ask: Ask, obedient: Any) -> None:
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT[:5])
    with pytest.raises(Refused, match="bad_state: 5 of 16 input bytes"):
        ask("verify")


@pytest.mark.parametrize(("offset", "data"), [(3, b"x"), (0, b"x" * 17)])
def test_a_gap_and_an_overrun_are_refused(ask: Ask, obedient: Any, offset: int, data: bytes) -> None:
    load(ask, obedient())
    with pytest.raises(Refused, match="bad_message"):
        ask("input_chunk", offset=offset, data=data)


def test_more_repeats_than_the_protocol_allows_are_refused(ask: Ask, obedient: Any) -> None:
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT)
    with pytest.raises(Refused, match="bad_message"):
        ask("run", warm_ups=0, repeats=PROTOCOL.max_repeats + 1)


def test_after_a_reset_nothing_is_loaded(ask: Ask, obedient: Any) -> None:
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT)
    ask("reset")
    with pytest.raises(Refused, match="bad_state: no artifact"):
        ask("verify")


def test_a_new_artifact_takes_the_place_of_the_old_one(ask: Ask, obedient: Any) -> None:
    load(ask, obedient(obedient.FAIL))
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT)
    assert ask("verify")["output"] == obedient.output(INPUT)


def test_a_candidate_that_crashes_leaves_an_agent_that_takes_the_next(ask: Ask, obedient: Any) -> None:
    load(ask, obedient(obedient.CRASH))
    ask("input_chunk", offset=0, data=INPUT)
    with pytest.raises(Refused, match="run_failed"):
        ask("verify")
    load(ask, obedient())
    ask("input_chunk", offset=0, data=INPUT)
    assert ask("verify")["output"] == obedient.output(INPUT)


def test_the_pool_is_a_part_of_what_is_free() -> None:
    free = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    assert 0 < agent_module.pool_bytes() < free
