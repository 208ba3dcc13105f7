"""The loops of the cube, compiled (Numba): recursive partition with an explicit stack (`learning.cube` says what for).

Rows are numbers into the columns. Every node of the tree has a segment of them; below a node, one
dimension at a time, the rows of the values that are frequent enough are partitioned into segments of
their own, past the node's, so that a segment stays untouched while what extends it is worked on. Both
sorts and cuts are stable: the rows of a trade stay neighbours, its first action first.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np

__all__ = ["codes_of_tree", "enumerate_rows"]

_SPARSE: Final = 4
"""A dimension with more than this many codes per row of a segment is read by rows, not by codes."""
_NEVER: Final = 1 << 62
"""An n_min that nothing reaches: below the deepest level."""


class _Stack(NamedTuple):
    """State of the walk: arrays over levels (pinned dimensions of the node there), and work space."""

    lo: Any  # segment of the node: rows[lo:hi]
    hi: Any
    repeats: Any  # whether a trade has more than one row in it
    free: Any  # where in `rows` the segments below it may begin: past those of the nodes above
    used: Any  # and where those of the dimension that is being worked on end
    live: Any  # (levels, n_dims) dimensions that may still be pinned below
    n_live: Any
    deep: Any  # (levels, n_dims) whether a value of that live dimension is frequent enough one level below
    first: Any  # (levels, n_dims + 1) where in `children` those of each live dimension begin
    at: Any  # which live dimension is being worked on
    child: Any  # which of its children comes next
    counts: Any  # (most codes,) int32, all 0 between uses
    place: Any  # (most codes,) int64, all `nowhere` between uses
    rows: Any  # (n_rows x (levels + 1) + 1,) segments; the last place takes what is thrown away


@numba.njit(cache=True, nogil=True)
def enumerate_rows(codes: Any, trade: Any, rr_q: Any, payback_ms: Any, cards: Any, n_min: Any, max_dims: int) -> Any:
    """Level, dimension and code of each tracked subset, (n, 3) uint16, and its six sums, (n, 6) int64."""
    n_dims, n_rows = codes.shape
    least = np.full(max_dims + 3, _NEVER, dtype=np.int64)
    least[: max_dims + 1] = n_min
    person, measures = _dense(trade), _measures(rr_q, payback_ms)
    stack = _empty_stack(n_dims, n_rows, max_dims, cards.max() if n_dims else 1)
    stack.repeats[0] = n_rows > 0 and person[-1] + 1 < n_rows
    children = np.empty((256, 3), dtype=np.int64)
    where = np.empty((256, 3), dtype=np.uint16)
    sums = np.empty((256, 6), dtype=np.int64)
    found = 0
    children = _expand(stack, 0, codes, cards, least, children)
    level = 0
    while level >= 0:
        at = stack.at[level]
        if stack.child[level] == stack.first[level, at + 1]:
            if at + 1 >= stack.n_live[level]:
                level -= 1
                continue
            stack.at[level] = at = at + 1
            stack.child[level] = stack.first[level, at]
            _partition(codes[stack.live[level, at]], stack, level, at, children)
            continue
        code, lo, n_actions = children[stack.child[level]]
        stack.child[level] += 1
        if found == len(sums):
            where, sums = np.concatenate((where, where)), np.concatenate((sums, sums))
        repeats = _sum(measures, person, stack.rows, lo, lo + n_actions, stack.repeats[level], sums[found])
        n = sums[found, 0]
        if n < least[level + 1]:
            continue
        where[found, 0], where[found, 1], where[found, 2] = level + 1, stack.live[level, at], code
        found += 1
        if n >= least[level + 2] and _descend(stack, level, at, lo, lo + n_actions, repeats):
            level += 1
            children = _expand(stack, level, codes, cards, least, children)
    return where[:found].copy(), sums[:found].copy()


@numba.njit(cache=True, nogil=True)
def _empty_stack(n_dims: int, n_rows: int, max_dims: int, most_codes: int) -> Any:
    """Stack with the root on it, which has all rows."""
    levels = max_dims + 1
    rows = np.empty(n_rows * (levels + 1) + 1, dtype=np.uint32)
    for i in range(n_rows):
        rows[i] = i
    stack = _Stack(
        lo=np.zeros(levels, dtype=np.int64),
        hi=np.full(levels, n_rows, dtype=np.int64),
        repeats=np.zeros(levels, dtype=np.bool_),
        free=np.full(levels, n_rows, dtype=np.int64),
        used=np.zeros(levels, dtype=np.int64),
        live=np.zeros((levels, n_dims), dtype=np.int64),
        n_live=np.zeros(levels, dtype=np.int64),
        deep=np.zeros((levels, n_dims), dtype=np.bool_),
        first=np.zeros((levels, n_dims + 1), dtype=np.int64),
        at=np.zeros(levels, dtype=np.int64),
        child=np.zeros(levels, dtype=np.int64),
        counts=np.zeros(most_codes, dtype=np.int32),
        place=np.full(most_codes, len(rows) - 1, dtype=np.int64),
        rows=rows,
    )
    stack.n_live[0] = n_dims
    for d in range(n_dims):
        stack.live[0, d] = d
    return stack


@numba.njit(cache=True, nogil=True)
def _dense(trade: Any) -> Any:
    """Trades numbered from 0 in the order of their rows."""
    person = np.empty(len(trade), dtype=np.int32)
    number = -1
    for i in range(len(trade)):
        if i == 0 or trade[i] != trade[i - 1]:
            number += 1
        person[i] = number
    return person


@numba.njit(cache=True, nogil=True)
def _measures(rr_q: Any, payback_ms: Any) -> Any:
    """What is summed, side by side: (n_rows, 4) win, rr, rr squared, payback."""
    measures = np.empty((len(rr_q), 4), dtype=np.int64)
    for i in range(len(rr_q)):
        measures[i, 0] = rr_q[i] > 0
        measures[i, 1] = rr_q[i]
        measures[i, 2] = rr_q[i] * rr_q[i]
        measures[i, 3] = payback_ms[i]
    return measures


@numba.njit(cache=True, nogil=True)
def _expand(stack: Any, level: int, codes: Any, cards: Any, least: Any, children: Any) -> Any:
    """Find the values that are frequent enough to extend the node of a level, per live dimension.

    Returns `children`, (capacity, 3): code, first row (set by `_partition`), rows. A dimension of which
    no value would be frequent enough one level deeper is not deep: nothing below this node pins it.
    """
    lo, hi = stack.lo[level], stack.hi[level]
    top = stack.first[level, 0]
    for j in range(stack.n_live[level]):
        d = stack.live[level, j]
        room = min(cards[d], hi - lo)
        while top + room > len(children):
            children = np.concatenate((children, np.empty_like(children)))
        _count(codes[d], stack.rows, lo, hi, stack.counts)
        if cards[d] > _SPARSE * (hi - lo):
            last, most = _take_by_rows(codes[d], stack, lo, hi, least[level + 1], children, top)
        else:
            last, most = _take_by_codes(cards[d], stack, least[level + 1], children, top)
        top = last
        stack.first[level, j + 1] = top
        stack.deep[level, j] = most >= least[level + 2]
    stack.at[level] = -1
    stack.child[level] = stack.first[level, 0]
    return children


@numba.njit(cache=True, nogil=True)
def _count(codes: Any, rows: Any, lo: int, hi: int, counts: Any) -> None:
    for i in range(lo, hi):
        counts[codes[rows[i]]] += 1


@numba.njit(cache=True, nogil=True)
def _take_by_codes(card: int, stack: Any, least: int, children: Any, top: int) -> Any:
    """Append the frequent codes, and clear all counts; the end of `children`, and the largest count."""
    counts = stack.counts
    most = 0
    for code in range(1, card):
        n = counts[code]
        if n >= least:
            children[top, 0], children[top, 2] = code, n
            top += 1
            most = max(most, n)
    counts[:card] = 0
    return top, most


@numba.njit(cache=True, nogil=True)
def _take_by_rows(codes: Any, stack: Any, lo: int, hi: int, least: int, children: Any, top: int) -> Any:
    """As `_take_by_codes`, in time of the rows, however many codes there are."""
    counts, rows = stack.counts, stack.rows
    begin, most = top, 0
    for i in range(lo, hi):
        code = codes[rows[i]]
        n = counts[code]
        counts[code] = 0
        if code > 0 and n >= least:
            children[top, 0], children[top, 2] = code, n
            top += 1
            most = max(most, n)
    found = children[begin:top].copy()
    order = np.argsort(found[:, 0])
    for i in range(len(order)):
        children[begin + i] = found[order[i]]
    return top, most


@numba.njit(cache=True, nogil=True)
def _partition(codes: Any, stack: Any, level: int, at: int, children: Any) -> None:
    """Move the rows of a dimension's frequent values into segments of their own, and note where these begin."""
    lo, hi, free = stack.lo[level], stack.hi[level], stack.free[level]
    begin, end = stack.first[level, at], stack.first[level, at + 1]
    stack.used[level] = free
    if begin == end:
        return
    if children[begin, 2] == hi - lo:  # every row has the value: nothing to move
        children[begin, 1] = lo
        return
    rows, place = stack.rows, stack.place
    nowhere = len(rows) - 1
    for c in range(begin, end):
        children[c, 1] = place[children[c, 0]] = free
        free += children[c, 2]
    for i in range(lo, hi):
        row = rows[i]
        code = codes[row]
        target = place[code]
        rows[target] = row
        place[code] = target + (target != nowhere)  # no branch: it could not be predicted
    for c in range(begin, end):
        place[children[c, 0]] = nowhere
    stack.used[level] = free


@numba.njit(cache=True, nogil=True)
def _descend(stack: Any, level: int, at: int, lo: int, hi: int, repeats: bool) -> bool:
    """Put rows[lo:hi] on the next level, unless nothing can extend it."""
    n_live = 0
    for j in range(at + 1, stack.n_live[level]):
        if stack.deep[level, j]:
            stack.live[level + 1, n_live] = stack.live[level, j]
            n_live += 1
    if n_live == 0:
        return False
    below = level + 1
    stack.n_live[below] = n_live
    stack.lo[below], stack.hi[below], stack.repeats[below] = lo, hi, repeats
    stack.free[below] = stack.used[level]
    stack.first[below, 0] = stack.first[level, stack.n_live[level]]
    return True


@numba.njit(cache=True, nogil=True)
def _sum(measures: Any, person: Any, rows: Any, lo: int, hi: int, repeats: bool, sums: Any) -> bool:
    """Six sums of a segment: distinct trades, rows, and the measures of each trade's first row.

    Returns whether a trade has more than one row in it; if none has in the parent, none has here.
    """
    n = wins = rr = rr2 = payback = 0
    if repeats:
        last = -1
        for i in range(lo, hi):
            row = rows[i]
            if person[row] != last:
                last = person[row]
                n += 1
                wins += measures[row, 0]
                rr += measures[row, 1]
                rr2 += measures[row, 2]
                payback += measures[row, 3]
    else:
        n = hi - lo
        for i in range(lo, hi):
            row = rows[i]
            wins += measures[row, 0]
            rr += measures[row, 1]
            rr2 += measures[row, 2]
            payback += measures[row, 3]
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = n, hi - lo, wins, rr, rr2, payback
    return n < hi - lo


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
