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
from scipy.special import stdtr

from learning.postings import Postings

__all__ = ["Effects", "day_share", "effects", "effects_by_spell", "p_values", "shrunk", "shrunk_all"]


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """Effects of many subsets; each field (n_subsets,). NaN where there is no such number.

    effect_rr: mean inside less mean outside, in R. error_rr: its clustered standard error. n: distinct
    trades inside. n_clusters: clusters with a trade inside. n_fewer: that, or clusters with a trade outside
    where these are fewer; 0 without an effect.
    """

    effect_rr: npt.NDArray[np.float64]
    error_rr: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]
    n_clusters: npt.NDArray[np.int64]
    n_fewer: npt.NDArray[np.int64]


def effects(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr: npt.NDArray[np.float64],
    clusters: npt.NDArray[np.int64],
    subsets: npt.NDArray[np.int32],
    postings: Postings | None = None,
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
    postings
        Those of codes and trade, where they are there already.

    Notes
    -----
    The error is that of the difference of two means under clustering (the sandwich with the factor
    G / (G - 1); Liang and Zeger, Biometrika 73, 1986), over clusters of both sides together. What is found
    of a subset depends on no other one. Cost: O(rows and clusters + rows of each subset's rarest value).
    """
    by_value = postings or Postings(codes, trade)
    first = _first_rows(trade)
    found = []
    for batch in by_value.batches(subsets):
        inside = by_value.inside(subsets[batch])
        found.append(_effects(inside.start, inside.rows, first, rr, clusters))
    return _joined(found)


def effects_by_spell(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr: npt.NDArray[np.float64],
    by_time: npt.NDArray[np.int64],
    regime: npt.NDArray[np.int64],
    subsets: npt.NDArray[np.int32],
    postings: Postings | None = None,
) -> Effects:
    """Effect of each subset on rr, with errors clustered by the spells of the regime that it pins.

    Parameters
    ----------
    codes, trade, rr, subsets, postings
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
    by_value = postings or Postings(codes, trade)
    first = _first_rows(trade)
    pinned = np.ascontiguousarray(subsets[:, regime])
    held = np.ascontiguousarray(codes[:, regime], dtype=np.int32)
    found = []
    for batch in by_value.batches(subsets):
        inside = by_value.inside(subsets[batch])
        found.append(_effects_by_spell(inside.start, inside.rows, first, rr, by_time, held, pinned[batch]))
    return _joined(found)


def _joined(parts: list[Any]) -> Effects:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Effects(effect_rr=columns[0], error_rr=columns[1], n=columns[2], n_clusters=columns[3], n_fewer=columns[4])


def p_values(found: Effects) -> npt.NDArray[np.float64]:
    """Two-sided p of each effect being zero: Student t with one degree less than clusters of the side with fewer.

    Notes
    -----
    The mean of a side with one cluster is centred on itself, and its error not seen: it is no side to compare with.
    A p after a search is no probability of anything: the search has to be paid for by whoever calls.

    Examples
    --------
    >>> two = Effects(effect_rr=np.array([2.0]), error_rr=np.array([1.0]), n=np.array([90]),
    ...     n_clusters=np.array([90]), n_fewer=np.array([61]))
    >>> p_values(two).round(3)
    array([0.05])
    """
    freedom = np.maximum(found.n_fewer - 1, 1)
    known = (found.error_rr > 0.0) & (found.n_fewer > 1)
    t = np.divide(np.abs(found.effect_rr), found.error_rr, out=np.zeros(len(known)), where=known)
    return np.where(known, 2.0 * stdtr(freedom, -t), 1.0)


def day_share(means: npt.NDArray[np.float64], rr: npt.NDArray[np.float64]) -> float:
    """How much of the day's mean a group's trades share, in [0, 1]: least squares over its rows.

    A group whose trades all end alike, such as one of protective stops, shares nothing: taking the whole
    mean off it would put the market's noise in. An entry shares it all.

    Parameters
    ----------
    means, rr
        (n_rows,) mean rr of each row's day over all groups, and the row's own, in R.

    Examples
    --------
    >>> days = np.array([-1.0, 0.0, 1.0])
    >>> day_share(days, 0.5 * days), day_share(days, -days), day_share(np.zeros(3), days)
    (0.5, 0.0, 0.0)
    """
    centred = means - means.mean() if len(means) else means
    spread = float(centred @ centred)
    return min(max(float(centred @ rr) / spread, 0.0), 1.0) if spread > 0.0 else 0.0


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


def shrunk_all(found: Effects) -> npt.NDArray[np.float64]:
    """Return the same for many effects: (n_subsets,), 0 where there is none.

    Examples
    --------
    >>> none = np.zeros(3, dtype=np.int64)
    >>> effects_rr = np.array([0.6, 0.1, np.nan])
    >>> shrunk_all(Effects(effect_rr=effects_rr, error_rr=np.full(3, 0.2), n=none, n_clusters=none, n_fewer=none))
    array([0.53333333, 0.        , 0.        ])
    """
    sure = np.abs(found.effect_rr) > found.error_rr  # of NaN it is not
    over = np.divide(found.error_rr, found.effect_rr, out=np.ones(len(sure)), where=sure)
    return np.where(sure, np.nan_to_num(found.effect_rr) * (1.0 - over**2), 0.0)


@numba.njit(cache=True, nogil=True)
def _effects(start: Any, rows: Any, first: Any, rr: Any, clusters: Any) -> Any:
    n_subsets = len(start) - 1
    out = _nothing_yet(n_subsets)
    totals = _totals(rr, clusters, first)
    removed, inside = np.zeros(totals.shape), np.zeros(totals.shape)
    for s in range(n_subsets):
        _measure(s, start, rows, rr, clusters, first, totals, removed, inside, out)
    return out


@numba.njit(cache=True, nogil=True)
def _effects_by_spell(start: Any, rows: Any, first: Any, rr: Any, by_time: Any, held: Any, pinned: Any) -> Any:
    n_subsets = len(start) - 1
    out = _nothing_yet(n_subsets)
    clusters = np.zeros(len(rr), dtype=np.int64)
    totals = np.zeros((2, 1))
    removed, inside = np.zeros((2, 1)), np.zeros((2, 1))
    for s in range(n_subsets):
        same = s > 0
        for d in range(pinned.shape[1]):
            same = same and pinned[s, d] == pinned[s - 1, d]
        if not same:
            _spells(held, by_time, pinned, s, clusters)
            totals = _totals(rr, clusters, first)
            removed, inside = np.zeros(totals.shape), np.zeros(totals.shape)
        _measure(s, start, rows, rr, clusters, first, totals, removed, inside, out)
    return out


@numba.njit(cache=True, nogil=True)
def _nothing_yet(n: int) -> Any:
    none = np.zeros(n, dtype=np.int64)
    return np.full(n, np.nan), np.full(n, np.nan), none, none.copy(), none.copy()


@numba.njit(cache=True, nogil=True)
def _first_rows(trade: Any) -> Any:
    """First row of the trade that each row belongs to."""
    first = np.zeros(len(trade), dtype=np.int64)
    for i in range(1, len(trade)):
        first[i] = first[i - 1] if trade[i] == trade[i - 1] else i
    return first


@numba.njit(cache=True, nogil=True)
def _spells(held: Any, by_time: Any, pinned: Any, s: int, clusters: Any) -> None:
    """Number the runs in which the regime values that a subset pins hold, or do not."""
    run = 0
    before = False
    for i in range(len(by_time)):
        row = by_time[i]
        holds = True
        for d in range(pinned.shape[1]):
            if pinned[s, d] != 0 and held[row, d] != pinned[s, d]:
                holds = False
                break
        if i > 0 and holds != before:
            run += 1
        before = holds
        clusters[row] = run


@numba.njit(cache=True, nogil=True)
def _totals(rr: Any, clusters: Any, first: Any) -> Any:
    """Sum of rr (0) and number of trades (1) per cluster, each trade in the cluster of its first row."""
    most = 0
    for i in range(len(clusters)):
        most = max(most, clusters[i])
    totals = np.zeros((2, most + 1))
    for i in range(len(rr)):
        if first[i] == i:
            totals[0, clusters[i]] += rr[i]
            totals[1, clusters[i]] += 1.0
    return totals


@numba.njit(cache=True, nogil=True)
def _measure(
    s: int,
    start: Any,
    rows: Any,
    rr: Any,
    clusters: Any,
    first: Any,
    totals: Any,
    removed: Any,
    inside: Any,
    out: Any,
) -> None:
    """Effect of one subset; removed (from the outside) and inside are zero before and after.

    Totals are never written: adding back what was taken off would leave rounding for the next subset.
    """
    n_in, sum_in = float(start[s + 1] - start[s]), 0.0
    for i in range(start[s], start[s + 1]):
        row = rows[i]
        outer, inner = clusters[first[row]], clusters[row]
        removed[0, outer] += rr[row]
        removed[1, outer] += 1.0
        inside[0, inner] += rr[row]
        inside[1, inner] += 1.0
        sum_in += rr[row]
    n_out, sum_out = -n_in, 0.0
    for c in range(totals.shape[1]):
        n_out += totals[1, c]
        sum_out += totals[0, c] - removed[0, c]
        out[3][s] += inside[1, c] > 0.0
    out[2][s] = start[s + 1] - start[s]
    if n_in > 0.0 and n_out > 0.0:
        mean_in, mean_out = sum_in / n_in, sum_out / n_out
        total, used, outside = 0.0, 0, 0
        for c in range(totals.shape[1]):
            trades_out = totals[1, c] - removed[1, c]
            outside += trades_out > 0.0
            if trades_out + inside[1, c] > 0.0:
                used += 1
                score_in = (inside[0, c] - mean_in * inside[1, c]) / n_in
                score_out = (totals[0, c] - removed[0, c] - mean_out * trades_out) / n_out
                total += (score_in - score_out) ** 2
        out[0][s] = mean_in - mean_out
        out[4][s] = min(out[3][s], outside)
        if used > 1:
            out[1][s] = np.sqrt(total * used / (used - 1))
    for i in range(start[s], start[s + 1]):
        for side in range(2):
            removed[side, clusters[first[rows[i]]]] = 0.0
            inside[side, clusters[rows[i]]] = 0.0
