"""Where a row stands: chained hash indexes over a column of 64-bit hashes.

`heads[hash & mask]` is the first row of a chain, `following[row]` the next one, -1 the end. Rows with
equal hashes share a chain, so that the same index finds one outcome by its id and all rows of a trade.
Six to eight bytes a row, where a dictionary of ids takes two hundred.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Index", "link_all"]

_NOBODY = -1


class Index:
    """Index over one column of hashes; the caller says which column.

    Parameters
    ----------
    capacity
        Rows of the column.

    Examples
    --------
    >>> hashes = np.array([7, 8, 7])
    >>> index = Index(4)
    >>> for row in range(3):
    ...     index.link(hashes, row)
    >>> index.rows(hashes, 7).tolist(), index.rows(hashes, 9).tolist()
    ([0, 2], [])
    """

    __slots__ = ("following", "heads")

    def __init__(self, capacity: int) -> None:
        self.heads: npt.NDArray[np.int32]
        self.following: npt.NDArray[np.int32]
        self.rebuild(np.empty(0, dtype=np.int64), capacity)

    def rebuild(self, hashes: npt.NDArray[np.int64], capacity: int) -> None:
        """Index rows 0 .. len(hashes) - 1 anew, with room for more."""
        # One or two rows a chain: a longer table would be read no faster, and costs every row.
        self.heads = np.full(1 << max(capacity - 1, 2).bit_length() - 1, _NOBODY, dtype=np.int32)
        self.following = np.full(capacity, _NOBODY, dtype=np.int32)
        link_all(self.heads, self.following, hashes, 0, len(hashes))

    def link(self, hashes: npt.NDArray[np.int64], row: int) -> None:
        """Add a row."""
        link_all(self.heads, self.following, hashes, row, row + 1)

    def link_from(self, hashes: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Add rows start .. stop - 1."""
        link_all(self.heads, self.following, hashes, start, stop)

    def unlink(self, hashes: npt.NDArray[np.int64], row: int) -> None:
        """Take a row out."""
        _replace(self.heads, self.following, hashes, row, self.following[row])

    def move(self, hashes: npt.NDArray[np.int64], source: int, target: int) -> None:
        """Let a row stand at another place, where nothing is; its hash stands at the old one still."""
        self.following[target] = self.following[source]
        _replace(self.heads, self.following, hashes, source, target)

    def rows(self, hashes: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int32]:
        """Rows of a hash, ascending."""
        return np.sort(_rows(self.heads, self.following, hashes, wanted))

    def first(self, hashes: npt.NDArray[np.int64], wanted: int) -> int | None:
        """Return any row of a hash, None if it has none."""
        row = _first(self.heads, self.following, hashes, wanted)
        return None if row < 0 else row

    def holds(self, hashes: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of some hashes have a row: (n,) bool."""
        return _holds(self.heads, self.following, hashes, wanted)


@numba.njit(cache=True, nogil=True)
def link_all(heads: Any, following: Any, hashes: Any, start: int, stop: int) -> None:
    """Add rows start .. stop - 1 to their chains."""
    mask = len(heads) - 1
    for row in range(start, stop):
        slot = hashes[row] & mask
        following[row] = heads[slot]
        heads[slot] = row


@numba.njit(cache=True, nogil=True)
def _replace(heads: Any, following: Any, hashes: Any, row: int, by: int) -> None:
    """Let whatever points to a row point to another one."""
    slot = hashes[row] & (len(heads) - 1)
    at = heads[slot]
    if at == row:
        heads[slot] = by
        return
    while following[at] != row:
        at = following[at]
    following[at] = by


@numba.njit(cache=True, nogil=True)
def _rows(heads: Any, following: Any, hashes: Any, wanted: int) -> Any:
    found = np.empty(4, dtype=np.int32)
    n = 0
    at = heads[wanted & (len(heads) - 1)]
    while at >= 0:
        if hashes[at] == wanted:
            if n == len(found):
                found = np.concatenate((found, np.empty_like(found)))
            found[n] = at
            n += 1
        at = following[at]
    return found[:n].copy()


@numba.njit(cache=True, nogil=True)
def _first(heads: Any, following: Any, hashes: Any, wanted: int) -> int:
    at = heads[wanted & (len(heads) - 1)]
    while at >= 0 and hashes[at] != wanted:
        at = following[at]
    return at


@numba.njit(cache=True, nogil=True)
def _holds(heads: Any, following: Any, hashes: Any, wanted: Any) -> Any:
    found = np.zeros(len(wanted), dtype=np.bool_)
    for i in range(len(wanted)):
        found[i] = _first(heads, following, hashes, wanted[i]) >= 0
    return found
