"""When the rest of a partition is taken for compacted away: never while it may only be late."""

from hypothesis import given
from hypothesis import strategies as st

from app.transport.kafka_changelog import EmptyTail


def test_two_answers_after_the_position_settle_it() -> None:
    tail = EmptyTail()
    seen = [tail.is_empty(at, position=7, highwater=9, end=9) for at in (None, 1, 1, 2)]
    assert seen == [False, False, False, True]


def test_a_leader_that_does_not_know_the_end_settles_nothing() -> None:
    tail = EmptyTail()
    assert not any(tail.is_empty(at, position=7, highwater=8, end=9) for at in range(10))
    assert tail.is_empty(11, position=7, highwater=9, end=9)


def test_what_another_partition_brings_fills_the_answers() -> None:
    tail = EmptyTail()
    for at in range(10):
        tail.brought()
        assert not tail.is_empty(at, position=7, highwater=9, end=9)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=20))
def test_a_position_that_moves_begins_anew(steps: list[int]) -> None:
    tail, position = EmptyTail(), 0
    for at, step in enumerate(steps):
        assert not tail.is_empty(at, position=position, highwater=99, end=99)
        position += step
