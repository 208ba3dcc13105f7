"""What sizes add: the two numbers that a capital lever is measured by, with intervals (spec section 12).

rr does not depend on size. So what m_i, the multiple of its usual size that a trade was given, is worth is
seen in two ways: the R it adds per trade, which a larger book adds too, and the rr of a unit of size less
that of a trade, which only a better book changes.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from learning.clusters import block_days

__all__ = ["Added", "per_size", "per_trade"]

CONFIDENCE: Final = 0.95
Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """Estimate in R with its 95 % interval."""

    rr: float
    low: float
    high: float
    n_clusters: int


def per_trade(m: Floats, rr: Floats, day: Days) -> Added:
    """Mean over trades of (m_i - 1) * rr_i.

    Parameters
    ----------
    m, rr, day
        (n_trades,) multiple of the usual size, result in R, and UTC day of the close.

    Examples
    --------
    >>> found = per_trade(np.array([1.3, 1.0, 0.7, 1.0]), np.array([2.0, 1.0, -1.0, 0.0]), np.arange(4))
    >>> round(found.rr, 3)  # (0.6 + 0.3) / 4
    0.225
    """
    added = (m - 1.0) * rr
    mean = float(added.mean())
    return _with_interval(mean, added - mean, day)


def per_size(m: Floats, rr: Floats, day: Days) -> Added:
    """sum(m_i rr_i) / sum(m_i) - mean(rr_i): a ratio, its error by linearisation (the delta method).

    Parameters
    ----------
    m, rr, day
        As of `per_trade`.

    Examples
    --------
    >>> found = per_size(np.array([1.3, 1.0, 0.7, 1.0]), np.array([2.0, 1.0, -1.0, 0.0]), np.arange(4))
    >>> round(found.rr, 3)  # (2.6 + 1 - 0.7) / 4 - 2 / 4
    0.225
    """
    sized, plain = float((m * rr).sum() / m.sum()), float(rr.mean())
    return _with_interval(sized - plain, m * (rr - sized) / m.mean() - (rr - plain), day)


def _with_interval(estimate: float, scores: Floats, day: Days) -> Added:
    """Interval of a mean whose scores sum to zero, clustered by blocks of days as long as they are autocorrelated."""
    since = day - day.min()
    n = np.bincount(since)
    present = np.flatnonzero(n)
    sums = np.bincount(since, weights=scores)
    block = present // block_days(present, sums[present] / n[present])
    clusters = np.bincount(block, weights=sums[present])[np.unique(block)]
    if len(clusters) < 2:
        return Added(rr=estimate, low=-math.inf, high=math.inf, n_clusters=len(clusters))
    correction = len(clusters) / (len(clusters) - 1)
    error = math.sqrt(correction * float(clusters @ clusters)) / len(scores)
    reach = float(stdtrit(len(clusters) - 1, 0.5 + CONFIDENCE / 2.0)) * error
    return Added(rr=estimate, low=estimate - reach, high=estimate + reach, n_clusters=len(clusters))
