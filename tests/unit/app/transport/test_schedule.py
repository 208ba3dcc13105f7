"""Held records: however pages come, nobody gets a record while an older one may still be on its way."""

from collections import deque

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.transport.schedule import Held
from leverloop.embedded_log import Record

TPS = [TP("actions", 0), TP("actions", 1), TP("trades", 0)]


def a_record(offset: int, at_ms: int) -> Record:
    return Record(offset, at_ms, None, b"", ())


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=30).map(sorted), min_size=3, max_size=3),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_whole_partitions_come_out_by_time_whatever_a_fetch_brings(times: list[list[int]], pages: list[int]) -> None:
    waiting = {tp: deque(a_record(i, at) for i, at in enumerate(of)) for tp, of in zip(TPS, times, strict=True)}
    held, found, turn = Held(), [], 0
    while any(waiting.values()) or held.without(TPS) != set(TPS):
        for tp in sorted(held.without(TPS)):
            page = [waiting[tp].popleft() for _ in range(min(pages[turn % len(pages)], len(waiting[tp])))]
            held.add(tp, page)
            turn += 1
        found += [(record.timestamp_ms, tp, record.offset) for tp, record in held.take(set(TPS))]
    assert [at for at, _, _ in found] == sorted(at for of in times for at in of)
    for tp, of in zip(TPS, times, strict=True):
        assert [offset for _, whose, offset in found if whose == tp] == list(range(len(of)))


def test_what_is_not_asked_for_stays() -> None:
    held = Held()
    held.add(TPS[0], [a_record(4, 1)])
    held.add(TPS[1], [a_record(7, 2)])
    assert list(held.take({TPS[1]})) == [(TPS[1], a_record(7, 2))]
    assert held.next_offset(TPS[0]) == 4
    assert held.next_offset(TPS[1]) is None
    held.forget([TPS[0]])
    assert held.without(TPS) == set(TPS)
    held.add(TPS[0], [a_record(4, 1)])
    held.clear()
    assert list(held.take(set(TPS))) == []
