"""Rows of unequal length in one array: ids, companions, measures.

A row that changes keeps its place where it fits, and goes to the end where it does not; what it leaves
behind is reclaimed when it is more than what is used.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Ragged"]

_FIRST_CAPACITY: Final = 1024
_GROWTH: Final = 1.5
_ROOM: Final = 1.125


class Ragged:
    """Ragged rows; at most 65,535 elements a row and 2**32 in all.

    Parameters
    ----------
    kind
        Type of the elements.
    capacity
        Rows.

    Examples
    --------
    >>> rows = Ragged(np.uint16, 2)
    >>> rows.put(0, np.array([1, 2, 3])); rows.put(1, np.array([4])); rows.put(0, np.array([5]))
    >>> rows.get(0).tolist(), rows.get(1).tolist()
    ([5], [4])
    """

    __slots__ = ("_garbage", "_used", "data", "length", "start")

    def __init__(self, kind: Any, capacity: int) -> None:
        self.data: npt.NDArray[Any] = np.zeros(_FIRST_CAPACITY, dtype=kind)
        self.start: npt.NDArray[np.uint32] = np.zeros(capacity, dtype=np.uint32)
        self.length: npt.NDArray[np.uint16] = np.zeros(capacity, dtype=np.uint16)
        self._used = 0
        self._garbage = 0

    def get(self, row: int) -> npt.NDArray[Any]:
        """Elements of a row; a view."""
        start = int(self.start[row])
        return self.data[start : start + int(self.length[row])]

    def put(self, row: int, values: npt.NDArray[Any]) -> None:
        """Set a row."""
        n, held = len(values), int(self.length[row])
        if n <= held:
            start = int(self.start[row])
            self._garbage += held - n
        else:
            self._garbage += held
            self._reserve(n)
            start = self._used
            self._used += n
        self.data[start : start + n] = values
        self.start[row] = start
        self.length[row] = n

    def append(self, first: int, values: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> None:
        """Set rows first, first + 1, ... that were empty: their values one after another, and their lengths."""
        n = len(values)
        self._reserve(n)
        self.data[self._used : self._used + n] = values
        rows = slice(first, first + len(lengths))
        self.length[rows] = lengths
        self.start[rows] = self._used + np.cumsum(lengths, dtype=np.int64) - lengths
        self._used += n

    def move(self, source: int, target: int) -> None:
        """Let the target have the row of the source, which is empty afterwards."""
        self._garbage += int(self.length[target])
        self.start[target], self.length[target] = self.start[source], self.length[source]
        self.length[source] = 0

    def clear(self, row: int) -> None:
        """Empty a row."""
        self._garbage += int(self.length[row])
        self.length[row] = 0

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        self.start = grown(self.start, capacity)
        self.length = grown(self.length, capacity)

    def compact(self, rows: int) -> None:
        """Reclaim what the first so many rows do not use, where it is more than what they use."""
        if self._garbage * 2 > self._used and self._garbage > _FIRST_CAPACITY:
            lengths = self.length[:rows].astype(np.int64)
            start = np.cumsum(lengths) - lengths
            source = np.repeat(self.start[:rows].astype(np.int64) - start, lengths) + np.arange(lengths.sum())
            self.data = self.data[source]
            self.start[:rows] = start
            self._used, self._garbage = len(source), 0

    def widen(self, kind: Any) -> None:
        """Take larger elements from now on."""
        self.data = self.data.astype(kind)

    def _reserve(self, n: int) -> None:
        if self._used + n > len(self.data):
            self.data = grown(self.data, max(int((self._used + n) * _ROOM), int(len(self.data) * _GROWTH)))


def grown(values: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    """Return a copy with room for more along the first axis; what is not written takes no memory yet."""
    larger = np.zeros((capacity, *values.shape[1:]), dtype=values.dtype)
    larger[: len(values)] = values
    return larger
