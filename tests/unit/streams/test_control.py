"""Quiet market: when silence closes an epoch that some inputs have passed (spec section 10)."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from learning.epochs import CONTROL
from learning.progress import Progress, newest_passed, passed
from streams.control import QuietMarket
from tests.laws.examples import EPOCH_MS, START_MS

QUIET_MS = 30_000
INPUTS = ("a/0", "b/0")
NEXT_MS = START_MS + EPOCH_MS


def heard(*marks: tuple[str, int]) -> Progress:
    progress = Progress()
    for source, epoch in marks:
        progress = passed(progress, source, epoch)
    return progress


def asked(states: dict[int, Progress], at: Iterable[int]) -> list[int | None]:
    quiet = QuietMarket(QUIET_MS)
    return [quiet.overdue(states, INPUTS, at_ms) for at_ms in at]


def test_an_epoch_that_one_input_has_passed_is_closed_after_the_silence() -> None:
    states = {0: heard(("a/0", NEXT_MS), ("b/0", START_MS))}
    assert asked(states, (1_000, 30_999, 31_000)) == [None, None, NEXT_MS]


def test_an_input_never_heard_of_holds_nothing_up_for_ever() -> None:
    assert asked({0: heard(("a/0", START_MS))}, (0, QUIET_MS)) == [None, START_MS]


def test_nothing_is_overdue_when_all_have_passed_or_nobody_has_spoken() -> None:
    assert asked({0: heard(("a/0", NEXT_MS), ("b/0", NEXT_MS))}, (0, QUIET_MS)) == [None, None]
    assert asked({0: heard(("a/0", START_MS), (CONTROL, START_MS))}, (0, QUIET_MS)) == [None, None]
    assert asked({0: Progress()}, (0, QUIET_MS)) == [None, None]
    assert asked({}, (0, QUIET_MS)) == [None, None]


def test_whoever_moves_starts_the_wait_anew() -> None:
    quiet = QuietMarket(QUIET_MS)
    assert quiet.overdue({0: heard(("a/0", START_MS))}, INPUTS, 0) is None
    moved = {0: heard(("a/0", NEXT_MS))}
    assert quiet.overdue(moved, INPUTS, QUIET_MS) is None
    assert quiet.overdue(moved, INPUTS, 2 * QUIET_MS - 1) is None
    assert quiet.overdue(moved, INPUTS, 2 * QUIET_MS) == NEXT_MS


@given(
    st.dictionaries(
        st.integers(0, 3), st.lists(st.tuples(st.sampled_from([*INPUTS, CONTROL]), st.integers(0, 5)), max_size=5)
    )
)
def test_a_marker_for_what_is_overdue_leaves_nothing_overdue(marks: dict[int, list[tuple[str, int]]]) -> None:
    states = {p: heard(*((s, START_MS + i * EPOCH_MS) for s, i in found)) for p, found in marks.items()}
    (_, epoch) = asked(states, (0, QUIET_MS))
    if epoch is None:
        assert all(
            newest_passed(state, INPUTS) == max(e.newest_at_ms for e in state.inputs.values())
            for state in states.values()
            if state.inputs
        )
        return
    closed = {p: passed(state, CONTROL, epoch) for p, state in states.items()}
    assert asked(closed, (0, QUIET_MS)) == [None, None]
