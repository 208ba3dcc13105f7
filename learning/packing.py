"""Many packed rows at once: where their sections stand in one buffer, found by compiled code.

A recovery reads millions of rows; to cut each into its sections in Python would take most of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from learning.rows import FIXED, LENGTHS

__all__ = ["PackedRows"]

_FIXED_BYTES: Final = FIXED.itemsize
_LENGTHS_BYTES: Final = LENGTHS.size


class PackedRows:
    """Packed rows (`learning.rows.packed`) in one buffer.

    Parameters
    ----------
    rows
        Their bytes.
    skip
        Bytes in front of each that are not the row's.

    Attributes
    ----------
    text
        The buffer.
    at
        (n_rows, 6) int64: where fixed numbers, place, companions, names and values of each row begin, and its end.

    Examples
    --------
    >>> from learning.places import place_of
    >>> from learning.rows import Row, packed
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> place = place_of("pm.up.S1.a|add", {}, DEFAULT_SCHEMA)
    >>> rows = PackedRows([packed(Row(b"a", bytes(FIXED.itemsize), place, b"", b"", bytes(8)))], skip=0)
    >>> rows.text[rows.at[0, 1] : rows.at[0, 2]] == place, rows.gathered(4, 5).view("<f4").tolist()
    (True, [0.0, 0.0])
    """

    def __init__(self, rows: Sequence[bytes], skip: int) -> None:
        self.text = b"".join(rows)
        ends = np.cumsum(np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)))
        self._buffer = np.frombuffer(self.text, dtype=np.uint8)
        self.at: npt.NDArray[np.int64] = _sections(self._buffer, ends, skip)

    def gathered(self, section: int, following: int) -> npt.NDArray[np.uint8]:
        """Bytes of a section of every row, one behind the other."""
        return _gathered(self._buffer, self.at[:, section], self.at[:, following])

    def fixed(self) -> npt.NDArray[Any]:
        """Numbers of every row: (n_rows,) of `FIXED`."""
        return self.gathered(0, 1).view(FIXED)

    def sections(self, section: int, following: int) -> list[bytes]:
        """Bytes of a section of every row, one by one."""
        text = self.text
        begins, ends = self.at[:, section].tolist(), self.at[:, following].tolist()
        return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]


@numba.njit(cache=True, nogil=True)
def _sections(buffer: Any, ends: Any, skip: int) -> Any:
    at = np.empty((len(ends), 6), dtype=np.int64)
    begin = np.int64(0)
    for row in range(len(ends)):
        head = begin + skip
        at[row, 0] = head + _LENGTHS_BYTES
        at[row, 1] = at[row, 0] + _FIXED_BYTES
        at[row, 2] = at[row, 1] + (np.int64(buffer[head]) | np.int64(buffer[head + 1]) << 8)
        for section in range(2):
            place = head + 2 + 4 * section
            length = np.int64(0)
            for byte in range(4):
                length |= np.int64(buffer[place + byte]) << (8 * byte)
            at[row, 3 + section] = at[row, 2 + section] + length
        at[row, 5] = begin = ends[row]
    return at


@numba.njit(cache=True, nogil=True)
def _gathered(buffer: Any, begins: Any, ends: Any) -> Any:
    out = np.empty((ends - begins).sum(), dtype=np.uint8)
    used = 0
    for row in range(len(begins)):
        for i in range(begins[row], ends[row]):
            out[used] = buffer[i]
            used += 1
    return out
