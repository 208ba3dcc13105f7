"""Is the difference real? Effects of subsets with clustered errors (spec sections 6 and 7).

The observations are trades, each once: inside the subset if any of its actions in the group is.
Trades of one day move together and regimes last, so errors are clustered: by the day of the close, or,
for a subset that pins a regime, by spell, a maximal run of the pinned values in the group's actions.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numba
import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Effects", "effects", "effects_by_spell", "p_values", "shrunk"]


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """Effects of many subsets; each field (n_subsets,). NaN where there is no such number.

    effect_rr: mean inside less mean outside, in R. error_rr: its clustered standard error. n: distinct
    trades inside. n_clusters: clusters with a trade inside.
    """

    effect_rr: npt.NDArray[np.float64]
    error_rr: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]
    n_clusters: npt.NDArray[np.int64]


def effects(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr: npt.NDArray[np.float64],
    clusters: npt.NDArray[np.int64],
    subsets: npt.NDArray[np.int32],
) -> Effects:
    """Effect of each subset on rr, with errors clustered as given.

    Parameters
    ----------
    codes
        (n_rows, n_dimensions) scope codes, rows of a trade together.
    trade
        (n_rows,) equal for the actions of a trade.
    rr
        (n_rows,) what is compared, the same for all rows of a trade, in R.
    clusters
        (n_rows,) cluster of each row, 0 .. n_clusters - 1; a trade inside belongs to the cluster of its
        first row inside, any other to that of its first row.
    subsets
        (n_subsets, n_dimensions) codes, 0 where free.

    Notes
    -----
    The error is that of the difference of two means under clustering (the sandwich with the factor
    G / (G - 1); Liang and Zeger, Biometrika 73, 1986), over clusters of both sides together.
    Cost: O(n_rows + rows of each subset's rarest value).
    """
    by_value = _postings(codes)
    out = _effects(codes.astype(np.int32), trade, rr, clusters, subsets, *by_value)
    return Effects(effect_rr=out[0], error_rr=out[1], n=out[2], n_clusters=out[3])


def effects_by_spell(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr: npt.NDArray[np.float64],
    by_time: npt.NDArray[np.int64],
    regime: npt.NDArray[np.int64],
    subsets: npt.NDArray[np.int32],
) -> Effects:
    """Effect of each subset on rr, with errors clustered by the spells of the regime that it pins.

    Parameters
    ----------
    codes, trade, rr, subsets
        As of `effects`; subsets that pin the same regime stand together, or it costs time.
    by_time
        (n_rows,) rows in the order of their actions.
    regime
        Dimensions that make a regime.

    Notes
    -----
    A spell is a maximal run, over the group's actions in time, in which the pinned values hold, or do not.
    Source: spec section 6, clusters for errors.
    """
    by_value = _postings(codes)
    out = _effects_by_spell(codes.astype(np.int32), trade, rr, by_time, regime, subsets, *by_value)
    return Effects(effect_rr=out[0], error_rr=out[1], n=out[2], n_clusters=out[3])


def _postings(codes: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows by value: order[d, start[d, v]:start[d, v + 1]] are the rows with code v in dimension d, in order."""
    n_rows, n_dims = codes.shape
    most = int(codes.max(initial=0))
    order = np.empty((n_dims, n_rows), dtype=np.int64)
    start = np.zeros((n_dims, most + 2), dtype=np.int64)
    for d in range(n_dims):
        order[d] = np.argsort(codes[:, d], kind="stable")
        start[d, 1:] = np.cumsum(np.bincount(codes[:, d], minlength=most + 1))
    return order, start


def p_values(found: Effects) -> npt.NDArray[np.float64]:
    """Two-sided p of each effect being zero: Student t with one degree less than clusters inside.

    Notes
    -----
    A p after a search is no probability of anything: the search has to be paid for by whoever calls.

    Examples
    --------
    >>> two = Effects(effect_rr=np.array([2.0]), error_rr=np.array([1.0]), n=np.array([90]),
    ...     n_clusters=np.array([61]))
    >>> p_values(two).round(3)
    array([0.05])
    """
    freedom = np.maximum(found.n_clusters - 1, 1)
    known = (found.error_rr > 0.0) & (found.n_clusters > 1)
    t = np.divide(np.abs(found.effect_rr), found.error_rr, out=np.zeros(len(known)), where=known)
    return np.where(known, 2.0 * stats.t.sf(t, freedom), 1.0)


def shrunk(effect_rr: float, error_rr: float) -> float:
    """Effect shrunken toward none: by the positive-part factor 1 - 1/t**2, t the effect over its error.

    Notes
    -----
    Source: the positive-part rule of Stein (1966) in one dimension; it is the empirical Bayes estimate
    when the variance of the true effects is estimated by effect**2 - error**2.

    Examples
    --------
    >>> shrunk(0.6, 0.2), shrunk(0.1, 0.2)
    (0.5333333333333333, 0.0)
    """
    if abs(effect_rr) <= error_rr:
        return 0.0
    return effect_rr * (1.0 - (error_rr / effect_rr) ** 2)


@numba.njit(cache=True, nogil=True)
def _effects(codes: Any, trade: Any, rr: Any, clusters: Any, subsets: Any, order: Any, start: Any) -> Any:
    out = _nothing_yet(len(subsets))
    first = _first_rows(trade)
    totals = _totals(rr, clusters, first)
    inside = np.zeros(totals.shape)
    for s in range(len(subsets)):
        _measure(s, codes, trade, rr, clusters, subsets[s], order, start, first, totals, inside, out)
    return out


@numba.njit(cache=True, nogil=True)
def _effects_by_spell(
    codes: Any, trade: Any, rr: Any, by_time: Any, regime: Any, subsets: Any, order: Any, start: Any
) -> Any:
    out = _nothing_yet(len(subsets))
    first = _first_rows(trade)
    clusters = np.zeros(len(trade), dtype=np.int64)
    totals = np.zeros((2, 1))
    inside = np.zeros((2, 1))
    for s in range(len(subsets)):
        same = s > 0
        for d in regime:
            same = same and subsets[s, d] == subsets[s - 1, d]
        if not same:
            _spells(codes, by_time, regime, subsets[s], clusters)
            totals = _totals(rr, clusters, first)
            inside = np.zeros(totals.shape)
        _measure(s, codes, trade, rr, clusters, subsets[s], order, start, first, totals, inside, out)
    return out


@numba.njit(cache=True, nogil=True)
def _nothing_yet(n: int) -> Any:
    return np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _first_rows(trade: Any) -> Any:
    """First row of the trade that each row belongs to."""
    first = np.zeros(len(trade), dtype=np.int64)
    for i in range(1, len(trade)):
        first[i] = first[i - 1] if trade[i] == trade[i - 1] else i
    return first


@numba.njit(cache=True, nogil=True)
def _spells(codes: Any, by_time: Any, regime: Any, subset: Any, clusters: Any) -> None:
    """Number the runs in which the regime that a subset pins holds, or does not."""
    run = 0
    held = False
    for i in range(len(by_time)):
        row = by_time[i]
        holds = True
        for d in regime:
            if subset[d] != 0 and codes[row, d] != subset[d]:
                holds = False
                break
        if i > 0 and holds != held:
            run += 1
        held = holds
        clusters[row] = run


@numba.njit(cache=True, nogil=True)
def _totals(rr: Any, clusters: Any, first: Any) -> Any:
    """Sum of rr (0) and number of trades (1) per cluster, each trade in the cluster of its first row."""
    totals = np.zeros((2, clusters.max() + 1 if len(clusters) else 1))
    for i in range(len(rr)):
        if first[i] == i:
            totals[0, clusters[i]] += rr[i]
            totals[1, clusters[i]] += 1.0
    return totals


@numba.njit(cache=True, nogil=True)
def _measure(
    s: int,
    codes: Any,
    trade: Any,
    rr: Any,
    clusters: Any,
    subset: Any,
    order: Any,
    start: Any,
    first: Any,
    totals: Any,
    inside: Any,
    out: Any,
) -> None:
    """Effect of one subset; totals and inside are left as they were found."""
    rows = _rows_inside(codes, trade, subset, order, start)
    n = len(rows)
    for i in range(n):  # from the outside, which totals becomes, to the inside
        row = rows[i]
        totals[0, clusters[first[row]]] -= rr[row]
        totals[1, clusters[first[row]]] -= 1.0
        inside[0, clusters[row]] += rr[row]
        inside[1, clusters[row]] += 1.0
    out[2][s] = n
    out[3][s] = (inside[1] > 0.0).sum()
    if n > 0 and totals[1].sum() > 0.0:
        out[0][s], out[1][s] = _difference(totals, inside)
    for i in range(n):
        row = rows[i]
        totals[0, clusters[first[row]]] += rr[row]
        totals[1, clusters[first[row]]] += 1.0
        inside[0, clusters[row]] = 0.0
        inside[1, clusters[row]] = 0.0


@numba.njit(cache=True, nogil=True)
def _rows_inside(codes: Any, trade: Any, subset: Any, order: Any, start: Any) -> Any:
    """First row inside of each trade that has one, by way of the subset's rarest value."""
    rarest, fewest = -1, len(trade) + 1
    for d in range(len(subset)):
        v = subset[d]
        if v != 0:
            count = start[d, v + 1] - start[d, v] if v + 1 < start.shape[1] else 0
            if count < fewest:
                rarest, fewest = d, count
    if rarest < 0 or fewest == 0:
        return np.empty(0, dtype=np.int64)
    rows = np.empty(fewest, dtype=np.int64)
    n = 0
    begin = start[rarest, subset[rarest]]
    for i in range(begin, begin + fewest):
        row = order[rarest, i]
        if n > 0 and trade[rows[n - 1]] == trade[row]:
            continue
        hit = True
        for d in range(len(subset)):
            hit = hit and (subset[d] == 0 or codes[row, d] == subset[d])
        if hit:
            rows[n] = row
            n += 1
    return rows[:n]


@numba.njit(cache=True, nogil=True)
def _difference(outside: Any, inside: Any) -> Any:
    """Difference of the two sides' means and its clustered error, NaN with a single cluster."""
    n_out, n_in = outside[1].sum(), inside[1].sum()
    mean_out, mean_in = outside[0].sum() / n_out, inside[0].sum() / n_in
    total, used = 0.0, 0
    for c in range(outside.shape[1]):
        if outside[1, c] + inside[1, c] > 0.0:
            used += 1
            score = (inside[0, c] - mean_in * inside[1, c]) / n_in - (outside[0, c] - mean_out * outside[1, c]) / n_out
            total += score * score
    error = np.sqrt(total * used / (used - 1)) if used > 1 else np.nan
    return mean_in - mean_out, error
