"""Rows by scope value: which trades of a group lie inside a subset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Inside", "Postings"]

_AT_ONCE: Final = 16_000_000
"""Rows that the subsets of one batch may reach together: at most 64 MB, of which as a rule a tenth is touched."""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """Trades inside of each of some subsets.

    start: (n_subsets + 1,) int64; rows[start[i]:start[i + 1]] are those of subset i. rows: first row inside of
    each trade, in the order of the rows. n_actions: (n_subsets,) int64, rows inside, all of them.
    """

    start: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    n_actions: npt.NDArray[np.int64]

    @property
    def n(self) -> npt.NDArray[np.int64]:
        """Distinct trades inside of each subset: (n_subsets,) int64."""
        return np.diff(self.start)


class Postings:
    """Rows of a group by the values of their scope.

    Parameters
    ----------
    codes
        (n_rows, n_dimensions) scope codes, 0 where missing, rows of a trade together.
    trade
        (n_rows,) equal for the actions of a trade.

    Examples
    --------
    >>> codes = np.array([[1, 1], [1, 2], [2, 1]])  # two actions of trade 7, one of trade 8
    >>> found = Postings(codes, np.array([7, 7, 8])).inside(np.array([[1, 0], [0, 1], [0, 0]]))
    >>> found.n.tolist(), found.n_actions.tolist(), found.rows.tolist()
    ([1, 2, 2], [2, 2, 3], [0, 0, 2, 0, 2])
    """

    def __init__(self, codes: npt.NDArray[Any], trade: npt.NDArray[np.int64]) -> None:
        self._by_dim = np.ascontiguousarray(codes.T, dtype=np.int32)
        self._trade = trade
        n_rows, n_dims = codes.shape
        most = int(codes.max(initial=0))
        self._order = np.empty((n_dims, n_rows), dtype=np.int32)
        self._start = np.zeros((n_dims, most + 2), dtype=np.int64)
        for d in range(n_dims):  # sixteen bits are sorted by radix: five times as fast
            self._order[d] = np.argsort(codes[:, d].astype(np.uint16), kind="stable")
            self._start[d, 1:] = np.cumsum(np.bincount(self._by_dim[d], minlength=most + 1))

    def inside(self, subsets: npt.NDArray[Any]) -> Inside:
        """Trades inside of each subset.

        Parameters
        ----------
        subsets
            (n_subsets, n_dimensions) codes, 0 where free; nothing pinned is the whole group.

        Notes
        -----
        Cost: O(rows with all of its values but the last) for a subset that pins what the one before it pins, but
        for the last value: tracked subsets in their order are such neighbours.
        """
        wanted = np.ascontiguousarray(subsets, dtype=np.int32)
        most = _most(self._start, wanted, len(self._trade))
        start, rows, n_actions = _inside(self._by_dim, self._trade, self._order, self._start, wanted, int(most.sum()))
        return Inside(start=start, rows=rows[: start[-1]].copy(), n_actions=n_actions)

    def batches(self, subsets: npt.NDArray[Any]) -> Iterator[slice]:
        """Cut subsets into runs whose `inside` stays small: what each gives does not depend on the cut."""
        most = _most(self._start, np.ascontiguousarray(subsets, dtype=np.int32), len(self._trade))
        batch = np.cumsum(most) // _AT_ONCE
        borders = [0, *(np.flatnonzero(np.diff(batch)) + 1).tolist(), len(most)]
        yield from (slice(a, b) for a, b in pairwise(borders))


@numba.njit(cache=True, nogil=True)
def _most(start: Any, subsets: Any, n_rows: int) -> Any:
    """How many rows there can be inside of each subset at most: those of its rarest value."""
    most = np.full(len(subsets), n_rows, dtype=np.int64)
    for s in range(len(subsets)):
        for d in range(subsets.shape[1]):
            v = subsets[s, d]
            if v != 0:
                most[s] = min(most[s], start[d, v + 1] - start[d, v] if v + 1 < start.shape[1] else 0)
    return most


@numba.njit(cache=True, nogil=True)
def _inside(codes: Any, trade: Any, order: Any, start: Any, subsets: Any, capacity: int) -> Any:
    """Narrow the rows down one pinned dimension after another; what two neighbours pin alike is narrowed once.

    narrowed[k, :size[k]] are the rows with the first k values that the last subset pinned, in the order of
    the rows: the k-th of dimension dim[k] and code[k].
    """
    n_dims, n_rows = codes.shape
    found = np.empty(capacity, dtype=np.int32)  # pages that are not written cost nothing
    begins = np.zeros(len(subsets) + 1, dtype=np.int64)
    n_actions = np.zeros(len(subsets), dtype=np.int64)
    narrowed = np.empty((n_dims + 1, n_rows), dtype=np.int32)
    for i in range(n_rows):
        narrowed[0, i] = i
    size = np.full(n_dims + 1, n_rows, dtype=np.int64)
    dim, code = np.full(n_dims + 1, -1, dtype=np.int64), np.zeros(n_dims + 1, dtype=np.int64)
    n = 0
    for s in range(len(subsets)):
        k, same = 0, True
        for d in range(n_dims):
            v = subsets[s, d]
            if v == 0:
                continue
            k += 1
            same = same and dim[k] == d and code[k] == v
            if not same:
                dim[k], code[k] = d, v
                size[k] = _narrow(narrowed, k, size[k - 1], codes, d, v, order, start)
        if k < n_dims:
            dim[k + 1] = -1  # what is deeper belongs to another subset
        n_actions[s] = size[k]
        for i in range(size[k]):
            row = narrowed[k, i]
            if n == begins[s] or trade[found[n - 1]] != trade[row]:
                found[n] = row
                n += 1
        begins[s + 1] = n
    return begins, found, n_actions


@numba.njit(cache=True, nogil=True)
def _narrow(narrowed: Any, k: int, among: int, codes: Any, d: int, v: int, order: Any, start: Any) -> int:
    """Rows with a value of a dimension among those of the level above; return how many."""
    n = 0
    if k == 1:
        if v + 1 < start.shape[1]:
            for i in range(start[d, v], start[d, v + 1]):
                narrowed[1, n] = order[d, i]
                n += 1
        return n
    for i in range(among):
        row = narrowed[k - 1, i]
        narrowed[k, n] = row  # overwritten by the next if it does not count: no branch to guess
        n += codes[d, row] == v
    return n
