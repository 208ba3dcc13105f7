"""Windowed effects of a subset, their slope, and their half-life: spec sections 6 and 9, docs/statistics.md."""

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from statistics import median
from typing import Any, NamedTuple

HOURS_A_DAY = 24
FEWEST_WINDOWS = 5
UNKNOWN_HOURS = 720.0
SHORTEST_HOURS, LONGEST_HOURS = 1.0, 8760.0
GOLDEN = (math.sqrt(5) - 1) / 2


class Window(NamedTuple):
    """A stretch of days: mean day of the trades inside, effect in R, trades inside."""

    day: float
    effect_rr: float
    n: int


Dated = list[tuple[int, int]]
"""(day, rr in 1e-5 R) of trades."""


def windows(met: Dated, rest: Dated) -> list[Window]:
    """Windows of at least 7 days and 20 trades inside, with something to compare with."""
    if not met or not rest:
        return []
    inside, others = (Counter(day for day, _ in side) for side in (met, rest))
    last = max(*inside, *others)
    spans: list[set[int]] = []
    after = min(inside) - 1
    while any(day > after for day in inside):
        first = min(day for day in inside if day > after)
        whole = False
        for end in range(first, last + 1):
            span = set(range(first, end + 1))
            n_in, n_out = (sum(side[day] for day in span) for side in (inside, others))
            whole = len(span) >= 7 and n_in >= 20 and n_out >= 1
            if whole:
                break
        if whole:
            spans.append(span)
        elif spans:
            spans[-1] |= span
        after = end
    return [_window(met, rest, span) for span in spans]


def _window(met: Dated, rest: Dated, span: set[int]) -> Window:
    inside = [(day, rr) for day, rr in met if day in span]
    others = [rr for day, rr in rest if day in span]
    return Window(
        day=float(Fraction(sum(day for day, _ in inside), len(inside))),
        effect_rr=float(
            (Fraction(sum(rr for _, rr in inside), len(inside)) - Fraction(sum(others), len(others))) / 100_000
        ),
        n=len(inside),
    )


def decay(found: list[Window], effect_rr: float | None) -> dict[str, Any]:
    """Slope of the effect per day, its error, and whether the effect loses or gains strength."""
    if effect_rr is None or len(found) < FEWEST_WINDOWS:
        return {"decay_rr_per_day": None, "decay_error_rr_per_day": None, "trend": 0}
    n = sum(w.n for w in found)
    day = math.fsum(w.n * w.day for w in found) / n
    mean = math.fsum(w.n * w.effect_rr for w in found) / n
    spread = math.fsum(w.n * (w.day - day) ** 2 for w in found)
    slope = math.fsum(w.n * (w.day - day) * (w.effect_rr - mean) for w in found) / spread
    left = [w.effect_rr - mean - slope * (w.day - day) for w in found]
    error = math.sqrt(math.fsum(w.n * e**2 for w, e in zip(found, left, strict=True)) / (len(found) - 2) / spread)
    strength = (effect_rr > 0) - (effect_rr < 0)
    trend = -1 if strength * slope < -2 * error else 1 if strength * slope > 2 * error else 0
    return {"decay_rr_per_day": slope, "decay_error_rr_per_day": error, "trend": trend}


class HalfLife(NamedTuple):
    """Half-life in hours, and what another would cost: as good a fit is as right an answer."""

    hours: float
    cost: Callable[[float], float] | None = None


def half_life(found: list[Window], effect_rr: float | None) -> HalfLife:
    """Half-life of effect_0 exp(-lambda t), fitted to the windows."""
    if not effect_rr or len(found) < FEWEST_WINDOWS:
        return HalfLife(UNKNOWN_HOURS)
    sign = 1.0 if effect_rr > 0 else -1.0
    t = [w.day - found[0].day for w in found]
    y = [w.effect_rr for w in found]
    weights = [float(w.n) for w in found]
    for again in range(4):
        rate = _fit(t, y, weights, sign)
        level, _ = _level(t, y, weights, sign, rate)
        if level == 0.0:
            return HalfLife(UNKNOWN_HOURS)
        if again < 3:
            curve = [level * shape for shape in _shape(rate, t)]
            z = [math.sqrt(w.n) * abs(value - fit) for w, value, fit in zip(found, y, curve, strict=True)]
            s = 1.4826 * median(z)
            if s > 0.0:
                weights = [
                    w.n * min(1.0, 1.345 * s / each) if each else float(w.n) for w, each in zip(found, z, strict=True)
                ]

    def cost(hours: float) -> float:
        return _level(t, y, weights, sign, HOURS_A_DAY * math.log(2) / hours)[1]

    if rate <= 0.0:
        return HalfLife(LONGEST_HOURS)
    return HalfLife(min(max(HOURS_A_DAY * math.log(2) / rate, SHORTEST_HOURS), LONGEST_HOURS), cost)


def _rates() -> list[float]:
    """Candidates for lambda per day, from the fastest growth over 0 to the fastest decay."""
    steps = [math.exp(math.log(LONGEST_HOURS) * i / 47) for i in range(48)]
    decays = sorted(HOURS_A_DAY * math.log(2) / hours for hours in steps)
    return [*(-rate for rate in reversed(decays)), 0.0, *decays]


RATES = _rates()


def _shape(rate: float, t: list[float]) -> list[float]:
    """exp(-rate t), up to a factor that keeps a growth finite and that the level takes up."""
    peak = max(-rate * day for day in t)
    return [math.exp(-rate * day - peak) for day in t]


def _level(t: list[float], y: list[float], weights: list[float], sign: float, rate: float) -> tuple[float, float]:
    """effect_0 of a rate, 0 where it would have the other sign, and the weighted squares that are left."""
    shape = _shape(rate, t)
    below = math.fsum(w * s * s for w, s in zip(weights, shape, strict=True))
    above = math.fsum(w * s * v for w, s, v in zip(weights, shape, y, strict=True))
    level = above / below if below > 0 and above * sign > 0 else 0.0
    return level, math.fsum(w * (v - level * s) ** 2 for w, s, v in zip(weights, shape, y, strict=True))


def _fit(t: list[float], y: list[float], weights: list[float], sign: float) -> float:
    """The best rate: of the candidates the best, of equals the slowest; then between its neighbours."""

    def cost(rate: float) -> float:
        return _level(t, y, weights, sign, rate)[1]

    best = min(RATES, key=lambda rate: (cost(rate), abs(rate)))
    if best <= 0.0:
        return best
    at = RATES.index(best)
    low, high = RATES[at - 1], RATES[min(at + 1, len(RATES) - 1)]
    for _ in range(40):
        one, other = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if cost(one) <= cost(other):
            high = other
        else:
            low = one
    return (low + high) / 2
