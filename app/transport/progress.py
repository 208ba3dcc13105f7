"""How far a partition has come: what was delivered, what of it is finished, what may be committed."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Final

__all__ = ["Progress"]


class Progress:
    """Deliveries of one partition since the last seek.

    1. Delivered offsets are remembered in the order of delivery, whatever gaps there are between them.
    2. Only the head leaves, and only when it is finished: so `next_offset` never passes an unfinished event.
    3. `next_offset` stays until it is committed: a commit that was refused is tried again.

    Examples
    --------
    >>> progress = Progress()
    >>> for offset in (5, 6, 9):
    ...     progress.deliver(offset)
    >>> progress.advance({6, 9}, committed=5), progress.advance({5, 6, 9}, committed=5)
    (None, 10)
    """

    __slots__ = ("_delivered", "moved_at", "next_offset")

    def __init__(self) -> None:
        self._delivered: Final[deque[int]] = deque()
        self.next_offset: int | None = None
        """Offset that may be committed: that of the first event that is not known to be finished."""
        self.moved_at = monotonic()
        """When something was finished last, or work arrived for an idle partition; seconds, monotonic."""

    def deliver(self, offset: int) -> None:
        """Remember an event that was handed over; O(1)."""
        if not self._delivered:
            self.moved_at = monotonic()
        self._delivered.append(offset)

    def advance(self, finished: set[int], committed: int | None) -> int | None:
        """Drop the finished head, take its offsets out of `finished`, and return `next_offset`.

        Offsets below `committed` are finished too: Faust does not even note their acknowledgements.
        """
        delivered = self._delivered
        floor = -1 if committed is None else committed
        moved = False
        while delivered and (delivered[0] in finished or delivered[0] < floor):
            offset = delivered.popleft()
            finished.discard(offset)
            self.next_offset = max(offset + 1, self.next_offset or 0)
            moved = True
        if moved:
            self.moved_at = monotonic()
        return self.next_offset

    def waits(self, committed: int | None) -> bool:
        """Is anything unfinished, or finished and not yet committed."""
        return bool(self._delivered) or (self.next_offset or 0) > (committed or 0)
