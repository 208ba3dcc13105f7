"""Is a mean above zero? Means of many columns in many subsets at once, with clustered errors."""

from __future__ import annotations

from typing import Any

import msgspec
import numba
import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from learning.postings import Inside

__all__ = ["Means", "clustered_means", "interval", "upper_p", "with_a_loss", "with_spread"]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """Means of columns in subsets; each field (n_subsets, n_columns). NaN where there is no such number.

    mean: over the trades inside whose value is known. error: its clustered standard error, NaN with one
    cluster. n: trades inside with a known value. n_clusters: clusters with such a trade.
    """

    mean: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]
    n_clusters: npt.NDArray[np.int64]


def clustered_means(inside: Inside, columns: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> Means:
    """Mean of each column over the trades inside of each subset, with errors clustered as given.

    Parameters
    ----------
    inside
        Trades of each subset, each by one of its rows.
    columns
        (n_columns, n_rows) values, NaN where not known.
    clusters
        (n_columns, n_rows) cluster of each row, 0, 1, ..., of each column by itself.

    Notes
    -----
    The error is that of a mean under clustering, the sandwich sum((S - mean N)**2) / n**2 times G / (G - 1),
    S and N the sum and the number of a cluster's values, over the G clusters with any (Liang and Zeger,
    Biometrika 73, 1986). Values that are all alike have the error 0. Cost: O(trades inside x columns),
    whatever the number of clusters.

    Examples
    --------
    >>> whole = Inside(start=np.array([0, 4]), rows=np.arange(4, dtype=np.int32), n_actions=np.array([4]))
    >>> found = clustered_means(whole, np.array([[1.0, 3.0, 2.0, np.nan]]), np.array([[0, 0, 1, 1]]))
    >>> found.mean.tolist(), found.error.tolist(), found.n.tolist(), found.n_clusters.tolist()
    ([[2.0]], [[0.0]], [[3]], [[2]])
    """
    mean, error, n, n_clusters = _means(
        inside.start, inside.rows, np.ascontiguousarray(columns), np.ascontiguousarray(clusters)
    )
    return Means(mean=mean, error=error, n=n, n_clusters=n_clusters)


def upper_p(found: Means, above: float | npt.NDArray[np.float64] = 0.0) -> npt.NDArray[np.float64]:
    """One-sided p of each mean being above a number by luck: Student t, one degree less than clusters.

    Notes
    -----
    1 where there is no error to compare with. A p after a search is no probability of anything: the search
    has to be paid for by whoever calls.

    Examples
    --------
    >>> two = Means(mean=np.array([[2.0, -2.0]]), error=np.ones((1, 2)), n=np.full((1, 2), 90),
    ...     n_clusters=np.full((1, 2), 61))
    >>> upper_p(two).round(3)
    array([[0.025, 0.975]])
    """
    freedom = np.maximum(found.n_clusters - 1, 1)
    known = (found.error > 0.0) & (found.n_clusters > 1)
    with np.errstate(over="ignore"):  # of an error next to nothing t is infinite, and p is 0 or 1
        t = np.divide(found.mean - above, found.error, out=np.zeros(known.shape), where=known)
    return np.where(known, stdtr(freedom, -t), 1.0)


def with_spread(found: Means, spread: npt.NDArray[np.float64]) -> Means:
    """Return the means with errors no smaller than what each column's own spread makes of as many trades.

    Parameters
    ----------
    found
        (n_subsets, n_columns) means.
    spread
        (n_columns,) standard deviation of each column over the whole group.

    Notes
    -----
    Where a value gains a little mostly and loses much rarely, some subset of many has met no loss: its mean is
    high, its own spread is small, and both for the same reason. The losses are in the group's spread.
    """
    least = spread / np.sqrt(np.maximum(found.n, 1))
    return Means(mean=found.mean, error=np.maximum(found.error, least), n=found.n, n_clusters=found.n_clusters)


def with_a_loss(found: Means, loss: float | npt.NDArray[np.float64]) -> Means:
    """Return the means with one more trade in each, in a cluster of its own, that loses so much.

    Notes
    -----
    What has not lost yet has shown nothing about how often it will: of 20 trades, two thirds of all samples
    miss a loss that comes once in 50. A mean that stands one more loss of the largest size is one that has
    been seen often enough.

    Examples
    --------
    >>> few = Means(mean=np.array([0.2]), error=np.array([0.01]), n=np.array([20]), n_clusters=np.array([20]))
    >>> worse = with_a_loss(few, 10.0)
    >>> worse.mean.round(2).tolist(), worse.error.round(2).tolist()
    ([-0.29], [0.49])
    """
    more = found.n + 1
    return Means(
        mean=(found.n * found.mean - loss) / more,
        error=np.hypot(found.n * found.error, loss + found.mean) / more,
        n=found.n,
        n_clusters=found.n_clusters,
    )


def interval(mean: float, error: float, n_clusters: int, covered: float = 0.95) -> tuple[float, float]:
    """Interval of a mean, two-sided, from Student t with one degree less than clusters.

    Examples
    --------
    >>> low, high = interval(1.0, 0.5, 31)
    >>> round(low, 3), round(high, 3)
    (-0.021, 2.021)
    """
    reach = float(stdtrit(max(n_clusters - 1, 1), 0.5 + 0.5 * covered)) * error
    return mean - reach, mean + reach


@numba.njit(cache=True, nogil=True)
def _means(start: Any, rows: Any, columns: Any, clusters: Any) -> Any:
    n_subsets, n_columns = len(start) - 1, len(columns)
    mean, error = np.full((n_subsets, n_columns), np.nan), np.full((n_subsets, n_columns), np.nan)
    n, n_clusters = np.zeros((n_subsets, n_columns), np.int64), np.zeros((n_subsets, n_columns), np.int64)
    most = 0
    for c in range(n_columns):
        for i in range(clusters.shape[1]):
            most = max(most, clusters[c, i])
    # Of the cluster that is looked at: zero before and after each subset, by way of the list of those met.
    sums, counts, met = np.zeros(most + 1), np.zeros(most + 1), np.zeros(most + 1, np.int64)
    for s in range(n_subsets):
        for c in range(n_columns):
            used, total, known = 0, 0.0, 0
            for i in range(start[s], start[s + 1]):
                value = columns[c, rows[i]]
                if np.isnan(value):
                    continue
                cluster = clusters[c, rows[i]]
                if counts[cluster] == 0.0:
                    met[used] = cluster
                    used += 1
                counts[cluster] += 1.0
                sums[cluster] += value
                total += value
                known += 1
            n[s, c], n_clusters[s, c] = known, used
            if known > 0:
                mean[s, c] = total / known
            squares = 0.0
            for i in range(used):
                squares += (sums[met[i]] - mean[s, c] * counts[met[i]]) ** 2
                sums[met[i]], counts[met[i]] = 0.0, 0.0
            if used > 1:
                found = np.sqrt(squares * used / (used - 1)) / known
                # What is left of values that are all alike is rounding, and would pass for certainty.
                error[s, c] = found if found > 1e-12 * abs(mean[s, c]) else 0.0
    return mean, error, n, n_clusters
