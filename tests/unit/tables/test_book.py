"""Book table: the book and what waits for its next epoch."""

from learning.book import Book
from learning.findings import Findings
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tests.laws.examples import START_MS


def test_the_book_and_the_last_findings_of_each_partition_are_held() -> None:
    state = BookState()
    assert (state.book, len(state), state.told) == (None, 0, False)
    for partition, epoch in ((0, 0), (11, 0), (0, START_MS)):
        state.apply(pending_key(partition), stored_book(Findings(partition=partition, epoch_at_ms=epoch)))
    state.apply(BOOK_KEY, stored_book(Book(epoch_at_ms=START_MS)))
    state.apply(BOOK_KEY, stored_book(Book(epoch_at_ms=START_MS, version=1)))
    assert state.book == Book(epoch_at_ms=START_MS, version=1)
    assert {p: found.epoch_at_ms for p, found in state.pending.items()} == {0: START_MS, 11: 0}
    assert len(state) == 3
    state.apply(pending_key(11), None)
    state.apply(pending_key(5), None)
    assert sorted(state.pending) == [0]
