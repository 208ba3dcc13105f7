"""Half-life of a lesson's effect, with its interval, and what is left of the effect now (spec section 9, v5.2).

Windows and point fit are those of `learning.decay`. Here is what they are asked for once a week: how sure
the half-life is, what the fitted effect is today, and whether a lesson dies too fast to be used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from learning.decay import (
    FEWEST_WINDOWS,
    LONGEST_HOURS,
    SHORTEST_HOURS,
    UNKNOWN_HALF_LIFE_HOURS,
    TradedDays,
    cut_windows,
    fitted_rate,
    hours_of,
)

__all__ = ["EdgePoint", "HalfLife", "Windows", "dies_too_fast", "half_life", "thinned", "windows_of"]

EdgePoint = tuple[int, float]
"""(time in ms, edge)"""

_UPPER_TAIL: Final = 0.975
"""An interval of 95 %, the usual one: at the cadence of a week, a living lesson is outside it twice a year or so."""
_TRIED: Final = 481
"""Half-lives tried for the interval, evenly in the logarithm from 1 h to 8,760 h: its ends are known to 2 %."""
_TOO_FAST_HOURS: Final = 72.0


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of a subset in the order of time: (n_windows,) float64 each.

    at_days: mean day of the trades inside, counted from the group's first; effect_rr: their mean rr less that of the
    others of the same days, in R; n: trades inside.
    """

    at_days: npt.NDArray[np.float64]
    effect_rr: npt.NDArray[np.float64]
    n: npt.NDArray[np.float64]


class HalfLife(msgspec.Struct, frozen=True, kw_only=True):
    """Half-life of an effect with its interval of 95 %, in hours, and the fitted effect at the end.

    Unknown is 720 h within 1 to 8,760. Without a fit no effect is known either.
    """

    hours: float = UNKNOWN_HALF_LIFE_HOURS
    low_hours: float = SHORTEST_HOURS
    high_hours: float = LONGEST_HOURS
    n_windows: int = 0
    effect_at_birth_rr: float | None = None
    """Fitted effect in the first window."""
    effect_now_rr: float | None = None
    effect_now_error_rr: float | None = None


def windows_of(rows: npt.NDArray[Any], traded: TradedDays) -> Windows:
    """Windows of one subset: at least 7 days and 20 trades each, as docs/statistics.md has them.

    Parameters
    ----------
    rows
        (n,) first row inside of each trade.
    traded
        Days of the group; rr may be a residual.

    Notes
    -----
    Source: spec section 9. Cost: O(rows + days of the group).

    Examples
    --------
    >>> from learning.decay import traded_days
    >>> day = np.repeat(np.arange(14), 6)  # three trades inside and three others a day, for two weeks
    >>> inside = np.arange(84) % 2 == 0
    >>> traded = traded_days(day, np.ones(84, dtype=np.bool_), np.where(inside, 1.0, 0.25))
    >>> found = windows_of(np.flatnonzero(inside), traded)
    >>> found.at_days.tolist(), found.effect_rr.tolist(), found.n.tolist()
    ([3.0, 10.0], [0.75, 0.75], [21.0, 21.0])
    """
    at, n_days = traded.at[rows], len(traded.days)
    own_n = np.bincount(at, minlength=n_days).astype(np.float64)
    own_rr = np.bincount(at, weights=traded.rr_of_row[rows], minlength=n_days)
    t, y, n = np.empty(n_days), np.empty(n_days), np.empty(n_days)
    m = cut_windows(traded.days, own_n, own_rr, traded.n, traded.rr, t, y, n)
    return Windows(at_days=t[:m], effect_rr=y[:m], n=n[:m])


def half_life(windows: Windows, sign: float, now_days: float | None = None) -> HalfLife:
    """Half-life of an effect of a sign, with an interval, and the effect that is left.

    Parameters
    ----------
    windows
        Of the lesson's subset.
    sign
        1 or -1: which effect is strength. 0 is an effect without a half-life.
    now_days
        Day for which the effect is wanted, from the group's first as the windows'; by default that of the last window.

    Notes
    -----
    effect(t) = effect_0 exp(-lambda t), weighted by n and by Huber's weights: `learning.decay`. With S(lambda) what is
    left of the weighted squares with the best effect_0, the interval of m windows is made of all lambda with

        S(lambda) <= S_min + t(0.975, m - 2)**2 s**2

    (profile likelihood: Bates and Watts, Nonlinear Regression Analysis, 1988, section 6.1.2), from the least to the
    largest; s, the error of a weight of 1, with Huber's correction for his weights. Not the covariance on the log
    scale: where hardly anything decays, lambda is within its error of 0, the half-life is not bounded above, and no
    symmetric interval says so. Where there may be no effect at all, every half-life may be. The error of the effect
    now is that of the same region: the linear one is next to nothing as soon as the fitted effect is. Without growth:
    what grows is taken to last. Source: spec section 9. Cost: O(1,000 windows).

    Examples
    --------
    >>> at = np.arange(12.0) * 7
    >>> wave = 0.02 * np.sin(np.arange(12) * 2.4)
    >>> found = half_life(Windows(at_days=at, effect_rr=2.0 ** (-at / 20) + wave, n=np.full(12, 25.0)), 1.0)
    >>> round(found.low_hours), round(found.hours), round(found.high_hours)  # twenty days
    (458, 480, 504)
    >>> round(found.effect_now_rr, 3), round(found.effect_now_error_rr, 3), dies_too_fast(found)
    (0.069, 0.005, False)
    """
    m = len(windows.n)
    if m < FEWEST_WINDOWS or sign == 0.0:
        return HalfLife(n_windows=m)
    weights = windows.n.astype(np.float64)
    rate = float(fitted_rate(windows.at_days, windows.effect_rr, windows.n, m, sign, weights))
    profile = _Profile(windows, weights, 0.0 if math.isnan(rate) else max(rate, 0.0))
    now_rr, error_rr = profile.effect(float(windows.at_days[-1] if now_days is None else now_days))
    found = HalfLife(
        n_windows=m,
        effect_at_birth_rr=float(profile.effect_0[0]),
        effect_now_rr=now_rr,
        effect_now_error_rr=error_rr,
    )
    if math.isnan(rate):  # what there is has the other sign: there is no half-life to it
        return found
    hours = float(hours_of(rate))
    low, high = profile.interval(sign)
    return msgspec.structs.replace(found, hours=hours, low_hours=min(low, hours), high_hours=max(high, hours))


def dies_too_fast(found: HalfLife) -> bool:
    """Whether even the interval's upper end is under 3 days: such a lesson is not activated but put up for review.

    Notes
    -----
    Source: spec section 9, the gate.

    Examples
    --------
    >>> dies_too_fast(HalfLife(hours=30, low_hours=10, high_hours=70)), dies_too_fast(HalfLife())
    (True, False)
    """
    return found.high_hours < _TOO_FAST_HOURS


def thinned(points: Sequence[EdgePoint], keep: int = 200) -> tuple[EdgePoint, ...]:
    """Edge history with at most so many points, at least 2: the first and the last, and between them an even few.

    Parameters
    ----------
    points
        In the order of time.
    keep
        How many may stay.

    Notes
    -----
    The point goes without which the shortest stretch is left between its neighbours, the oldest of equals; again until
    there are few enough. So a history that grows by one point at a time stays even in time, within a factor of about
    two. Source: spec section 9. Cost: O(points) for each that goes.

    Examples
    --------
    >>> thinned([(at_ms, 0.5) for at_ms in (0, 6, 12, 18, 24)], keep=4)
    ((0, 0.5), (12, 0.5), (18, 0.5), (24, 0.5))
    """
    kept = list(points)
    while len(kept) > max(keep, 2):
        del kept[min(range(1, len(kept) - 1), key=lambda i: kept[i + 1][0] - kept[i - 1][0])]
    return tuple(kept)


class _Profile:
    """What is left of the windows' weighted squares with each decay, effect_0 being the best for it.

    Parameters
    ----------
    windows
        To be fitted.
    weights
        Those of the point fit.
    rate
        Its decay a day, not below 0.
    """

    def __init__(self, windows: Windows, weights: npt.NDArray[np.float64], rate: float) -> None:
        self.hours = np.geomspace(SHORTEST_HOURS, LONGEST_HOURS, _TRIED)
        decays = 24.0 * math.log(2.0) / self.hours
        rates = np.concatenate([[rate], decays, [0.0], -decays])
        t, y = windows.at_days, windows.effect_rr
        origin = np.where(rates >= 0.0, t[0], t[-1])  # of a growth the end, so that nothing overflows
        shapes = np.exp(-rates[:, None] * (t[None, :] - origin[:, None]))
        over, self.under = shapes @ (weights * y), shapes**2 @ weights
        self.rates, self.first = rates, float(t[0])
        self.effect_0 = over / self.under
        self.total = float(weights @ y**2)
        self.left = self.total - over * self.effect_0
        freedom = len(t) - 2
        self.quantile = float(stdtrit(freedom, _UPPER_TAIL))
        # Huber's weights take off squares; as large as these are the errors of his estimate (Robust Statistics, 7.6).
        used = weights / windows.n
        squares = windows.n * (used * (y - self.effect_0[0] * shapes[0])) ** 2
        scale = float(used.mean() * squares.sum()) / freedom / float((used == 1.0).mean()) ** 2
        self.allowed = self.quantile**2 * scale
        self.error_of_mean = math.sqrt(scale / float(weights.sum()))

    def interval(self, sign: float) -> tuple[float, float]:
        """Shortest and longest half-life that the windows do not rule out for an effect of a sign, in hours."""
        left = np.where(self.effect_0 * sign > 0.0, self.left, self.total)
        possible = left <= left.min() + self.allowed
        decaying = np.flatnonzero(possible[1 : 1 + _TRIED])
        lasting = bool(possible[1 + _TRIED :].any())
        if not len(decaying):  # without noise the fit is all there is
            return LONGEST_HOURS, LONGEST_HOURS if lasting else SHORTEST_HOURS
        low, high = max(decaying[0] - 1, 0), min(decaying[-1] + 1, _TRIED - 1)  # the next that are ruled out
        return float(self.hours[low]), LONGEST_HOURS if lasting else float(self.hours[high])

    def effect(self, at_days: float) -> tuple[float, float]:
        """Fitted effect at a time with its standard error, over every decay that is not ruled out, but no growth.

        The error is no less than that of a mean of all windows: no model is so true that nothing left is known better.
        """
        decays = self.rates >= 0.0
        at_now = np.exp(-self.rates[decays] * (at_days - self.first))
        left, now = self.left[decays], self.effect_0[decays] * at_now
        over = left.min() + self.allowed - left
        apart = np.sqrt(np.maximum(over, 0.0) / self.under[decays]) * at_now
        reach = np.where(over >= 0.0, np.abs(now - now[0]) + apart, 0.0)
        return float(now[0]), max(float(reach.max()) / self.quantile, self.error_of_mean)
