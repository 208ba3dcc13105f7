"""Spec section 6 once more, in plain Python over the raw documents: slow, exact, and sharing no code with the core.

Nothing here is imported from `learning`: what it knows of the definitions it knows from the specification
and, where that leaves a choice, from docs/statistics.md. Names are those of `GroupStats`; None is not known.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

from tests.laws import brute_windows
from tests.laws.brute_days import block_length

CATEGORY = {
    "entry_immediate": "entry", "E1": "entry", "entry": "entry", "add": "add", "trim": "trim", "partial_exit": "trim",
    "cut": "exit", "panic_exit": "exit", "emergency_exit": "exit", "exit": "exit", "allocation": "allocation",
}  # fmt: skip
REGIME = ("macro_phase", "meso_phase", "micro_phase", "bucket_leader")
SEGMENT = {"pm": ("bucket", "timeframe"), "dm": ("bucket", "chain")}
DAY_MS = 86_400_000
SCALE = 100_000
TINY = 1e-9
N_MIN = (10, 10, 20, 20, 30, 30, 50)
Scope = dict[str, Any]
Segment = tuple[str, str]
Subset = tuple[tuple[str, Any], ...]


class Row(NamedTuple):
    """One action with its trade's result; rr in 1e-5 R."""

    trade_id: str
    action_id: str
    group: str
    module: str
    at_ms: int
    scope: Scope
    rr: int
    closed_at_ms: int
    paid_back_ms: int
    missed_entry_rr: float | None = None
    missed_exit_rr: float | None = None

    @property
    def when(self) -> tuple[int, int, int]:
        """Order of actions in time; of two at the same time the hashes of their trades and of themselves decide."""
        return self.at_ms, _hash(self.trade_id), _hash(self.action_id)

    @property
    def category(self) -> str:
        return f"{self.module}|{self.group.rpartition('|')[2]}"

    @property
    def segment(self) -> Segment:
        first, second = SEGMENT[self.module]
        return str(self.scope.get(first, "")), str(self.scope.get(second, ""))


def rows_of(actions: list[Any], trades: list[Any]) -> list[Row]:
    """Every action of a closed trade, in order; the highest revision stands, a void takes back."""
    closes: dict[str, Any] = {}
    for trade in sorted(trades, key=lambda trade: trade.get("revision", 0)):
        closes[trade["trade_id"]] = trade
    rows = {
        action["action_id"]: _row(action, closes[action["trade_id"]])
        for action in actions
        if action["trade_id"] in closes and not closes[action["trade_id"]].get("void", False)
    }
    return sorted(rows.values(), key=lambda row: row.when)


@cache
def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _row(action: Any, trade: Any) -> Row:
    module, key = action["module"], action["pattern_key"]
    key = key if key.startswith(f"{module}.") else f"{module}.{key}"
    rr = 10.0 if trade["rr"] is None else max(-10.0, min(10.0, trade["rr"]))
    payback_ms = trade.get("payback_ms")
    missed = trade.get("counterfactual") or {}
    return Row(
        trade_id=action["trade_id"],
        action_id=action["action_id"],
        group=f"{key}|{CATEGORY[action['action_type']]}",
        module=module,
        at_ms=action["event_at_ms"],
        scope={k: v for k, v in action["scope"].items() if v not in (None, "", "Unknown", "unknown")},
        rr=round(rr * SCALE),
        closed_at_ms=trade["event_at_ms"],
        paid_back_ms=trade["event_at_ms"] - trade["opened_at_ms"] if payback_ms is None else payback_ms,
        missed_entry_rr=missed.get("missed_entry_rr"),
        missed_exit_rr=missed.get("missed_exit_rr"),
    )


def first_of_each_trade(rows: Iterable[Row]) -> list[Row]:
    """The first of some rows, per trade."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.trade_id, row)
    return list(found.values())


def inside(row: Row, scope: Scope) -> bool:
    return scope.items() <= row.scope.items()


def tracked(rows: list[Row], group: str, max_dims: int, n_min: tuple[int, ...] = N_MIN) -> dict[Subset, int]:
    """Subsets of a group, as sorted pairs, with n of those that have enough trades."""
    trades: dict[Subset, set[str]] = defaultdict(set)
    for row in rows:
        if row.group == group:
            pairs = sorted(row.scope.items())
            for k in range(1, min(max_dims, len(pairs)) + 1):
                for subset in combinations(pairs, k):
                    trades[subset].add(row.trade_id)
    return {
        subset: len(found) for subset, found in trades.items() if len(found) >= n_min[min(len(subset), len(n_min)) - 1]
    }


def of_category(rows: list[Row], category: str) -> list[Row]:
    """Each trade of a category once, with its first such action: of two at the same time that of the smaller id."""
    mine = (row for row in rows if row.category == category)
    return first_of_each_trade(sorted(mine, key=lambda row: (row.at_ms, row.action_id)))


def baseline(everyone: list[Row], group: str, segment: Segment) -> tuple[Fraction, str]:
    """rr_baseline in R of a trade of a group in a segment, and its level, from the trades of its category."""
    others = [row for row in everyone if row.group != group]
    same = [row.rr for row in others if row.segment == segment]
    if len(same) >= 10:
        return Fraction(sum(same), len(same) * SCALE), "segment"
    sides = [[row.rr for row in others if row.segment[side] == segment[side]] for side in (0, 1)]
    used = [side for side in sides if len(side) >= 5]
    if used:
        n = sum(map(len, used))
        return sum((Fraction(sum(side), len(side)) * len(side) for side in used), Fraction(0)) / n / SCALE, "marginals"
    if everyone:
        return Fraction(sum(row.rr for row in everyone), len(everyone) * SCALE), "category"
    return Fraction(0), "none"


class Against(NamedTuple):
    """Trades of a subset against their baselines, in R."""

    rr_baseline: Fraction
    level: str
    delta_rr: Fraction
    tested: list[Fraction]
    """Mean of rr less the baseline, per segment with enough trades."""
    of_each: list[float]
    """rr less the baseline, per trade."""


class BruteForce:
    """Every number of one subset after another; what is the same for many subsets is counted once."""

    def __init__(self, rows: list[Row], tau_days: float = 30.0) -> None:
        self.rows, self.tau_ms = rows, tau_days * DAY_MS
        self._groups: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._groups[row.group].append(row)
        self._categories: dict[str, list[Row]] = {}
        self._baselines: dict[tuple[str, str, Segment], tuple[Fraction, str]] = {}
        self._clusters: dict[tuple[str, Subset], Mapping[str, Any]] = {}
        self._firsts: dict[str, list[Row]] = {}
        self._effects: dict[tuple[str, Subset], float | None] = {}

    def statistics(self, group: str, scope: Scope) -> dict[str, Any]:
        """Every number of spec section 6 for one subset of a group that has trades."""
        mine = [row for row in self._groups[group] if inside(row, scope)]
        trades = first_of_each_trade(mine)
        n, total = len(trades), sum(row.rr for row in trades)
        against = self._against(group, trades)
        squares = Fraction(sum((n * row.rr - total) ** 2 for row in trades), (n * SCALE) ** 2)
        found = {
            "n": n,
            "n_actions": len(mine),
            "last_closed_at_ms": max(row.closed_at_ms for row in trades),
            "avg_rr": float(_mean_rr(trades)),
            "variance": float(squares / (n - 1)) if n > 1 else None,
            "win_rate": sum(row.rr > 0 for row in trades) / n,
            "rr_baseline": float(against.rr_baseline),
            "rr_baseline_level": against.level,
            "delta_rr": float(against.delta_rr),
            "time_efficiency": 1.0 / (1.0 + sum(row.paid_back_ms for row in trades) / n / DAY_MS),
            **_coherence(against),
            **_recurrence(trades, against, self.tau_ms),
            **_missed(trades),
            **self.effect(group, scope),
            **self._decay(group, scope),
        }
        found["edge_raw"], found["emergence_score"] = _edge(found), self._emergence(group, scope, found)
        return found | {"undecided": _undecided(against, found)}

    def _against(self, group: str, trades: list[Row]) -> Against:
        by_segment: dict[Segment, list[Row]] = defaultdict(list)
        for row in trades:
            by_segment[row.segment].append(row)
        base = {segment: self._baseline(group, trades[0].category, segment) for segment in by_segment}
        levels: Counter[str] = Counter()
        for segment, rows in by_segment.items():
            levels[base[segment][1]] += len(rows)
        mean = sum((len(rows) * base[name][0] for name, rows in by_segment.items()), Fraction(0)) / len(trades)
        return Against(
            rr_baseline=mean,
            level=min(level for level, times in levels.items() if times == max(levels.values())),
            delta_rr=_mean_rr(trades) - mean,
            tested=[_mean_rr(rows) - base[name][0] for name, rows in by_segment.items() if len(rows) >= 5],
            of_each=[float(Fraction(row.rr, SCALE) - base[row.segment][0]) for row in trades],
        )

    def _baseline(self, group: str, category: str, segment: Segment) -> tuple[Fraction, str]:
        if category not in self._categories:
            self._categories[category] = of_category(self.rows, category)
        key = (group, category, segment)
        if key not in self._baselines:
            self._baselines[key] = baseline(self._categories[category], group, segment)
        return self._baselines[key]

    def effect(self, group: str, scope: Scope) -> dict[str, Any]:
        """effect_rr, its clustered error, and the clusters with a trade inside."""
        met, rest = self._sides(group, scope)
        cluster_of = self.clusters(group, scope)
        return {
            "effect_rr": self.effect_rr(group, scope),
            "effect_error_rr": clustered(met, rest, lambda row: cluster_of[row.action_id]),
            "n_clusters": len({cluster_of[row.action_id] for row in met}),
        }

    def effect_rr(self, group: str, scope: Scope) -> float | None:
        """Mean rr of the subset's trades less that of the group's others; None if there are none of either."""
        key = (group, tuple(sorted(scope.items())))
        if key not in self._effects:
            met, rest = self._sides(group, scope)
            self._effects[key] = float(_mean_rr(met) - _mean_rr(rest)) if met and rest else None
        return self._effects[key]

    def clusters(self, group: str, scope: Scope) -> Mapping[str, Any]:
        """Action -> cluster of its trade, as the errors of a subset see it."""
        pinned = tuple(sorted((name, value) for name, value in scope.items() if name in REGIME))
        key = (group, pinned)
        if key not in self._clusters:
            mine = self._groups[group]
            self._clusters[key] = spells(mine, dict(pinned)) if pinned else blocks(mine)
        return self._clusters[key]

    def _sides(self, group: str, scope: Scope) -> tuple[list[Row], list[Row]]:
        """Trades of a group with an action in a subset, and its others, each by its first such action."""
        met = first_of_each_trade(row for row in self._groups[group] if inside(row, scope))
        met_ids = {row.trade_id for row in met}
        return met, [row for row in self._trades(group) if row.trade_id not in met_ids]

    def _trades(self, group: str) -> list[Row]:
        if group not in self._firsts:
            self._firsts[group] = first_of_each_trade(self._groups[group])
        return self._firsts[group]

    def _decay(self, group: str, scope: Scope) -> dict[str, Any]:
        effect_rr = self.effect_rr(group, scope)
        met, rest = ([(row.closed_at_ms // DAY_MS, row.rr) for row in side] for side in self._sides(group, scope))
        windows = brute_windows.windows(met, rest)
        found = brute_windows.decay(windows, effect_rr)
        return {**found, "half_life_hours": brute_windows.half_life(windows, effect_rr)}

    def _emergence(self, group: str, scope: Scope, found: Scope) -> float | None:
        """How much more it says than the best of its parents, for its noise."""
        effect_rr, variance = found["effect_rr"], found["variance"]
        if effect_rr is None or variance is None:
            return None
        parents = [{name: scope[name] for name in scope if name != free} for free in scope]
        effects = [self.effect_rr(group, parent) or 0.0 for parent in parents]
        added: float = min(math.copysign(1.0, effect_rr) * (effect_rr - parent) for parent in effects)
        return added / (1 + variance) / math.sqrt(max(found["n"], 3))


def _coherence(against: Against) -> dict[str, Any]:
    positive = [value for value in against.tested if _sign(value) == _sign(against.delta_rr)]
    return {
        "field_coherence": len(positive) / len(against.tested) if against.tested else None,
        "segments_tested": len(against.tested),
        "segments_positive": len(positive),
    }


def _undecided(against: Against, found: dict[str, Any]) -> set[str]:
    """Fields that hang on the sign of what is 0 here, and may be a rounding off it there."""
    names: set[str] = set()
    if abs(against.delta_rr) < TINY:
        names |= {"field_coherence", "segments_positive", "recurrence_score"}
    if any(abs(value) < TINY for value in against.tested):
        names |= {"field_coherence", "segments_positive", "edge_raw"}
    if found["effect_rr"] is not None and abs(found["effect_rr"]) < TINY:
        names |= {"emergence_score", "trend", "half_life_hours"}
    slope, error = found["decay_rr_per_day"], found["decay_error_rr_per_day"]
    if slope is not None and abs(abs(slope) - 2 * error) < TINY:
        names |= {"trend"}
    return names


def _recurrence(trades: list[Row], against: Against, tau_ms: float) -> dict[str, Any]:
    newest = max(row.closed_at_ms for row in trades)
    weights = [math.exp((row.closed_at_ms - newest) / tau_ms) for row in trades]
    raw = math.fsum(w * d for w, d in zip(weights, against.of_each, strict=True)) / math.fsum(weights)
    return {"recurrence_raw": raw, "recurrence_score": max(0.0, math.tanh(_sign(against.delta_rr) * raw))}


def _missed(trades: list[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("missed_entry", "missed_exit"):
        known = [value for row in trades if (value := getattr(row, f"{name}_rr")) is not None]
        found[f"{name}_n"] = len(known)
        found[f"{name}_rr"] = math.fsum(known) / len(known) if known else None
    return found


def bucket(missed_rr: float | None) -> str | None:
    """Word for a mean of what was missed."""
    if missed_rr is None:
        return None
    return next(
        (word for word, least in (("large", 2.0), ("medium", 1.0), ("small", 0.5)) if missed_rr >= least), "none"
    )


def _edge(found: dict[str, Any]) -> float | None:
    if found["variance"] is None:
        return None
    c = 1.0 / (1.0 + found["variance"])
    factors = [found[name] for name in ("time_efficiency", "field_coherence", "recurrence_score")]
    known = [factor for factor in factors if factor is not None]
    steadiness = 0.5 + 0.5 * sum(known) / len(known)
    edge: float = found["delta_rr"] * c * math.log(1 + found["n"]) * steadiness * c
    return edge


def effect(rows: list[Row], group: str, scope: Scope) -> tuple[float | None, float | None, int]:
    """effect_rr of a subset of a group, its clustered error, and the clusters with a trade inside."""
    found = BruteForce(rows).effect(group, scope)
    return found["effect_rr"], found["effect_error_rr"], found["n_clusters"]


def clustered(met: list[Row], rest: list[Row], cluster: Callable[[Row], Any]) -> float | None:
    """Error of the difference of the means of two sets of trades, with the scores summed per cluster."""
    if not rest or not met:
        return None
    scores: dict[Any, Fraction] = defaultdict(Fraction)
    for side, sign in ((met, 1), (rest, -1)):
        n, total = len(side), sum(row.rr for row in side)
        residuals: dict[Any, int] = defaultdict(int)  # n times rr less the mean, in 1e-5 R: whole numbers
        for row in side:
            residuals[cluster(row)] += n * row.rr - total
        for name, residual in residuals.items():
            scores[name] += Fraction(sign * residual, n * n * SCALE)
    g = len(scores)
    return math.sqrt(sum(score**2 for score in scores.values()) * g / (g - 1)) if g > 1 else None


def blocks(rows: list[Row]) -> dict[str, Any]:
    """Action -> block of UTC days of the close of its trade, from the first day of the group on."""
    rr_of_day: dict[int, list[int]] = defaultdict(list)
    for row in first_of_each_trade(rows):
        rr_of_day[row.closed_at_ms // DAY_MS].append(row.rr)
    first, length = min(rr_of_day, default=0), block_length(rr_of_day)
    return {row.action_id: (row.closed_at_ms // DAY_MS - first) // length for row in rows}


def spells(rows: list[Row], scope: Scope) -> dict[str, Any]:
    """Action -> maximal run, in time, of the pinned regime or of anything else."""
    pinned = {name: value for name, value in scope.items() if name in REGIME}
    found: dict[str, Any] = {}
    run, holds = 0, None
    for row in sorted(rows, key=lambda row: row.when):
        now = inside(row, pinned)
        run += now is not holds
        holds = now
        found[row.action_id] = run
    return found


def _mean_rr(trades: list[Row]) -> Fraction:
    return Fraction(sum(row.rr for row in trades), len(trades) * SCALE)


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
