"""From the bytes of a record to a book, and a book's end, while other threads go on trading.

Both take thousands of small steps, and between any two of them another thread may run. Python lets a thread
that waits have its turn after 5 ms, which is longer than an order should wait; here it is a fifth of a
millisecond, for as long as something is loaded and for the whole process: no thread can ask for that alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from leverloop.book import OverrideBook
from leverloop.matching import Profile
from leverloop.snapshot import read_snapshot

__all__ = ["let_go", "load_book", "parts_of", "short_turns"]

_TURN_S: Final = 0.0002
_YIELD_S: Final = 0.0001


class _Turns:
    """How many loads are under way, and the interval that their first one found."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loading_count = 0
        self.usual_s = 0.0

    def forked(self) -> None:
        """Restore what the first load found: the threads that load are the parent's."""
        if self.loading_count:
            sys.setswitchinterval(self.usual_s)
        self.lock, self.loading_count = threading.Lock(), 0


_TURNS: Final = _Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TURNS.forked)


@contextmanager
def short_turns() -> Iterator[None]:
    """Let a thread that waits run after a fifth of a millisecond; the last one out restores what the first found.

    Examples
    --------
    >>> usual_s = sys.getswitchinterval()
    >>> with short_turns():
    ...     sys.getswitchinterval() <= 0.0002
    True
    >>> sys.getswitchinterval() == usual_s
    True
    """
    with _TURNS.lock:
        if _TURNS.loading_count == 0:
            _TURNS.usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_TURN_S, _TURNS.usual_s))
        _TURNS.loading_count += 1
    time.sleep(_YIELD_S)  # a thread that waits already waits for as long as it was told to when it began
    try:
        yield
    finally:
        with _TURNS.lock:
            _TURNS.loading_count -= 1
            if _TURNS.loading_count == 0:
                sys.setswitchinterval(_TURNS.usual_s)


def load_book(raw: bytes, *, profile: Profile, holdout_share: float) -> OverrideBook:
    """Book of a snapshot's bytes, for a thread beside those that trade.

    Raises
    ------
    BadInput
        For bytes that are no snapshot to be applied (`read_snapshot`).
    """
    with short_turns():
        snapshot, overrides = read_snapshot(raw)
        return OverrideBook(snapshot, profile=profile, holdout_share=holdout_share, overrides=overrides)


def parts_of(book: OverrideBook) -> dict[int, Any]:
    """Everything that a book has in thousands, to be let go bit by bit once nobody holds the book any more.

    Freed as a whole, a book of 20,000 overrides stops all threads for some 40 ms. A dict, because one of
    values that are no containers is nothing that Python's garbage collector would walk through.
    """
    parts: dict[int, Any] = {}
    with short_turns():
        for listed in book.lists():
            for part in listed:
                parts[len(parts)] = part
    return parts


def let_go(parts: dict[int, Any]) -> None:
    """Empty parts, the last one first."""
    with short_turns():
        while parts:
            parts.popitem()
