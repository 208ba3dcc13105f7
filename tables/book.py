"""State of the book table: the lesson book, and findings that wait for the other partitions'."""

from __future__ import annotations

from typing import Final

from learning.book import Book
from learning.findings import Findings
from tables.catalogue import BOOK
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["BOOK_KEY", "BookState", "pending_key", "stored_book"]

BOOK_KEY: Final = b"<book>"

_ENCODING: Final[Encoding[Book | Findings]] = Encoding(
    BOOK.version,
    Book | Findings,  # type: ignore[arg-type]
)


def pending_key(partition: int) -> bytes:
    """Key under which a partition's findings wait."""
    return f"findings/{partition}".encode()


def stored_book(value: Book | Findings) -> bytes:
    """Bytes of a record of the book table."""
    return _ENCODING.encode(value)


class BookState(PartitionState):
    """The book and what is pending for its next epoch."""

    def __init__(self) -> None:
        self.book: Book | None = None
        self.pending: dict[int, Findings] = {}
        self.told = False
        """Whether this process has told the partitions what the book says: a restarted one does it again."""

    def __len__(self) -> int:
        return len(self.pending) + (self.book is not None)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            self.pending.pop(int(key.rpartition(b"/")[2]), None)
            return
        record = _ENCODING.decode(value)
        if isinstance(record, Book):
            self.book = record
        else:
            self.pending[record.partition] = record
