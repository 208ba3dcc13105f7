"""Many records at once are as many one by one, for every table (outcomes, which load in their own way: theirs)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.book import Book
from learning.findings import Decided, Findings
from learning.progress import Passed
from learning.publishing import Published
from leverloop.testing import make_snapshot
from tables.announced import AnnouncedState, stored_announced
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tables.outcomes import DECIDED_KEY, EpochsState, stored_progress
from tables.state import ChangelogRecord, PartitionState
from tables.trades import StoredAction, StoredClose, TradesPartition, action_key, close_key, stored
from tests.laws.examples import START_MS, a_close, an_action

NUMBERS = st.integers(0, 3)
TRADES, ACTIONS = ("t1", "t2"), ("a", "b")


class Words(PartitionState):
    """A state that has nothing of its own."""

    def __init__(self) -> None:
        self.heard: list[ChangelogRecord] = []

    def __len__(self) -> int:
        return len(self.heard)

    def apply(self, key: bytes, value: bytes | None) -> None:
        self.heard.append((key, value))


def an_action_record(trade_id: str, action_id: str, n: int) -> ChangelogRecord:
    action = an_action(action_id, trade_id, a_value=n / 4)
    return action_key(trade_id, action_id), stored(StoredAction(offset=n, action=action))


def a_close_record(trade_id: str, n: int) -> ChangelogRecord:
    return close_key(trade_id), stored(StoredClose(offset=n, close=a_close(trade_id, revision=n)))


def trades_seen(state: Any) -> Any:
    keys = [*map(close_key, TRADES), *(action_key(trade, action) for trade in TRADES for action in ACTIONS)]
    return len(state), [state.get(trade) for trade in TRADES], [state.offset(key) for key in keys]


RECORDS: dict[str, st.SearchStrategy[ChangelogRecord]] = {
    "words": st.tuples(st.binary(max_size=1), st.binary(min_size=1, max_size=2)),
    "trades": st.one_of(
        st.builds(an_action_record, st.sampled_from(TRADES), st.sampled_from(ACTIONS), NUMBERS),
        st.builds(a_close_record, st.sampled_from(TRADES), NUMBERS),
    ),
    "epochs": st.one_of(
        st.builds(
            lambda n, at: (f"x/{n}".encode(), stored_progress(Passed(first_at_ms=0, newest_at_ms=at))), NUMBERS, NUMBERS
        ),
        st.builds(lambda n: (DECIDED_KEY, stored_progress(Decided(epoch_at_ms=START_MS + n))), NUMBERS),
    ),
    "book": st.one_of(
        st.builds(lambda n: (BOOK_KEY, stored_book(Book(epoch_at_ms=START_MS, version=n))), NUMBERS),
        st.builds(
            lambda p, n: (pending_key(p), stored_book(Findings(partition=p, epoch_at_ms=START_MS + n))),
            NUMBERS,
            NUMBERS,
        ),
    ),
    "announced": st.builds(
        lambda module, n: (
            module.encode(),
            stored_announced(Published(version=n, standing=make_snapshot(version=n, module=module))),
        ),
        st.sampled_from(["pm", "dm"]),
        NUMBERS,
    ),
}
STATES: dict[str, tuple[Callable[[], PartitionState], Callable[[Any], Any]]] = {
    "words": (Words, lambda state: state.heard),
    "trades": (TradesPartition, trades_seen),
    "epochs": (EpochsState, lambda state: state.progress),
    "book": (BookState, lambda state: (state.book, state.pending, len(state))),
    "announced": (AnnouncedState, lambda state: state.modules),
}


@pytest.mark.parametrize("name", sorted(STATES))
@given(data=st.data())
def test_to_load_is_to_apply_one_by_one_in_any_batches(name: str, data: st.DataObject) -> None:
    new_state, seen = STATES[name]
    written = data.draw(st.lists(st.tuples(RECORDS[name], st.booleans()), max_size=12))
    # The book is never removed; every other record may be, and written again.
    records = [(key, None if gone and key != BOOK_KEY else value) for (key, value), gone in written]
    cuts = data.draw(st.lists(st.integers(0, len(records)), max_size=4))
    single, batched = new_state(), new_state()
    for key, value in records:
        single.apply(key, value)
    for first, last in pairwise(sorted([0, *cuts, len(records)])):
        batched.load(records[first:last])
    batched.recovered()
    assert seen(batched) == seen(single)
