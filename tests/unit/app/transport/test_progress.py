"""Laws of what may be committed: never past an unfinished event, and in the end everything."""

from hypothesis import given
from hypothesis import strategies as st

from app.transport.progress import Progress

deliveries = st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=20).map(sorted)


@given(deliveries, st.data())
def test_never_past_an_unfinished_event_and_in_the_end_everything(offsets: list[int], data: st.DataObject) -> None:
    """Events finish in any order, with looks in between; offsets have gaps."""
    progress, acked, finished = Progress(), set[int](), set[int]()
    for offset in offsets:
        progress.deliver(offset)
    for offset in data.draw(st.permutations(offsets)):
        acked.add(offset)
        finished.add(offset)
        if data.draw(st.booleans()):
            next_offset = progress.advance(acked, committed=None)
            unfinished = [o for o in offsets if o not in finished]
            if next_offset is not None:
                assert all(o >= next_offset for o in unfinished)
                assert all(o in finished for o in offsets if o < next_offset)
    assert progress.advance(acked, committed=None) == offsets[-1] + 1
    assert acked == set()
    assert not progress.waits(offsets[-1] + 1)


@given(deliveries, st.integers(0, 60))
def test_what_was_committed_before_is_finished(offsets: list[int], committed: int) -> None:
    progress = Progress()
    for offset in offsets:
        progress.deliver(offset)
    below = [offset for offset in offsets if offset < committed]
    assert progress.advance(set(), committed) == (below[-1] + 1 if below else None)


@given(deliveries)
def test_a_candidate_stays_until_it_is_committed(offsets: list[int]) -> None:
    progress = Progress()
    for offset in offsets:
        progress.deliver(offset)
    candidate = progress.advance(set(offsets), committed=None)
    assert progress.advance(set(), committed=None) == candidate
    assert progress.waits(None)
    assert not progress.waits(candidate)


def test_work_that_arrives_moves_an_idle_partition_but_not_a_stuck_one() -> None:
    progress = Progress()
    progress.moved_at = 0.0
    progress.deliver(1)
    began = progress.moved_at
    assert began > 0.0
    progress.moved_at = 0.0
    progress.deliver(2)
    assert progress.moved_at == 0.0
    progress.advance({1}, committed=None)
    assert progress.moved_at >= began
