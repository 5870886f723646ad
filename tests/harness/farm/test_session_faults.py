"""The property of the wire: whatever the link does, a right answer or a typed error, never a wrong result."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DeviceError
from harness.farm.session import Deadlines, Session

GENEROUS = Deadlines(boot_s=20, step_s=20, first_verify_s=20)
ARTIFACTS = [b"first artifact " * 150, b"\0" * 1020, b"third"]


class Faults:
    """Drops, damages, doubles, cuts, delays and reorders what passes, each at its rate, and puts noise between."""

    def __init__(self, seed: int, rates: dict[str, float]) -> None:
        self._random = random.Random(seed)
        self._rates = rates
        self._held: list[bytes] = []

    def __call__(self, data: bytes) -> Iterator[bytes]:
        happens = {fault: self._random.random() < rate for fault, rate in self._rates.items()}
        if self._held and happens["release"]:
            self._random.shuffle(self._held)
            yield from self._held
            self._held.clear()
        if happens["noise"]:
            yield self._random.randbytes(self._random.randrange(1, 3000))
        if happens["duplicate"]:
            yield data
        if happens["damage"]:
            damaged = bytearray(data)
            for _ in range(self._random.randrange(1, 9)):
                damaged[self._random.randrange(len(damaged))] ^= 1 << self._random.randrange(8)
            data = bytes(damaged)
        if happens["cut"]:
            data = data[: self._random.randrange(len(data))]
        if happens["delay"]:
            self._held.append(data)
        elif not happens["drop"]:
            yield data


FAULTS = ("drop", "damage", "duplicate", "cut", "delay", "release", "noise")
rates = st.fixed_dictionaries({fault: st.floats(0, 0.3) for fault in FAULTS})


def work(session: Session, fake_agent: Any, generator: random.Random) -> None:
    """The story of three candidates; every result is checked."""
    session.hello()
    for artifact in ARTIFACTS:
        session.load(artifact)
        for _ in range(3):
            sample = generator.randbytes(1500)
            assert session.verify(sample) == fake_agent.output_of(artifact, sample)
        repeats = generator.randrange(1, 150)
        assert session.run(1, repeats).ticks == list(range(1, repeats + 1))
    session.reset()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), rates)
def test_over_a_link_that_does_anything_but_die_all_work_is_done_right(
    link: Any, fake_agent: Any, seed: int, rates: dict[str, float]
) -> None:
    board = link(fake_agent().server().receive, Faults(seed, rates))
    work(Session(board, "board-7", GENEROUS), fake_agent, random.Random(seed))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), rates, st.floats(0.001, 0.05))
def test_a_device_that_is_reset_at_any_moment_is_right_or_lost(
    link: Any, fake_agent: Any, seed: int, rates: dict[str, float], reset_rate: float
) -> None:
    generator = random.Random(seed)
    server = fake_agent().server()

    def receive(data: bytes) -> Iterator[bytes]:
        nonlocal server
        if generator.random() < reset_rate:
            server = fake_agent().server()
        yield from server.receive(data)

    session = Session(link(receive, Faults(seed, rates)), "board-7", GENEROUS)
    try:
        work(session, fake_agent, random.Random(seed))
    except DeviceError as error:
        assert "was reset" in str(error)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_a_link_that_dies_at_any_moment_ends_in_a_device_error(
    link: Any, fake_agent: Any, seed: int, frames: int
) -> None:
    left = frames

    def dying(data: bytes) -> Iterator[bytes]:
        nonlocal left
        left -= 1
        if left >= 0:
            yield data

    session = Session(
        link(fake_agent().server().receive, dying), "board-7", Deadlines(boot_s=0.02, step_s=0.02, first_verify_s=0.02)
    )
    try:
        work(session, fake_agent, random.Random(seed))
    except DeviceError:
        return
    raise AssertionError("the work takes more than 60 frames")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_old_frames_of_another_harness_on_the_line_are_not_taken_for_answers(
    link: Any, fake_agent: Any, seed: int
) -> None:
    generator = random.Random(seed)
    passed: list[bytes] = []

    def record(data: bytes) -> Iterator[bytes]:
        passed.append(data)
        yield data

    server = fake_agent().server()
    work(Session(link(server.receive, record), "board-7"), fake_agent, generator)

    def replay(data: bytes) -> Iterator[bytes]:
        yield generator.choice(passed)
        yield data

    session = Session(link(server.receive, replay), "board-7", GENEROUS)
    try:
        work(session, fake_agent, generator)
    except DeviceError as error:
        assert "was reset" in str(error)
