"""Spec section 6 once more, in plain Python over the raw documents: slow, exact, and sharing no code with the core.

Nothing here is imported from `learning`: what it knows of the definitions it knows from the specification.
"""

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any, NamedTuple

CATEGORY = {
    "entry_immediate": "entry", "E1": "entry", "add": "add", "trim": "trim", "partial_exit": "trim",
    "cut": "exit", "allocation": "allocation",
}  # fmt: skip
REGIME = ("macro_phase", "meso_phase", "micro_phase", "bucket_leader")
SEGMENT = {"pm": ("bucket", "timeframe"), "dm": ("bucket", "chain")}
DAY_MS = 86_400_000
Scope = dict[str, Any]


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

    @property
    def category(self) -> str:
        return f"{self.module}|{self.group.rpartition('|')[2]}"

    @property
    def segment(self) -> tuple[str, str]:
        first, second = SEGMENT[self.module]
        return str(self.scope.get(first, "")), str(self.scope.get(second, ""))


def rows_of(actions: list[Any], trades: list[Any]) -> list[Row]:
    """Every action of a closed trade, in time order."""
    closes = {trade["trade_id"]: trade for trade in trades}
    rows = []
    for action in actions:
        trade = closes[action["trade_id"]]
        module, key = action["module"], action["pattern_key"]
        key = key if key.startswith(f"{module}.") else f"{module}.{key}"
        rr = 10.0 if trade["rr"] is None else max(-10.0, min(10.0, trade["rr"]))
        payback_ms = trade["payback_ms"]
        rows.append(
            Row(
                trade_id=action["trade_id"],
                action_id=action["action_id"],
                group=f"{key}|{CATEGORY[action['action_type']]}",
                module=module,
                at_ms=action["event_at_ms"],
                scope={k: v for k, v in action["scope"].items() if v not in (None, "", "Unknown", "unknown")},
                rr=round(rr * 100_000),
                closed_at_ms=trade["event_at_ms"],
                paid_back_ms=trade["event_at_ms"] - trade["opened_at_ms"] if payback_ms is None else payback_ms,
            )
        )
    return sorted(rows, key=lambda row: (row.at_ms, row.action_id))


def first_of_each_trade(rows: list[Row]) -> list[Row]:
    """The first of some rows, per trade."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.trade_id, row)
    return list(found.values())


def inside(row: Row, scope: Scope) -> bool:
    return all(row.scope.get(name) == value for name, value in scope.items())


def baseline(rows: list[Row], group: str, category: str, segment: tuple[str, str]) -> tuple[Fraction, str]:
    """rr_baseline in R of a trade of a group in a segment, and its level."""
    everyone = first_of_each_trade([row for row in rows if row.category == category])
    others = [row for row in everyone if row.group != group]
    same = [row.rr for row in others if row.segment == segment]
    if len(same) >= 10:
        return Fraction(sum(same), len(same) * 100_000), "segment"
    sides = [[row.rr for row in others if row.segment[side] == segment[side]] for side in (0, 1)]
    used = [side for side in sides if len(side) >= 5]
    if used:
        n = sum(map(len, used))
        return sum(
            (Fraction(sum(side), len(side)) * len(side) for side in used), Fraction(0)
        ) / n / 100_000, "marginals"
    if everyone:
        return Fraction(sum(row.rr for row in everyone), len(everyone) * 100_000), "category"
    return Fraction(0), "none"


def statistics(rows: list[Row], group: str, scope: Scope, *, tau_days: float = 30.0) -> dict[str, Any]:
    """Every number of spec section 6 for one subset of a group."""
    mine = [row for row in rows if row.group == group and inside(row, scope)]
    trades = first_of_each_trade(mine)
    n = len(trades)
    rr = [Fraction(row.rr, 100_000) for row in trades]
    mean = sum(rr, Fraction(0)) / n
    variance = sum(((x - mean) ** 2 for x in rr), Fraction(0)) / (n - 1) if n > 1 else None
    bases = [baseline(rows, group, row.category, row.segment) for row in trades]
    deltas = [x - base for x, (base, _) in zip(rr, bases, strict=True)]
    delta = sum(deltas, Fraction(0)) / n
    by_segment: dict[tuple[str, str], list[Fraction]] = defaultdict(list)
    for row, value in zip(trades, deltas, strict=True):
        by_segment[row.segment].append(value)
    tested = [sum(values, Fraction(0)) / len(values) for values in by_segment.values() if len(values) >= 5]
    positive = [value for value in tested if _sign(value) == _sign(delta)]
    newest = max(row.closed_at_ms for row in trades)
    weights = [math.exp((row.closed_at_ms - newest) / (tau_days * DAY_MS)) for row in trades]
    recurrence = math.fsum(w * float(d) for w, d in zip(weights, deltas, strict=True)) / math.fsum(weights)
    score = max(0.0, math.tanh(math.copysign(1.0, delta) * recurrence))
    efficiency = 1.0 / (1.0 + sum(row.paid_back_ms for row in trades) / n / DAY_MS)
    coherence = len(positive) / len(tested) if tested else None
    edge = None
    if variance is not None:
        c = 1.0 / (1.0 + float(variance))
        factors = [f for f in (efficiency, coherence, score) if f is not None]
        edge = float(delta) * c * math.log(1 + n) * (0.5 + 0.5 * sum(factors) / len(factors)) * c
    levels = [level for _, level in bases]
    return {
        "n": n,
        "n_actions": len(mine),
        "avg_rr": float(mean),
        "variance": None if variance is None else float(variance),
        "win_rate": sum(x > 0 for x in rr) / n,
        "rr_baseline": float(sum((base for base, _ in bases), Fraction(0)) / n),
        "rr_baseline_levels": {level for level in levels if levels.count(level) == max(map(levels.count, levels))},
        "delta_rr": float(delta),
        "time_efficiency": efficiency,
        "field_coherence": coherence,
        "segments_tested": len(tested),
        "segments_positive": len(positive),
        "recurrence_raw": recurrence,
        "recurrence_score": score,
        "edge_raw": edge,
        "last_closed_at_ms": newest,
    }


def effect(rows: list[Row], group: str, scope: Scope) -> tuple[float | None, float | None, int]:
    """effect_rr, its clustered error, and the clusters with a trade inside."""
    mine = [row for row in rows if row.group == group]
    cluster_of = spells(mine, scope) if any(name in REGIME for name in scope) else days(mine)
    met = first_of_each_trade([row for row in mine if inside(row, scope)])
    met_ids = {row.trade_id for row in met}
    rest = [row for row in first_of_each_trade(mine) if row.trade_id not in met_ids]
    n_clusters = len({cluster_of[row.action_id] for row in met})
    if not rest or not met:
        return None, None, n_clusters
    mean_in, mean_out = _mean(met), _mean(rest)
    scores: dict[Any, Fraction] = defaultdict(Fraction)
    for side, mean, sign in ((met, mean_in, 1), (rest, mean_out, -1)):
        for row in side:
            scores[cluster_of[row.action_id]] += sign * (Fraction(row.rr, 100_000) - mean) / len(side)
    g = len(scores)
    error = math.sqrt(sum(score**2 for score in scores.values()) * g / (g - 1)) if g > 1 else None
    return float(mean_in - mean_out), error, n_clusters


def days(rows: list[Row]) -> dict[str, Any]:
    """Action -> UTC day of the close of its trade."""
    return {row.action_id: row.closed_at_ms // DAY_MS for row in rows}


def spells(rows: list[Row], scope: Scope) -> dict[str, Any]:
    """Action -> maximal run, in time, of the pinned regime or of anything else."""
    pinned = {name: value for name, value in scope.items() if name in REGIME}
    found: dict[str, Any] = {}
    run, holds = 0, None
    for row in sorted(rows, key=lambda row: (row.at_ms, row.action_id)):
        now = inside(row, pinned)
        run += now is not holds
        holds = now
        found[row.action_id] = run
    return found


def _mean(rows: list[Row]) -> Fraction:
    return Fraction(sum(row.rr for row in rows), len(rows) * 100_000)


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
