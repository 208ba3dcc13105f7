"""Factors of a group as they were known before each of its trades (spec section 9, v5.1).

What is learned from a factor must not look ahead: a trade is set against the factor of the epoch before its
action, of the trades that counted by then. The numbers are those of `learning.statistics`, for the group
itself; here one pass over the trades in time gives all of them.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE
from learning.counting import Trades

__all__ = ["FactorsBefore", "factors_before"]

_COHERENCE_N = 5


class FactorsBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of a group before each of some trades: (n_trades,) float64 each, NaN where it was not.

    sign: of delta_rr, NaN before the first trade. The others are those of an edge; see docs/statistics.md.
    """

    sign: npt.NDArray[np.float64]
    time_efficiency: npt.NDArray[np.float64]
    field_coherence: npt.NDArray[np.float64]
    recurrence_score: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]


def factors_before(
    trades: Trades,
    rows: npt.NDArray[np.int64],
    counts_from_ms: npt.NDArray[np.int64],
    known_at_ms: npt.NDArray[np.int64],
    tau_ms: float,
) -> FactorsBefore:
    """Factors of a group, each as of a time of its own.

    Parameters
    ----------
    trades
        What is known of the trade of each row of the group.
    rows
        (n_trades,) first row of each trade.
    counts_from_ms
        (n_trades,) epoch from which the trade counts.
    known_at_ms
        (n_trades,) epoch as of which it wants to know: trades that count from it or before are in it.
    tau_ms
        Time constant of the recurrence.

    Notes
    -----
    Baselines are today's, those of the time are not kept. Source: spec section 9. Cost: O(n log n) in the trades, and
    O(segments) for each epoch that is asked for.

    Examples
    --------
    >>> one, three = np.full(3, np.nan), np.arange(3)
    >>> days = np.array([0.0, 3.0, 9.0])
    >>> trades = Trades(rr_q=np.array([100_000, 300_000, 0]), closed_at_ms=three, payback_days=days,
    ...     segment=np.zeros(3, dtype=np.int64), missed_entry_rr=one, missed_exit_rr=one,
    ...     segment_rr=np.array([0.5]), segment_level=np.zeros(1, dtype=np.int64))
    >>> found = factors_before(trades, three, three + 1, three, 1e9)
    >>> found.sign.tolist(), found.time_efficiency.tolist(), found.variance.tolist()
    ([nan, 1.0, 1.0], [nan, 1.0, 0.4], [nan, nan, 2.0])
    """
    closed_at_ms = trades.closed_at_ms[rows]
    found = _factors(
        np.lexsort((closed_at_ms, counts_from_ms)),  # of equals the first row first, whatever order they arrived in
        np.argsort(known_at_ms, kind="stable"),
        counts_from_ms,
        known_at_ms,
        trades.rr_q[rows],
        closed_at_ms,
        trades.payback_days[rows],
        trades.segment[rows],
        trades.segment_rr,
        tau_ms,
    )
    return FactorsBefore(**dict(zip(FactorsBefore.__struct_fields__, found, strict=True)))


@numba.njit(cache=True, nogil=True)
def _factors(
    by_count: Any,
    by_known: Any,
    counts_from_ms: Any,
    known_at_ms: Any,
    rr_q: Any,
    closed_at_ms: Any,
    payback_days: Any,
    segment: Any,
    segment_rr: Any,
    tau_ms: float,
) -> Any:
    n_trades = len(rr_q)
    found, now = np.full((5, n_trades), np.nan), np.full(5, np.nan)
    seg_n, seg_q = np.zeros(len(segment_rr), dtype=np.int64), np.zeros(len(segment_rr), dtype=np.int64)
    n, total, squares, payback, over, under, newest = 0, 0, 0, 0.0, 0.0, 0.0, 0
    for asked in by_known:
        before = n
        while n < n_trades and counts_from_ms[by_count[n]] <= known_at_ms[asked]:
            i = by_count[n]
            total += rr_q[i]
            squares += rr_q[i] * rr_q[i]
            payback += payback_days[i]
            seg_n[segment[i]] += 1
            seg_q[segment[i]] += rr_q[i]
            if n == 0 or closed_at_ms[i] > newest:  # weights are relative to the newest close
                faded = math.exp((newest - closed_at_ms[i]) / tau_ms) if n > 0 else 0.0
                over, under, newest = over * faded, under * faded, closed_at_ms[i]
            weight = math.exp((closed_at_ms[i] - newest) / tau_ms)
            over += weight * (rr_q[i] / RR_SCALE - segment_rr[segment[i]])
            under += weight
            n += 1
        if n > before:
            delta, coherence = _segments(seg_n, seg_q, segment_rr)
            sign = np.sign(delta)
            now[0] = sign
            now[1] = 1.0 / (1.0 + payback / n)
            now[2] = coherence
            now[3] = max(0.0, math.tanh(sign * over / under))
            if n > 1:
                spread = float(squares) - float(total) * float(total) / n
                now[4] = max(spread, 0.0) / (n - 1) / RR_SCALE / RR_SCALE
        found[:, asked] = now
    return found


@numba.njit(cache=True, nogil=True)
def _segments(seg_n: Any, seg_q: Any, segment_rr: Any) -> Any:
    """Sum of rr above the baseline, in R, and the share of the segments with enough trades that have its sign."""
    delta = 0.0
    for g in range(len(seg_n)):
        delta += seg_q[g] / RR_SCALE - seg_n[g] * segment_rr[g]
    tested, alike = 0, 0
    for g in range(len(seg_n)):
        if seg_n[g] >= _COHERENCE_N:
            tested += 1
            alike += np.sign(seg_q[g] / RR_SCALE - seg_n[g] * segment_rr[g]) == np.sign(delta)
    return delta, alike / tested if tested > 0 else np.nan
