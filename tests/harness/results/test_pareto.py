"""The front against its definition, by brute force."""

from hypothesis import given
from hypothesis import strategies as st

from harness.results.measurement import Measurement
from harness.results.objectives import Objectives
from harness.results.pareto import front, hypervolume
from harness.results.records import Candidate, DeviceRun, Training

OBJECTIVES = Objectives("board", True, ("latency", "flash"), (1.0, 10.0, 10.0))


def candidate(number: int, error: float, latency: float, flash: float, state: str = "done") -> Candidate:
    measurements = tuple(
        Measurement("b1", "board", metric, value, "estimated", 1, None, "test")
        for metric, value in (("latency", latency), ("flash", flash))
    )
    run = DeviceRun("a" * 64, "board", True, "fw", "s", "b1", 32, {}, measurements, ())
    training = Training(1, {}, 1 - error, 0.5, "a" * 64, 100)
    return Candidate(f"c{number:03d}", number, {}, state, training=training, runs=(run,))  # type: ignore[arg-type]


points = st.tuples(*[st.integers(0, 4)] * 3)


@given(st.lists(points, max_size=12))
def test_the_front_is_what_nobody_dominates(values: list[tuple[int, int, int]]) -> None:
    scaled = [(e / 8, float(latency), float(flash)) for e, latency, flash in values]
    candidates = [candidate(i, *v) for i, v in enumerate(scaled)]
    expected = {
        c.id
        for c in candidates
        for v in [OBJECTIVES.of(c)]
        if not any(
            all(a <= b for a, b in zip(OBJECTIVES.of(o) or (), v or (), strict=True)) and OBJECTIVES.of(o) != v
            for o in candidates
        )
    }
    assert {c.id for c in front(candidates, OBJECTIVES)} == expected


def test_hypervolume_of_one_point_is_its_box() -> None:
    assert abs(hypervolume([candidate(1, 0.5, 5.0, 2.5)], OBJECTIVES) - 0.5 * 0.5 * 0.75) < 1e-12


def test_candidates_that_are_not_done_or_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([candidate(1, 0.5, 5, 5, "failed"), candidate(2, 0.5, 11, 5)], OBJECTIVES) == 0.0
    assert front([candidate(1, 0.5, 5, 5, "failed")], OBJECTIVES) == []


def test_a_real_board_and_its_emulation_are_never_mixed() -> None:
    real = Objectives("board", False, ("latency", "flash"), (1.0, 10.0, 10.0))
    assert front([candidate(1, 0.5, 5, 5)], real) == []
