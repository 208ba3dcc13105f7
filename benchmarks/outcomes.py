"""Outcomes to measure with: a market with regimes that last, trades of about four actions, every field filled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from learning.outcome import Companion, Outcome
from leverloop.events import Controls, Counterfactual
from leverloop.scope import DEFAULT_SCHEMA, ScopeValue

START_MS = 1_735_689_600_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
GROUPS = tuple(
    f"pm.uptrend.S{state}.{motif}|{category}"
    for category, motifs in (
        ("entry", ("buy_flag", "dip_buy")), ("add", ("add", "late_add")), ("trim", ("trim", "take")),
        ("exit", ("cut", "panic")),
    )
    for motif in motifs
    for state in range(3)
)[:20]  # fmt: skip
BY_CATEGORY = {c: [g for g in GROUPS if g.endswith(f"|{c}")] for c in ("entry", "add", "trim", "exit")}
VALUES: dict[str, tuple[ScopeValue, ...]] = {
    d.name: d.values or tuple(range(1, 7)) for d in DEFAULT_SCHEMA.dimensions if "pm" in d.modules
}
MEAN_HOURS = {"macro_phase": 144, "meso_phase": 48, "micro_phase": 12, "bucket_leader": 72}
LEVERS = {"entry_delay_bars": ("1", "2", "3"), "trim_delay_mult": ("0.75", "1.25"), "trail_mult": ("0.8", "1.2")}


def outcomes(n: int, seed: int = 1) -> Iterator[Outcome]:
    """At least n outcomes of whole trades, in the order of their closes, spread over a year."""
    rng = np.random.default_rng(seed)
    regimes = {name: _spells(rng, VALUES[name], hours) for name, hours in MEAN_HOURS.items()}
    made, trade = 0, 0
    while made < n:
        at_ms = START_MS + int(made / n * YEAR_MS)
        for outcome in _trade(rng, f"t{trade:07d}", at_ms, regimes):
            yield outcome
            made += 1
        trade += 1


def _spells(rng: np.random.Generator, values: tuple[ScopeValue, ...], mean_hours: int) -> list[ScopeValue]:
    change = rng.random(366 * 24) < 1 / mean_hours
    drawn = rng.integers(len(values), size=len(change))
    last = np.maximum.accumulate(np.where(change, np.arange(len(change)), 0))
    return [values[drawn[i]] for i in last.tolist()]


def _trade(
    rng: np.random.Generator, trade_id: str, at_ms: int, regimes: dict[str, list[ScopeValue]]
) -> Iterator[Outcome]:
    categories = ["entry"] + ["add"] * int(rng.poisson(1.2)) + ["trim"] * int(rng.poisson(0.8)) + ["exit"]
    groups = [BY_CATEGORY[c][rng.integers(len(BY_CATEGORY[c]))] for c in categories]
    fixed = {name: VALUES[name][_skewed(rng, len(VALUES[name]))] for name in ("market_family", "bucket", "timeframe")}
    hold_ms = int(rng.gamma(1.5, 0.8) * 24) * HOUR_MS + 60_000
    hour = (at_ms - START_MS) // HOUR_MS
    scopes = []
    for i in range(len(categories)):
        free = {
            name: VALUES[name][_skewed(rng, len(VALUES[name]))] for name in ("bucket_rank_position", "A_mode", "E_mode")
        }
        here = {name: spells[min(hour + i, len(spells) - 1)] for name, spells in regimes.items()}
        scopes.append(DEFAULT_SCHEMA.ordered(here | fixed | free))
    places = [Companion(group=g, scope=s) for g, s in zip(groups, scopes, strict=True)]
    rr, risk = float(np.clip(0.9 * rng.standard_t(4), -10, 10)), float(rng.uniform(0.01, 0.08))
    result = {
        "closed_at_ms": at_ms + hold_ms, "opened_at_ms": at_ms, "rr": rr, "rr_raw": rr, "rr_capped": False,
        "revision": 0, "return_frac": rr * risk, "max_drawdown_frac": risk, "symbol": "SIM",
        "payback_ms": hold_ms // 2 if rr > 0 else None,
        "counterfactual": Counterfactual(
            missed_entry_rr=float(rng.exponential(0.4)), missed_exit_rr=float(rng.exponential(0.6)),
            best_entry_bars=2.0, best_exit_bars=4.0,
            deltas={lever: {v: float(rng.normal()) for v in values} for lever, values in LEVERS.items()},
        ),
    }  # fmt: skip
    for i, (category, group, scope) in enumerate(zip(categories, groups, scopes, strict=True)):
        signals = dict(zip(("TS", "OX", "DX", "EDX", "OBV_z"), rng.random(5).round(4).tolist(), strict=True))
        yield Outcome(
            outcome_id=f"{trade_id}-a{i}", trade_id=trade_id, group=group, module="pm", scope=scope,
            action_at_ms=at_ms + i * HOUR_MS, first_of_trade=i == 0, first_of_category=categories.index(category) == i,
            controls=Controls(
                signals=signals, applied_knobs={"entry_delay_bars": 0.0, "phase1_frac": 0.33, "trail_mult": 1.0}
            ),
            companions=tuple(places[:i] + places[i + 1 :]),
            **result,
        )  # fmt: skip


def _skewed(rng: np.random.Generator, n: int) -> int:
    """Some values are common and some rare, as in a market: probability falling by a quarter each."""
    return min(int(rng.geometric(0.3)) - 1, n - 1)
