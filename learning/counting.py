"""Sums over the distinct trades of a subset, and what follows from them alone (spec section 6).

Integers where the specification asks for exact sums; floats are summed in the order of the rows, so that
they depend on no other order.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE
from learning.postings import Inside

__all__ = ["Counts", "Trades", "counted"]

_COHERENCE_N: Final = 5
_EXACT: Final = 2**31
"""Deviations below this have squares that are summed exactly in two 64-bit halves: up to 21,474 R."""
_HALF: Final = 32


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the trade of each row: (n_rows,) each, but for the segments.

    rr_q: int64, in 1e-5 R. closed_at_ms: int64. payback_days: float64. segment: int64, index into the
    baselines. missed_entry_rr, missed_exit_rr: float64, NaN where it was not logged. segment_rr, float64, and
    segment_level, int64: baseline of each segment and the index of its level, (n_segments,).
    """

    rr_q: npt.NDArray[np.int64]
    closed_at_ms: npt.NDArray[np.int64]
    payback_days: npt.NDArray[np.float64]
    segment: npt.NDArray[np.int64]
    missed_entry_rr: npt.NDArray[np.float64]
    missed_exit_rr: npt.NDArray[np.float64]
    segment_rr: npt.NDArray[np.float64]
    segment_level: npt.NDArray[np.int64]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of many subsets, as docs/statistics.md defines them: (n_subsets,) each, NaN where not known."""

    avg_rr: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    win_rate: npt.NDArray[np.float64]
    rr_baseline: npt.NDArray[np.float64]
    delta_rr: npt.NDArray[np.float64]
    time_efficiency: npt.NDArray[np.float64]
    field_coherence: npt.NDArray[np.float64]
    recurrence_raw: npt.NDArray[np.float64]
    recurrence_score: npt.NDArray[np.float64]
    missed_entry_rr: npt.NDArray[np.float64]
    missed_exit_rr: npt.NDArray[np.float64]
    rr_baseline_level: npt.NDArray[np.int64]
    segments_tested: npt.NDArray[np.int64]
    segments_positive: npt.NDArray[np.int64]
    missed_entry_n: npt.NDArray[np.int64]
    missed_exit_n: npt.NDArray[np.int64]
    last_closed_at_ms: npt.NDArray[np.int64]


def counted(inside: Inside, trades: Trades, tau_ms: float) -> Counts:
    """Numbers of each subset from the trades inside.

    Parameters
    ----------
    inside
        Trades of each subset.
    trades
        What is known of them.
    tau_ms
        Time constant of the recurrence.

    Notes
    -----
    Source: spec section 6. Cost: O(trades inside).

    Examples
    --------
    >>> one, days = np.ones(2), np.array([0.0, 3.0])
    >>> trades = Trades(rr_q=np.array([100_000, 300_000]), closed_at_ms=np.zeros(2, dtype=np.int64), payback_days=days,
    ...     segment=np.zeros(2, dtype=np.int64), missed_entry_rr=one, missed_exit_rr=one * np.nan,
    ...     segment_rr=np.array([0.5]), segment_level=np.zeros(1, dtype=np.int64))
    >>> both = Inside(start=np.array([0, 2]), rows=np.array([0, 1], dtype=np.int32), n_actions=np.array([2]))
    >>> found = counted(both, trades, 1.0)
    >>> [float(x[0]) for x in (found.avg_rr, found.variance, found.delta_rr, found.time_efficiency)]
    [2.0, 2.0, 1.5, 0.4]
    """
    floats, integers = _count(
        inside.start,
        inside.rows,
        trades.rr_q,
        trades.closed_at_ms,
        trades.payback_days,
        trades.segment,
        np.stack((trades.missed_entry_rr, trades.missed_exit_rr)),
        trades.segment_rr,
        trades.segment_level,
        tau_ms,
    )
    names = Counts.__struct_fields__
    return Counts(**dict(zip(names, (*floats, *integers), strict=True)))


@numba.njit(cache=True, nogil=True)
def _count(
    start: Any,
    rows: Any,
    rr_q: Any,
    closed_at_ms: Any,
    payback_days: Any,
    segment: Any,
    missed: Any,
    segment_rr: Any,
    segment_level: Any,
    tau_ms: float,
) -> Any:
    n_subsets, n_segments = len(start) - 1, len(segment_rr)
    floats = np.full((11, n_subsets), np.nan)
    integers = np.zeros((6, n_subsets), dtype=np.int64)
    seg_n, seg_q = np.zeros(n_segments, dtype=np.int64), np.zeros(n_segments, dtype=np.int64)
    level_n = np.zeros(segment_level.max() + 1 if n_segments else 1, dtype=np.int64)
    for s in range(n_subsets):
        mine = rows[start[s] : start[s + 1]]
        n = len(mine)
        if n == 0:
            continue
        total, wins, payback, newest = 0, 0, 0.0, closed_at_ms[mine[0]]
        for row in mine:
            total += rr_q[row]
            wins += rr_q[row] > 0
            payback += payback_days[row]
            newest = max(newest, closed_at_ms[row])
            seg_n[segment[row]] += 1
            seg_q[segment[row]] += rr_q[row]
        floats[0, s] = total / n / RR_SCALE
        floats[1, s] = _variance(mine, rr_q, total)
        floats[2, s] = wins / n
        base, delta = _baseline(seg_n, seg_q, segment_rr, n)
        floats[3, s], floats[4, s] = base, delta
        floats[5, s] = 1.0 / (1.0 + payback / n)
        tested, positive = _coherence(seg_n, seg_q, segment_rr, delta)
        if tested > 0:
            floats[6, s] = positive / tested
        recurrence = _recurrence(mine, rr_q, segment_rr, segment, closed_at_ms, newest, tau_ms)
        floats[7, s] = recurrence
        floats[8, s] = max(0.0, math.tanh(np.sign(delta) * recurrence))
        level_n[:] = 0
        for g in range(n_segments):
            level_n[segment_level[g]] += seg_n[g]
        integers[0, s], integers[1, s], integers[2, s] = np.argmax(level_n), tested, positive
        for side in range(2):
            floats[9 + side, s], integers[3 + side, s] = _mean_known(mine, missed[side])
        integers[5, s] = newest
        seg_n[:] = 0
        seg_q[:] = 0
    return floats, integers


@numba.njit(cache=True, nogil=True)
def _variance(mine: Any, rr_q: Any, total: int) -> float:
    """Sample variance in R squared, NaN for one trade.

    Squares of whole deviations from the mean, rounded down, are summed in integers: exact, and adding the
    same to every rr leaves every bit.
    """
    n = len(mine)
    if n == 1:
        return np.nan
    centre = total // n
    rest, high, low, large = 0, 0, 0, 0.0
    for row in mine:
        d = rr_q[row] - centre
        rest += d
        if abs(d) < _EXACT:
            high += (d * d) >> _HALF
            low += (d * d) & ((1 << _HALF) - 1)
        else:
            large += float(d) * float(d)
    squares = float(high) * 2.0**_HALF + float(low) + large
    return max(squares - float(rest) * float(rest) / n, 0.0) / (n - 1) / RR_SCALE / RR_SCALE


@numba.njit(cache=True, nogil=True)
def _baseline(seg_n: Any, seg_q: Any, segment_rr: Any, n: int) -> Any:
    """Mean baseline of the trades, and mean rr above it, in R."""
    base, delta = 0.0, 0.0
    for g in range(len(seg_n)):
        base += seg_n[g] * segment_rr[g]
        delta += seg_q[g] / RR_SCALE - seg_n[g] * segment_rr[g]
    return base / n, delta / n


@numba.njit(cache=True, nogil=True)
def _coherence(seg_n: Any, seg_q: Any, segment_rr: Any, delta: float) -> Any:
    """Segments with enough trades, and those of them whose mean has the sign of the pooled one."""
    tested, positive = 0, 0
    for g in range(len(seg_n)):
        if seg_n[g] >= _COHERENCE_N:
            tested += 1
            positive += np.sign(seg_q[g] / RR_SCALE - seg_n[g] * segment_rr[g]) == np.sign(delta)
    return tested, positive


@numba.njit(cache=True, nogil=True)
def _recurrence(
    mine: Any, rr_q: Any, segment_rr: Any, segment: Any, closed_at_ms: Any, newest: int, tau_ms: float
) -> float:
    """Event-time exponentially weighted mean of rr above the baseline; weights relative to the newest trade."""
    over, under = 0.0, 0.0
    for row in mine:
        weight = math.exp((closed_at_ms[row] - newest) / tau_ms)
        over += weight * (rr_q[row] / RR_SCALE - segment_rr[segment[row]])
        under += weight
    return over / under


@numba.njit(cache=True, nogil=True)
def _mean_known(mine: Any, values: Any) -> Any:
    total, n = 0.0, 0
    for row in mine:
        if not math.isnan(values[row]):
            total += values[row]
            n += 1
    return (total / n if n else np.nan), n
