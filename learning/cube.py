"""The iceberg cube: every scope subset of a group that enough distinct trades fall into (spec section 6).

Supersets of a rare subset are rare, so subsets are enumerated bottom-up by recursive partition and cut
at n_min (Beyer and Ramakrishnan, "Bottom-up computation of sparse and iceberg CUBEs", SIGMOD 1999).
n_min does not fall with the number of dimensions, which makes the cut exact.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.parameters import Parameters

__all__ = ["Cube", "enumerate_subsets"]


class Cube(msgspec.Struct, frozen=True, kw_only=True):
    """Tracked subsets of a group, in the order of their values: where two tie, every run takes the same one.

    codes: (n_subsets, n_dimensions) int32, 0 where a dimension is free. n (distinct trades) and
    n_actions: (n_subsets,) int64.
    """

    codes: npt.NDArray[np.int32]
    n: npt.NDArray[np.int64]
    n_actions: npt.NDArray[np.int64]

    @property
    def dims(self) -> npt.NDArray[np.int64]:
        """Dimensions pinned by each subset: (n_subsets,) int64."""
        return (self.codes != 0).sum(axis=1)


def enumerate_subsets(cells: GroupCells, rows: npt.NDArray[np.int64], parameters: Parameters, max_dims: int) -> Cube:
    """All subsets with 1 to max_dims dimensions and n >= n_min(dims).

    Parameters
    ----------
    cells
        The group.
    rows
        Rows to count, sorted by trade (`GroupCells.counted`).
    parameters
        For n_min.
    max_dims
        Most dimensions of a subset.

    Notes
    -----
    Cost: O(rows x subsets that survive). Source: spec section 6; Beyer and Ramakrishnan 1999.
    """
    limit = min(max_dims, len(cells.dimensions))
    n_min = np.array([0, *(parameters.n_min(k) for k in range(1, limit + 1))], dtype=np.int64)
    codes, n, n_actions = _enumerate(
        np.ascontiguousarray(cells.codes(rows).T.astype(np.int32)),
        cells.column("trade", rows),
        np.maximum(cells.cardinalities(), int(cells.codes(rows).max(initial=0)) + 1),
        n_min,
        limit,
    )
    order = cells.ordered(codes)
    return Cube(codes=codes[order], n=n[order], n_actions=n_actions[order])


@numba.njit(cache=True, nogil=True)
def _enumerate(codes: Any, trade: Any, cards: Any, n_min: Any, max_dims: int) -> Any:
    """Depth-first partition with an explicit stack: level k works on a subset of k dimensions.

    Level k's segment [lo, hi) of its parent's order is counting-sorted by dimension dim[k] into
    order[k]; a child's segment is a slice of that, untouched while the child is worked on. The sort is
    stable, which keeps the rows of a trade together, so that counting changes counts distinct trades.
    """
    n_dims, n_rows = codes.shape
    fresh = cards.max() + 1  # a value beyond all: the level has not chosen a dimension yet
    order = np.empty((max_dims + 1, n_rows), dtype=np.int64)
    order[max_dims] = np.arange(n_rows)  # the root's parent
    starts = np.zeros((max_dims, fresh + 1), dtype=np.int64)
    lo = np.zeros(max_dims, dtype=np.int64)
    hi = np.full(max_dims, n_rows, dtype=np.int64)
    dim = np.full(max_dims, -1, dtype=np.int64)
    value = np.full(max_dims, fresh, dtype=np.int64)
    pinned = np.zeros(n_dims, dtype=np.int32)
    out_codes = np.zeros((1024, n_dims), dtype=np.int32)
    out_n = np.zeros((1024, 2), dtype=np.int64)
    found = 0
    level = 0
    while level >= 0:
        if value[level] != fresh:
            pinned[dim[level]] = 0
        if value[level] + 1 >= cards[max(dim[level], 0)] or value[level] == fresh:
            dim[level] += 1
            if dim[level] >= n_dims:
                level -= 1
                continue
            value[level] = 0
            _sort(
                codes[dim[level]],
                order[level - 1],
                lo[level],
                hi[level],
                cards[dim[level]],
                starts[level],
                order[level],
            )
            continue
        value[level] += 1
        a = starts[level, value[level]]
        b = starts[level, value[level] + 1]
        if b - a < n_min[level + 1]:
            continue
        trades = _distinct(trade, order[level], a, b)
        if trades < n_min[level + 1]:
            continue
        pinned[dim[level]] = value[level]
        if found == len(out_n):
            out_codes = np.concatenate((out_codes, np.zeros_like(out_codes)))
            out_n = np.concatenate((out_n, np.zeros_like(out_n)))
        out_codes[found] = pinned
        out_n[found, 0], out_n[found, 1] = trades, b - a
        found += 1
        if level + 1 < max_dims:
            level += 1
            lo[level], hi[level], dim[level], value[level] = a, b, dim[level - 1], fresh
    return out_codes[:found].copy(), out_n[:found, 0].copy(), out_n[:found, 1].copy()


@numba.njit(cache=True, nogil=True)
def _sort(codes: Any, source: Any, lo: int, hi: int, cardinality: int, starts: Any, target: Any) -> None:
    """Stable counting sort of source[lo:hi] by code into target[lo:hi]; starts[v] is where value v begins."""
    starts[: cardinality + 1] = 0
    for i in range(lo, hi):
        starts[codes[source[i]] + 1] += 1
    starts[0] = lo
    for v in range(cardinality):
        starts[v + 1] += starts[v]
    place = starts[:cardinality].copy()
    for i in range(lo, hi):
        code = codes[source[i]]
        target[place[code]] = source[i]
        place[code] += 1


@numba.njit(cache=True, nogil=True)
def _distinct(trade: Any, rows: Any, a: int, b: int) -> int:
    """Distinct trades of rows[a:b], of which equal ones are neighbours."""
    distinct = 0
    for i in range(a, b):
        if i == a or trade[rows[i]] != trade[rows[i - 1]]:
            distinct += 1
    return distinct
