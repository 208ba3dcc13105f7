"""What was logged beside rr, by name: controls, drawdown, what other choices would have earned (spec section 4).

Rows that logged the same names share a shape; a row is its shape and one 32-bit float for each name.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from learning.packing import Joined
from learning.ragged import Ragged, grown
from learning.rows import names_of, packed_names

__all__ = ["Measures"]


class Measures:
    """Measures of the rows of one group.

    Parameters
    ----------
    capacity
        Rows.

    Examples
    --------
    >>> measures = Measures(2)
    >>> measures.put(0, packed_names(("signals.TS",)), np.float32([0.5]).tobytes())
    >>> measures.get("signals.TS", np.array([0, 1]))
    array([0.5, nan])
    """

    def __init__(self, capacity: int) -> None:
        self.values = Ragged(np.float32, capacity)
        self.shape = np.zeros(capacity, dtype=np.int32)
        self._shapes: dict[bytes, int] = {}
        self._names: list[tuple[str, ...]] = []

    def put(self, row: int, names: bytes, values: bytes) -> None:
        """Set the measures of a row."""
        self.shape[row] = self._shape(names)
        self.values.put(row, np.frombuffer(values, dtype="<f4"))

    def append(self, first: int, names: Joined, values: Joined) -> None:
        """Set the measures of rows first, first + 1, ... that had none."""
        numbers, distinct = names.numbered()
        shapes = np.array([self._shape(each) for each in distinct], dtype=np.int32)
        self.shape[first : first + len(numbers)] = shapes[numbers]
        lengths = (values.ends - values.begins) // self.values.data.itemsize
        self.values.append(first, values.gathered().view("<f4"), lengths)

    def get(self, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """One measure of some rows, NaN where it was not logged: (n,) float64."""
        place = np.array([names.index(name) if name in names else -1 for names in self._names] or [-1])
        at = np.where(self.values.length[rows] > 0, place[self.shape[rows]], -1)
        found = np.full(len(rows), np.nan)
        there = at >= 0
        found[there] = self.values.data[self.values.start[rows[there]] + at[there]]
        return found

    def names(self) -> tuple[str, ...]:
        """Names ever logged, sorted."""
        return tuple(sorted({name for names in self._names for name in names}))

    def row(self, row: int) -> tuple[bytes, bytes]:
        """Names and values of a row, as `put` takes them."""
        return packed_names(self._names[self.shape[row]]), self.values.get(row).astype("<f4").tobytes()

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        self.values.grow(capacity)
        self.shape = grown(self.shape, capacity)

    def _shape(self, names: bytes) -> int:
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = len(self._shapes)
            self._names.append(names_of(names))
        return shape
