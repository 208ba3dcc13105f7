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

__all__ = ["Effects", "effects", "p_values", "shrunk"]


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
    Cost: O(n_subsets x n_rows).
    """
    count = int(clusters.max(initial=-1)) + 1
    out = _effects(np.ascontiguousarray(codes.astype(np.int32)), trade, rr, clusters, count, subsets)
    return Effects(effect_rr=out[0], error_rr=out[1], n=out[2], n_clusters=out[3])


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
def _effects(codes: Any, trade: Any, rr: Any, clusters: Any, n_clusters: int, subsets: Any) -> Any:
    n_subsets = len(subsets)
    effect = np.full(n_subsets, np.nan)
    error = np.full(n_subsets, np.nan)
    n_in = np.zeros(n_subsets, dtype=np.int64)
    n_in_clusters = np.zeros(n_subsets, dtype=np.int64)
    sums = np.zeros((2, n_clusters))
    counts = np.zeros((2, n_clusters))
    for s in range(n_subsets):
        pinned = np.flatnonzero(subsets[s])
        _tally(codes, trade, rr, clusters, pinned, subsets[s], sums, counts)
        n_in[s] = int(counts[1].sum())
        n_in_clusters[s] = (counts[1] > 0).sum()
        if n_in[s] > 0 and counts[0].sum() > 0:
            effect[s], error[s] = _difference(sums, counts)
    return effect, error, n_in, n_in_clusters


@numba.njit(cache=True, nogil=True)
def _tally(codes: Any, trade: Any, rr: Any, clusters: Any, pinned: Any, subset: Any, sums: Any, counts: Any) -> None:
    """Sum and count the trades outside (0) and inside (1) a subset per cluster."""
    sums[:] = 0.0
    counts[:] = 0.0
    n_rows = len(trade)
    row = 0
    while row < n_rows:
        side, cluster = 0, clusters[row]
        last = row
        while last < n_rows and trade[last] == trade[row]:
            if side == 0:
                side = 1
                for d in pinned:
                    if codes[last, d] != subset[d]:
                        side = 0
                        break
                if side == 1:
                    cluster = clusters[last]
            last += 1
        sums[side, cluster] += rr[row]
        counts[side, cluster] += 1.0
        row = last


@numba.njit(cache=True, nogil=True)
def _difference(sums: Any, counts: Any) -> Any:
    """Difference of the two sides' means and its clustered error, NaN with a single cluster."""
    outside, inside = counts[0].sum(), counts[1].sum()
    mean_out, mean_in = sums[0].sum() / outside, sums[1].sum() / inside
    total, used = 0.0, 0
    for c in range(sums.shape[1]):
        if counts[0, c] + counts[1, c] > 0:
            used += 1
            score = (sums[1, c] - mean_in * counts[1, c]) / inside - (sums[0, c] - mean_out * counts[0, c]) / outside
            total += score * score
    error = np.sqrt(total * used / (used - 1)) if used > 1 else np.nan
    return mean_in - mean_out, error
