"""Events, outcomes and evidence for tests, each field settable: what is not said is unremarkable."""

from typing import Any

import msgspec

from learning.lessons import Evidence
from learning.outcome import Outcome, group_of
from learning.statistics import SubsetStats
from leverloop.events import ActionLogged, Controls, TradeClosed
from leverloop.patterns import ActionCategory, action_category

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EPOCH_MS = 6 * HOUR_MS
START_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z, the end of an epoch."""
KEY = "pm.uptrend.S1.buy_flag"
TYPE_OF: dict[ActionCategory, str] = {"entry": "E1", "add": "add", "trim": "trim", "exit": "cut"}


def an_action(action_id: str = "a1", trade_id: str = "t1", **fields: Any) -> ActionLogged:
    settled: dict[str, Any] = {
        "module": "pm",
        "pattern_key": KEY,
        "action_type": "E1",
        "event_at_ms": START_MS + HOUR_MS,
        "scope": {"bucket": "micro"},
    }
    settled |= fields
    settled.setdefault("action_category", action_category(settled["action_type"], settled["module"]))
    return ActionLogged(action_id=action_id, trade_id=trade_id, **settled)


def a_close(trade_id: str = "t1", **fields: Any) -> TradeClosed:
    settled: dict[str, Any] = {
        "module": "pm",
        "symbol": "SIM1",
        "opened_at_ms": START_MS,
        "event_at_ms": START_MS + 2 * HOUR_MS,
        "rr": 1.5,
        "return_frac": 0.03,
        "max_drawdown_frac": 0.02,
        "max_gain_frac": 0.04,
    }
    return TradeClosed(trade_id=trade_id, **(settled | fields))


def an_outcome(outcome_id: str = "a1", trade_id: str = "t1", **fields: Any) -> Outcome:
    settled: dict[str, Any] = {
        "group": group_of(KEY, "entry"),
        "module": "pm",
        "scope": {"bucket": "micro", "timeframe": "1h"},
        "symbol": "SIM1",
        "action_at_ms": START_MS + HOUR_MS,
        "opened_at_ms": START_MS,
        "closed_at_ms": START_MS + 2 * HOUR_MS,
        "rr": 1.5,
        "rr_capped": False,
        "return_frac": 0.03,
        "max_drawdown_frac": 0.02,
        "payback_ms": None,
        "revision": 0,
        "first_of_trade": True,
        "first_of_category": True,
        "controls": Controls(),
    }
    settled |= fields
    settled.setdefault("rr_raw", settled["rr"])
    return Outcome(outcome_id=outcome_id, trade_id=trade_id, **settled)


def some_stats(**fields: Any) -> SubsetStats:
    settled: dict[str, Any] = {
        "n": 100,
        "n_actions": 120,
        "avg_rr": 0.8,
        "variance": 1.0,
        "win_rate": 0.6,
        "rr_baseline": 0.1,
        "rr_baseline_level": "segment",
        "delta_rr": 0.7,
        "time_efficiency": 0.5,
        "field_coherence": 0.8,
        "segments_tested": 5,
        "segments_positive": 4,
        "recurrence_raw": 0.5,
        "recurrence_score": 0.4,
        "edge_raw": 1.0,
        "last_closed_at_ms": START_MS,
    }
    return SubsetStats(**(settled | fields))


def some_evidence(stats: SubsetStats | None = None, **fields: Any) -> Evidence:
    settled: dict[str, Any] = {
        "epoch_at_ms": START_MS,
        "effect_rr": 0.8,
        "error_rr": 0.1,
        "shrunk_rr": 0.78,
        "p_value": 1e-9,
        "n_clusters": 60,
    }
    return Evidence(stats=stats or some_stats(), **(settled | fields))


def strong(**fields: Any) -> Evidence:
    """Evidence that passes everything, of the first epoch."""
    settled = {"epoch_at_ms": START_MS + EPOCH_MS} | fields
    return msgspec.structs.replace(some_evidence(some_stats(effect_rr=0.8)), **settled)
