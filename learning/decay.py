"""Does an effect last: its slope over windows of time, and its half-life (spec sections 6 and 9).

docs/statistics.md defines the windows and the fit. Nothing here is fitted to the cumulative edge, which
drifts with ln n whether or not anything changes.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.postings import Inside

__all__ = [
    "DECAYING",
    "FEWEST_WINDOWS",
    "IMPROVING",
    "LONGEST_HOURS",
    "SHORTEST_HOURS",
    "UNKNOWN_HALF_LIFE_HOURS",
    "Decays",
    "TradedDays",
    "cut_windows",
    "decays",
    "fitted_rate",
    "half_life_hours",
    "hours_of",
    "traded_days",
]

DECAYING: Final = -1
IMPROVING: Final = 1
UNKNOWN_HALF_LIFE_HOURS: Final = 720.0

_WINDOW_DAYS: Final = 7
_WINDOW_TRADES: Final = 20.0
FEWEST_WINDOWS: Final = 5
LONGEST_HOURS: Final = 8_760.0
SHORTEST_HOURS: Final = 1.0
_HALF_LIVES: Final = 48
"""Evenly in the logarithm from the longest to the shortest: neighbours differ by a fifth."""
_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0
_GOLDEN_STEPS: Final = 40
_REWEIGHTED: Final = 3
_HUBER: Final = 1.345
"""95 % of the efficiency of least squares where the noise is normal (Huber, Robust Statistics, 1981)."""
_NORMAL_MAD: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class Decays(msgspec.Struct, frozen=True, kw_only=True):
    """How the effects of many subsets have gone; each field (n_subsets,), NaN where it is not known.

    rr_per_day: slope of the windowed effect, and error_rr_per_day: its standard error. trend: int8, -1 where the
    effect loses strength by more than two errors, 1 where it gains, else 0. half_life_hours: 1 to 8,760.
    """

    rr_per_day: npt.NDArray[np.float64]
    error_rr_per_day: npt.NDArray[np.float64]
    trend: npt.NDArray[np.int8]
    half_life_hours: npt.NDArray[np.float64]


class TradedDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which a group closed trades.

    days: (n_days,) int64, rising; n and rr: (n_days,) float64, trades and their rr in R. at: (n_rows,) int64, index
    of each row's day, and rr_of_row: (n_rows,) float64.
    """

    days: npt.NDArray[np.int64]
    n: npt.NDArray[np.float64]
    rr: npt.NDArray[np.float64]
    at: npt.NDArray[np.int64]
    rr_of_row: npt.NDArray[np.float64]


def traded_days(day: npt.NDArray[np.int64], first: npt.NDArray[np.bool_], rr: npt.NDArray[np.float64]) -> TradedDays:
    """Days of a group.

    Parameters
    ----------
    day
        (n_rows,) day of the close.
    first
        (n_rows,) bool, the first row of each trade.
    rr
        (n_rows,) in R.

    Notes
    -----
    Source: spec section 6, decay.
    """
    days, at = np.unique(day, return_inverse=True)
    n = np.bincount(at[first], minlength=len(days)).astype(np.float64)
    total = np.bincount(at[first], weights=rr[first], minlength=len(days)).astype(np.float64)
    return TradedDays(days=days, n=n, rr=total, at=at.astype(np.int64), rr_of_row=rr)


def decays(inside: Inside, traded: TradedDays, effect_rr: npt.NDArray[np.float64]) -> Decays:
    """Slope and half-life of the effect of each subset, over windows of at least 7 days and 20 trades.

    Parameters
    ----------
    inside
        Trades of each subset.
    traded
        Days of the group.
    effect_rr
        (n_subsets,) effect over all time: it says which sign is strength. NaN where there is none.

    Notes
    -----
    Source: spec section 6 (decay) and 9 (half-life). Cost: O(trades inside + days of the group) a subset, and
    about 200 evaluations of the fit a window.
    """
    slope, error, trend, hours = _decays(
        inside.start,
        inside.rows,
        traded.days,
        traded.at,
        traded.n,
        traded.rr,
        traded.rr_of_row,
        np.sign(np.nan_to_num(effect_rr)),
    )
    return Decays(rr_per_day=slope, error_rr_per_day=error, trend=trend, half_life_hours=hours)


def half_life_hours(
    at_days: npt.NDArray[np.float64],
    effect_rr: npt.NDArray[np.float64],
    n: npt.NDArray[np.float64],
    sign: float,
) -> float:
    """Half-life of an effect of a sign from its windows, 720 h where nothing can be fitted.

    Parameters
    ----------
    at_days, effect_rr, n
        (n_windows,) time, effect and trades of each window, in the order of time.
    sign
        1 or -1: which effect is strength.

    Notes
    -----
    Least squares of effect_0 exp(-lambda t), weighted by n and by Huber's weights (Robust Statistics, 1981).
    Source: spec section 9.

    Examples
    --------
    >>> at = np.arange(8.0) * 10
    >>> round(half_life_hours(at, 2.0 ** (-at / 15), np.full(8, 30.0), 1.0))  # fifteen days
    360
    >>> half_life_hours(at, np.ones(8), np.full(8, 30.0), 1.0), half_life_hours(at, np.ones(8), np.full(8, 30.0), -1.0)
    (8760.0, 720.0)
    """
    if len(at_days) < FEWEST_WINDOWS or sign == 0.0:
        return UNKNOWN_HALF_LIFE_HOURS
    return float(hours_of(fitted_rate(at_days, effect_rr, n, len(n), sign, np.empty(len(n)))))


@numba.njit(cache=True, nogil=True)
def _decays(
    start: Any, rows: Any, days: Any, at: Any, group_n: Any, group_total: Any, rr: Any, sign: Any
) -> tuple[Any, Any, Any, Any]:
    n_subsets, n_days = len(start) - 1, len(days)
    slope, error = np.full(n_subsets, np.nan), np.full(n_subsets, np.nan)
    trend = np.zeros(n_subsets, dtype=np.int8)
    hours = np.full(n_subsets, UNKNOWN_HALF_LIFE_HOURS)
    own_n, own_total = np.zeros(n_days), np.zeros(n_days)
    t, y, n = np.empty(n_days), np.empty(n_days), np.empty(n_days)  # of each window: time, effect, trades
    weights = np.empty(n_days)
    for s in range(n_subsets):
        if start[s + 1] - start[s] < FEWEST_WINDOWS * _WINDOW_TRADES:
            continue
        for j in range(n_days):
            own_n[j] = 0.0
            own_total[j] = 0.0
        for i in range(start[s], start[s + 1]):
            own_n[at[rows[i]]] += 1.0
            own_total[at[rows[i]]] += rr[rows[i]]
        m = cut_windows(days, own_n, own_total, group_n, group_total, t, y, n)
        if m < FEWEST_WINDOWS:
            continue
        slope[s], error[s] = _slope(t, y, n, m)
        if sign[s] * slope[s] < -2.0 * error[s]:
            trend[s] = DECAYING
        elif sign[s] * slope[s] > 2.0 * error[s]:
            trend[s] = IMPROVING
        if sign[s] != 0.0:
            hours[s] = hours_of(fitted_rate(t, y, n, m, sign[s], weights))
    return slope, error, trend, hours


@numba.njit(cache=True, nogil=True)
def cut_windows(days: Any, own_n: Any, own_total: Any, group_n: Any, group_total: Any, t: Any, y: Any, n: Any) -> int:
    """Windows of a subset, in time; return how many.

    A window ends with the first day by which it is long and full enough; what is known of that on a day
    without trades is what was known on the day before.
    """
    m, opened = 0, -1
    sums, last = np.zeros(5), np.zeros(5)  # of this window and of the last complete one: trades inside, their rr and
    for j in range(len(days)):  # their days; other trades and their rr
        if opened >= 0 and _complete(days[j] - days[opened], sums):
            _write(sums, m, t, y, n)
            for k in range(5):
                last[k] = sums[k]
            m, opened = m + 1, -1
        if opened < 0:
            if own_n[j] == 0.0:
                continue
            opened = j
            for k in range(5):
                sums[k] = 0.0
        sums[0] += own_n[j]
        sums[1] += own_total[j]
        sums[2] += own_n[j] * (days[j] - days[0])
        sums[3] += group_n[j] - own_n[j]
        sums[4] += group_total[j] - own_total[j]
    if opened >= 0 and _complete(days[-1] + 1 - days[opened], sums):
        _write(sums, m, t, y, n)
        return m + 1
    if opened >= 0 and m > 0:
        for k in range(5):
            sums[k] += last[k]
        _write(sums, m - 1, t, y, n)
    return m


@numba.njit(cache=True, nogil=True)
def _complete(long_days: int, sums: Any) -> bool:
    return long_days >= _WINDOW_DAYS and sums[0] >= _WINDOW_TRADES and sums[3] >= 1.0


@numba.njit(cache=True, nogil=True)
def _write(sums: Any, m: int, t: Any, y: Any, n: Any) -> None:
    t[m] = sums[2] / sums[0]
    y[m] = sums[1] / sums[0] - sums[4] / sums[3]
    n[m] = sums[0]


@numba.njit(cache=True, nogil=True)
def _slope(t: Any, y: Any, n: Any, m: int) -> tuple[float, float]:
    """Slope of y over t by least squares with weights n, and its standard error."""
    total, mean_t, mean_y = 0.0, 0.0, 0.0
    for i in range(m):
        total += n[i]
        mean_t += n[i] * t[i]
        mean_y += n[i] * y[i]
    mean_t /= total
    mean_y /= total
    spread, product, left = 0.0, 0.0, 0.0
    for i in range(m):
        spread += n[i] * (t[i] - mean_t) * (t[i] - mean_t)
        product += n[i] * (t[i] - mean_t) * (y[i] - mean_y)
    slope = product / spread
    for i in range(m):
        e = y[i] - mean_y - slope * (t[i] - mean_t)
        left += n[i] * e * e
    return slope, math.sqrt(left / (m - 2) / spread)


@numba.njit(cache=True, nogil=True)
def hours_of(rate: float) -> float:
    """Half-life of a decay a day, within bounds."""
    if math.isnan(rate):
        return UNKNOWN_HALF_LIFE_HOURS
    if rate <= 0.0:
        return LONGEST_HOURS
    return min(max(24.0 * math.log(2.0) / rate, SHORTEST_HOURS), LONGEST_HOURS)


@numba.njit(cache=True, nogil=True)
def fitted_rate(t: Any, y: Any, n: Any, m: int, sign: float, weights: Any) -> float:
    """Decay a day that fits best, negative for growth, NaN where no effect of the sign fits better than none.

    The weights of the last fit are written to the first m of weights.
    """
    rates = _rates()
    shapes = np.empty((len(rates) + 1, m))
    for i in range(len(rates)):
        _shape(t, rates[i], shapes[i])
    shape, z = shapes[-1], np.empty(m)
    for i in range(m):
        weights[i] = n[i]
    rate = 0.0
    for again in range(_REWEIGHTED + 1):
        rate = _fitted(t, y, weights, sign, rates, shapes)
        if math.isnan(rate) or again == _REWEIGHTED:
            break
        _shape(t, rate, shape)
        over, under = _sums(shape, y, weights)
        for i in range(m):
            z[i] = math.sqrt(n[i]) * abs(y[i] - over / under * shape[i])
        bound = _HUBER * _NORMAL_MAD * np.median(z)
        if bound == 0.0:
            break
        for i in range(m):
            weights[i] = n[i] * min(1.0, bound / max(z[i], bound))
    return rate


@numba.njit(cache=True, nogil=True)
def _rates() -> Any:
    """Decays a day to try: none, those of the grid from the slowest on, then as many growths."""
    rates = np.zeros(2 * _HALF_LIVES + 1)
    for i in range(_HALF_LIVES):
        hours = math.exp(math.log(LONGEST_HOURS) * (_HALF_LIVES - 1 - i) / (_HALF_LIVES - 1))
        rates[1 + i] = 24.0 * math.log(2.0) / hours
        rates[1 + _HALF_LIVES + i] = -rates[1 + i]
    return rates


@numba.njit(cache=True, nogil=True)
def _fitted(t: Any, y: Any, weights: Any, sign: float, rates: Any, shapes: Any) -> float:
    """Decay a day that fits best, negative for growth; NaN where no effect of the sign fits better than none.

    The last of the shapes is overwritten.
    """
    best, best_gain = 0, 0.0
    for i in range(len(rates)):
        gain = _gain(shapes[i], y, weights, sign)
        if gain > best_gain:
            best, best_gain = i, gain
    if best_gain == 0.0:
        return np.nan
    if rates[best] <= 0.0:
        return float(rates[best])
    low, high = rates[best - 1], rates[min(best + 1, _HALF_LIVES)]
    trial, turn = np.empty(2), np.empty(2)
    trial[0], trial[1] = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    for side in range(2):
        _shape(t, trial[side], shapes[-1])
        turn[side] = _gain(shapes[-1], y, weights, sign)
    for _ in range(_GOLDEN_STEPS):
        if turn[0] >= turn[1]:
            high, trial[1], turn[1], fresh = trial[1], trial[0], turn[0], 0
            trial[0] = high - _GOLDEN * (high - low)
        else:
            low, trial[0], turn[0], fresh = trial[0], trial[1], turn[1], 1
            trial[1] = low + _GOLDEN * (high - low)
        _shape(t, trial[fresh], shapes[-1])
        turn[fresh] = _gain(shapes[-1], y, weights, sign)
    return float((low + high) / 2.0)


@numba.njit(cache=True, nogil=True)
def _gain(shape: Any, y: Any, weights: Any, sign: float) -> float:
    """Squares that a shape with its best effect_0 takes off, 0 where that has the other sign."""
    over, under = _sums(shape, y, weights)
    return float(over * over / under) if over * sign > 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def _sums(shape: Any, y: Any, weights: Any) -> Any:
    """Numerator and denominator of the best effect_0."""
    over, under = 0.0, 0.0
    for i in range(len(shape)):
        over += weights[i] * shape[i] * y[i]
        under += weights[i] * shape[i] * shape[i]
    return over, under


@numba.njit(cache=True, nogil=True)
def _shape(t: Any, rate: float, shape: Any) -> None:
    """exp(-rate t), 1 at the first window, or for growth at the last: so that nothing overflows."""
    origin = t[0] if rate >= 0.0 else t[len(shape) - 1]
    for i in range(len(shape)):
        shape[i] = math.exp(-rate * (t[i] - origin))
