"""Trades to measure with: regimes that last, about four actions a trade, every field filled, drawn by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from learning.attribution import Trade
from learning.attribution import outcomes as outcomes_of
from learning.outcome import Outcome
from learning.parameters import Parameters
from leverloop.events import ActionLogged, Controls, Counterfactual, TradeClosed
from leverloop.scope import DEFAULT_SCHEMA, Scope, ScopeValue

START_MS = 1_735_689_600_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
TYPES = {"entry": "E1", "add": "add", "trim": "trim", "exit": "cut"}
MOTIFS = {
    "entry": ("buy_flag", "dip_buy"),
    "add": ("add", "late_add", "scale_in"),
    "trim": ("trim", "take", "scale_out"),
    "exit": ("cut", "panic"),
}
KEYS = {
    category: [f"pm.uptrend.S{state}.{motif}" for motif in motifs for state in (1, 2)]
    for category, motifs in MOTIFS.items()
}
"""Twenty groups."""
VALUES: dict[str, tuple[ScopeValue, ...]] = {
    d.name: d.values or tuple(range(1, 7)) for d in DEFAULT_SCHEMA.dimensions if "pm" in d.modules
}
MEAN_HOURS = {"macro_phase": 144, "meso_phase": 48, "micro_phase": 12, "bucket_leader": 72}
OF_TRADE = ("market_family", "bucket", "timeframe")
OF_ACTION = ("bucket_rank_position", "A_mode", "E_mode")
LEVERS = {"entry_delay_bars": ("1", "2", "3"), "trim_delay_mult": ("0.75", "1.25"), "trail_mult": ("0.8", "1.2")}
KNOBS: dict[str, float | dict[str, float]] = {"entry_delay_bars": 0.0, "phase1_frac": 0.33, "trail_mult": 1.0}


def outcomes(n: int, seed: int = 1) -> Iterator[Outcome]:
    """At least n outcomes of whole trades, in the order of their opening."""
    rules = Parameters()
    for actions, close in trades(n, seed):
        yield from outcomes_of(Trade(actions={a.action_id: a for a in actions}, close=close), rules)  # type: ignore[misc]


def trades(n: int, seed: int = 1) -> Iterator[tuple[list[ActionLogged], TradeClosed]]:
    """Trades with at least n actions together, spread over a year."""
    rng = np.random.default_rng(seed)
    regimes = {name: _spells(rng, VALUES[name], hours) for name, hours in MEAN_HOURS.items()}
    made, trade = 0, 0
    while made < n:
        opened_at_ms = START_MS + int(made / n * YEAR_MS)
        actions = list(_actions(rng, f"t{trade:07d}", opened_at_ms, regimes))
        yield actions, _close(rng, f"t{trade:07d}", opened_at_ms, actions[-1].event_at_ms + 60_000)
        made += len(actions)
        trade += 1


def _spells(rng: np.random.Generator, values: tuple[ScopeValue, ...], mean_hours: int) -> list[ScopeValue]:
    change = rng.random(400 * 24) < 1 / mean_hours
    drawn = rng.integers(len(values), size=len(change))
    last = np.maximum.accumulate(np.where(change, np.arange(len(change)), 0))
    return [values[drawn[i]] for i in last.tolist()]


def _actions(
    rng: np.random.Generator, trade_id: str, at_ms: int, regimes: dict[str, list[ScopeValue]]
) -> Iterator[ActionLogged]:
    categories = ["entry"] + ["add"] * int(rng.poisson(1.2)) + ["trim"] * int(rng.poisson(0.8)) + ["exit"]
    of_trade = {name: _drawn(rng, VALUES[name]) for name in OF_TRADE}
    for i, category in enumerate(categories):
        at_ms += int(rng.gamma(1.5, 8.0) * HOUR_MS)
        hour = (at_ms - START_MS) // HOUR_MS
        scope: Scope = {name: spells[min(hour, len(spells) - 1)] for name, spells in regimes.items()}
        scope |= of_trade | {name: _drawn(rng, VALUES[name]) for name in OF_ACTION}
        signals = dict(zip(("TS", "OX", "DX", "EDX", "OBV_z"), rng.random(5).round(4).tolist(), strict=True))
        yield ActionLogged(
            action_id=f"{trade_id}-a{i}",
            trade_id=trade_id,
            module="pm",
            pattern_key=KEYS[category][rng.integers(len(KEYS[category]))],
            action_type=TYPES[category],
            event_at_ms=at_ms,
            scope=DEFAULT_SCHEMA.ordered(scope),
            controls=Controls(signals=signals, applied_knobs=KNOBS),
            size_frac=0.1,
            a_value=0.5,
            e_value=0.5,
        )


def _close(rng: np.random.Generator, trade_id: str, opened_at_ms: int, closed_at_ms: int) -> TradeClosed:
    rr, risk = round(float(0.9 * rng.standard_t(4)), 5), float(rng.uniform(0.01, 0.08))
    deltas: dict[str, Any] = {
        lever: {value: round(float(rng.normal()), 4) for value in values} for lever, values in LEVERS.items()
    }
    return TradeClosed(
        trade_id=trade_id,
        module="pm",
        symbol="SIM",
        opened_at_ms=opened_at_ms,
        event_at_ms=closed_at_ms,
        rr=rr,
        return_frac=rr * risk,
        max_drawdown_frac=risk,
        max_gain_frac=risk,
        payback_ms=(closed_at_ms - opened_at_ms) // 2 if rr > 0 else None,
        counterfactual=Counterfactual(
            missed_entry_rr=round(float(rng.exponential(0.4)), 4),
            missed_exit_rr=round(float(rng.exponential(0.6)), 4),
            best_entry_bars=2.0,
            best_exit_bars=4.0,
            deltas=deltas,
        ),
    )


def _drawn(rng: np.random.Generator, values: tuple[ScopeValue, ...]) -> ScopeValue:
    """Some values are common and some rare, as in a market."""
    return values[min(int(rng.geometric(0.3)) - 1, len(values) - 1)]
