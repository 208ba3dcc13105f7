"""What a subset adds to the subsets with one dimension less (spec section 6, emergence)."""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Lineage", "emergence"]

_FREE: Final = -1
"""The dimension is not pinned: there is no such parent."""
_GROUP: Final = -2
"""Nothing else is pinned: the parent is the group."""
_MISSING: Final = -3


class Lineage:
    """Subsets with the parents of each: those that pin one dimension less.

    Parameters
    ----------
    subsets
        (n_subsets, n_dimensions) codes, 0 where free.

    Examples
    --------
    >>> Lineage(np.array([[1, 2], [1, 0]])).codes.tolist()  # the parent [0, 2] was not asked for
    [[1, 2], [1, 0], [0, 2]]
    """

    def __init__(self, subsets: npt.NDArray[Any]) -> None:
        wanted = np.ascontiguousarray(subsets, dtype=np.int32)
        self.n_subsets = len(wanted)
        self.codes = wanted
        """Codes of the subsets, in their order, then of the parents that are not among them: (n, n_dimensions)."""
        self.parent = _parents(wanted, wanted, _table(wanted))
        """(n_subsets, n_dimensions) index into `codes` of the subset without that dimension; or _FREE, _GROUP."""
        of, without = np.nonzero(self.parent == _MISSING)
        if len(of):
            missing = wanted[of]
            missing[np.arange(len(of)), without] = 0
            self.codes = np.concatenate((wanted, np.unique(missing, axis=0)))
            self.parent = _parents(wanted, self.codes, _table(self.codes))


def emergence(
    lineage: Lineage, effect_rr: npt.NDArray[np.float64], n: npt.NDArray[np.int64], variance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Emergence score of each subset, (n_subsets,), NaN without an effect or a variance.

    Parameters
    ----------
    lineage
        The subsets.
    effect_rr
        Effect of each subset and of its parents, in the order of `lineage.codes`.
    n, variance
        (n_subsets,) of the subsets.

    Notes
    -----
    The group itself, and a parent that holds all trades, have no effect and count 0. Source: spec section 6.
    """
    own = effect_rr[: lineage.n_subsets]
    least = _incremental(lineage.parent, np.nan_to_num(effect_rr), own)
    return least / (1.0 + variance) / np.sqrt(np.maximum(n, 3))


@numba.njit(cache=True, nogil=True)
def _incremental(parent: Any, effect: Any, own: Any) -> Any:
    least = np.full(len(own), np.nan)
    for s in range(len(own)):
        sign, pinned = np.sign(own[s]), 0
        for d in range(parent.shape[1]):
            if parent[s, d] != _FREE:
                of_parent = effect[parent[s, d]] if parent[s, d] >= 0 else 0.0
                gain = sign * (own[s] - of_parent)
                least[s] = gain if pinned == 0 else min(least[s], gain)
                pinned += 1
    return least


@numba.njit(cache=True, nogil=True)
def _hash(codes: Any, without: int) -> Any:
    mixed = np.uint64(14695981039346656037)  # FNV-1a, over codes instead of bytes
    for d in range(len(codes)):
        value = np.uint64(0 if d == without else codes[d])
        mixed = (mixed ^ value) * np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)  # the low bits choose the place
    return np.int64(mixed >> np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _table(codes: Any) -> Any:
    """Open-addressing table of the index of each row of codes, -1 where empty; at most half full."""
    size = 16
    while size < 2 * len(codes):
        size *= 2
    table = np.full(size, -1, dtype=np.int64)
    for i in range(len(codes)):
        at = _hash(codes[i], -1) & (size - 1)
        while table[at] >= 0:
            at = (at + 1) & (size - 1)
        table[at] = i
    return table


@numba.njit(cache=True, nogil=True)
def _find(table: Any, codes: Any, wanted: Any, without: int) -> int:
    at = _hash(wanted, without) & (len(table) - 1)
    while table[at] >= 0:
        same = True
        for d in range(len(wanted)):
            if codes[table[at], d] != (0 if d == without else wanted[d]):
                same = False
                break
        if same:
            return int(table[at])
        at = (at + 1) & (len(table) - 1)
    return -1


@numba.njit(cache=True, nogil=True)
def _parents(subsets: Any, codes: Any, table: Any) -> Any:
    parent = np.full(subsets.shape, _FREE, dtype=np.int64)
    for s in range(len(subsets)):
        pinned = (subsets[s] != 0).sum()
        for d in range(subsets.shape[1]):
            if subsets[s, d] != 0:
                found = _find(table, codes, subsets[s], d)
                if pinned == 1:
                    parent[s, d] = _GROUP
                else:
                    parent[s, d] = found if found >= 0 else _MISSING
    return parent
