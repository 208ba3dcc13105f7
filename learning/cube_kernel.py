"""The loops of the cube, compiled (Numba): recursive partition with an explicit stack (`learning.cube` says what for).

Rows are numbers into the columns. Every node of the tree has a segment of them; below a node, one
dimension at a time, the rows of the values that are frequent enough are partitioned into segments of
their own, past the node's, so that a segment stays untouched while what extends it is worked on. The
partition is stable: the rows of a trade stay neighbours, its first action first.

Arrays are passed one by one, and the walk neither slices nor replaces any: a view, an array out of a
tuple or a variable that may hold another array costs Numba atomic operations at each use, which took
most of the time of small segments. Hence a walk that stops where there is no room and can be resumed,
and helpers that are inlined.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "codes_of_tree", "enumerate_rows"]

_SPARSE: Final = 4
"""A dimension with more than this many codes per row of a segment is read by rows, not by codes."""
NEVER: Final = 1 << 62
"""An n_min that nothing reaches: below the deepest level."""

# Columns of `walk`, the state of the node on each level: its level is the number of dimensions it pins.
_LO: Final = 0  # its rows: rows[lo:hi]
_HI: Final = 1
_REPEATS: Final = 2  # 1 if a trade has more than one row among them
_FREE: Final = 3  # where in `rows` the segments below it may begin: past those of the nodes above
_USED: Final = 4  # where those of the dimension that is being worked on end
_N_LIVE: Final = 5  # live dimensions: those that may still be pinned below it
_AT: Final = 6  # which of them is being worked on: -1 before the first, or
_NEW: Final = -2  # not expanded yet
_CHILD: Final = 7  # which child is the next one: a row of `children`
_FIELDS: Final = 8


def enumerate_rows(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr_q: npt.NDArray[np.int64],
    payback_ms: npt.NDArray[np.int64],
    cards: npt.NDArray[np.int64],
    least: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Level, dimension and code of each tracked subset, (n, 3) uint16, and its six sums, (n, 6) int64.

    least: (max_dims + 3,) int64, n_min by level, `NEVER` past the last. Work space: `children`, the
    frequent values of all nodes on the stack, (capacity, 3) code, first row, rows; `live`, `deep` and
    `first`, per level and live dimension, the dimension, whether anything may pin it two levels below,
    and where its children begin.
    """
    (n_dims, n_rows), levels = codes.shape, len(least) - 2
    codes, cards = np.ascontiguousarray(codes, dtype=np.uint16), np.ascontiguousarray(cards, dtype=np.int64)
    begins = np.ones(n_rows, dtype=np.bool_)
    begins[1:] = trade[1:] != trade[:-1]
    person = np.cumsum(begins, dtype=np.int32)
    measures = np.stack((rr_q > 0, rr_q, rr_q * rr_q, payback_ms), axis=1).astype(np.int64, copy=False)
    rows = np.empty(n_rows * (levels + 1) + 1, dtype=np.uint32)  # the last place takes what is thrown away
    rows[:n_rows] = np.arange(n_rows)
    counts = np.zeros(cards.max(initial=1), dtype=np.int32)
    place = np.full(len(counts), len(rows) - 1, dtype=np.int64)
    walk = np.zeros((levels, _FIELDS), dtype=np.int64)
    walk[0, [_HI, _REPEATS, _FREE, _N_LIVE, _AT]] = n_rows, not begins.all(), n_rows, n_dims, _NEW
    live = np.tile(np.arange(n_dims), (levels, 1))
    deep = np.zeros((levels, n_dims), dtype=np.bool_)
    first = np.zeros((levels, n_dims + 1), dtype=np.int64)
    children = np.empty((1024, 3), dtype=np.int64)
    where, sums = np.empty((1024, 3), dtype=np.uint16), np.empty((1024, 6), dtype=np.int64)
    level = found = 0
    while level >= 0:  # entered again each time there was no room for what comes next
        if found == len(sums):
            where, sums = np.concatenate((where, where)), np.concatenate((sums, sums))
        level, found, room = _walk(
            codes, cards, person, measures, least, rows, counts, place,
            walk, live, deep, first, children, where, sums, level, found,
        )  # fmt: skip
        if room > len(children):
            children = np.concatenate((children, np.empty((room, 3), dtype=np.int64)))
    return where[:found], sums[:found]


@numba.njit(cache=True, nogil=True)
def _walk(
    codes: Any, cards: Any, person: Any, measures: Any, least: Any, rows: Any, counts: Any, place: Any,
    walk: Any, live: Any, deep: Any, first: Any, children: Any, where: Any, sums: Any, level: int, found: int,
) -> Any:  # fmt: skip
    """Walk on until all is found, level -1, or there is no room: level, subsets found, children to make room for."""
    room = 0
    while level >= 0:
        at = walk[level, _AT]
        if at == _NEW:
            room = _room(level, walk, first, least)
            if room > len(children):
                break
            _expand(codes, rows, cards, least, level, walk, live, deep, first, counts, children)
            continue
        child = walk[level, _CHILD]
        if child == first[level, at + 1]:
            if at + 1 >= walk[level, _N_LIVE]:
                level -= 1
                continue
            walk[level, _AT] = at + 1
            _partition(codes, live[level, at + 1], rows, level, walk, place, children, first)
            continue
        if found == len(sums):
            break
        walk[level, _CHILD] += 1
        lo, n_actions = children[child, 1], children[child, 2]
        n = _sum(measures, person, rows, lo, lo + n_actions, walk[level, _REPEATS], sums, found)
        if n < least[level + 1]:
            continue
        where[found, 0], where[found, 1], where[found, 2] = level + 1, live[level, at], children[child, 0]
        found += 1
        if n >= least[level + 2] and _descend(level, lo, lo + n_actions, n < n_actions, walk, live, deep, first):
            level += 1
    return level, found, room


@numba.njit(cache=True, nogil=True, inline="always")
def _room(level: int, walk: Any, first: Any, least: Any) -> int:
    """Children there may be once the node of a level is expanded."""
    most = (walk[level, _HI] - walk[level, _LO]) // max(least[level + 1], 1)
    return first[level, 0] + walk[level, _N_LIVE] * most


@numba.njit(cache=True, nogil=True, inline="always")
def _expand(
    codes: Any, rows: Any, cards: Any, least: Any, level: int,
    walk: Any, live: Any, deep: Any, first: Any, counts: Any, children: Any,
) -> None:  # fmt: skip
    """Find the values that are frequent enough to extend the node of a level, per live dimension.

    A dimension of which no value would be frequent enough one level deeper is not deep: nothing below
    the node's children pins it.
    """
    lo, hi = walk[level, _LO], walk[level, _HI]
    top = first[level, 0]
    for j in range(walk[level, _N_LIVE]):
        d = live[level, j]
        for i in range(lo, hi):
            counts[codes[d, rows[i]]] += 1
        if cards[d] > _SPARSE * (hi - lo):
            top, most = _take_by_rows(codes, d, rows, lo, hi, least[level + 1], counts, children, top)
        else:
            top, most = _take_by_codes(cards[d], least[level + 1], counts, children, top)
        first[level, j + 1] = top
        deep[level, j] = most >= least[level + 2]
    walk[level, _AT] = -1
    walk[level, _CHILD] = first[level, 0]


@numba.njit(cache=True, nogil=True, inline="always")
def _take_by_codes(card: int, least: int, counts: Any, children: Any, top: int) -> Any:
    """Append the frequent codes, and clear all counts; the end of `children`, and the largest count."""
    most = 0
    for code in range(1, card):
        n = counts[code]
        counts[code] = 0
        if n >= least:
            children[top, 0], children[top, 2] = code, n
            top += 1
            most = max(most, n)
    counts[0] = 0
    return top, most


@numba.njit(cache=True, nogil=True)
def _take_by_rows(
    codes: Any, d: int, rows: Any, lo: int, hi: int, least: int, counts: Any, children: Any, top: int
) -> Any:
    """As `_take_by_codes`, in time of the rows, however many codes there are."""
    begin, most = top, 0
    for i in range(lo, hi):
        code = codes[d, rows[i]]
        n = counts[code]
        counts[code] = 0
        if code > 0 and n >= least:
            children[top, 0], children[top, 2] = code, n
            top += 1
            most = max(most, n)
    _sort(children, begin, top)
    return top, most


@numba.njit(cache=True, nogil=True)
def _sort(children: Any, begin: int, end: int) -> None:
    """Sort children[begin:end] by code, all different, in place (Shell's sort, gaps 3 k + 1)."""
    gap = 1
    while 3 * gap < end - begin:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(begin + gap, end):
            code, n = children[i, 0], children[i, 2]
            j = i
            while j >= begin + gap and children[j - gap, 0] > code:
                children[j, 0], children[j, 2] = children[j - gap, 0], children[j - gap, 2]
                j -= gap
            children[j, 0], children[j, 2] = code, n
        gap //= 3


@numba.njit(cache=True, nogil=True, inline="always")
def _partition(codes: Any, d: int, rows: Any, level: int, walk: Any, place: Any, children: Any, first: Any) -> None:
    """Move the rows of a dimension's frequent values into segments of their own, and note where these begin."""
    lo, hi, free = walk[level, _LO], walk[level, _HI], walk[level, _FREE]
    begin, end = walk[level, _CHILD], first[level, walk[level, _AT] + 1]
    walk[level, _USED] = free
    if begin == end:
        return
    if children[begin, 2] == hi - lo:  # every row has the value: nothing to move
        children[begin, 1] = lo
        return
    nowhere = len(rows) - 1
    for child in range(begin, end):
        children[child, 1] = place[children[child, 0]] = free
        free += children[child, 2]
    for i in range(lo, hi):
        row = rows[i]
        code = codes[d, row]
        target = place[code]
        rows[target] = row
        place[code] = target + (target != nowhere)  # no branch: it could not be predicted
    for child in range(begin, end):
        place[children[child, 0]] = nowhere
    walk[level, _USED] = free


@numba.njit(cache=True, nogil=True, inline="always")
def _descend(level: int, lo: int, hi: int, repeats: bool, walk: Any, live: Any, deep: Any, first: Any) -> bool:
    """Put rows[lo:hi] on the next level, unless nothing can extend it."""
    below, n_live = level + 1, 0
    for j in range(walk[level, _AT] + 1, walk[level, _N_LIVE]):
        if deep[level, j]:
            live[below, n_live] = live[level, j]
            n_live += 1
    walk[below, _LO], walk[below, _HI], walk[below, _REPEATS] = lo, hi, repeats
    walk[below, _FREE], walk[below, _N_LIVE], walk[below, _AT] = walk[level, _USED], n_live, _NEW
    first[below, 0] = first[level, walk[level, _N_LIVE]]
    return n_live > 0


@numba.njit(cache=True, nogil=True, inline="always")
def _sum(measures: Any, person: Any, rows: Any, lo: int, hi: int, repeats: int, sums: Any, found: int) -> int:
    """Six sums of a segment: distinct trades, which it returns, rows, and the measures of each trade's first row."""
    n = wins = rr = rr2 = payback = 0
    last = -1
    for i in range(lo, hi):
        row = rows[i]
        if repeats:  # if no trade repeats in the parent, none does here
            if person[row] == last:
                continue
            last = person[row]
        n += 1
        wins += measures[row, 0]
        rr += measures[row, 1]
        rr2 += measures[row, 2]
        payback += measures[row, 3]
    sums[found, 0], sums[found, 1], sums[found, 2] = n, hi - lo, wins
    sums[found, 3], sums[found, 4], sums[found, 5] = rr, rr2, payback
    return n


@numba.njit(cache=True, nogil=True)
def codes_of_tree(level: Any, dim: Any, code: Any, n_dims: int) -> Any:
    """Codes of each subset of a tree, 0 where a dimension is free: (n_subsets, n_dims) int32."""
    codes = np.zeros((len(level), n_dims), dtype=np.int32)
    latest = np.zeros(n_dims + 1, dtype=np.int64)  # the last subset of each level so far
    for i in range(len(level)):
        k = np.int64(level[i])
        if k > 1:
            codes[i] = codes[latest[k - 1]]
        codes[i, dim[i]] = code[i]
        latest[k] = i
    return codes
