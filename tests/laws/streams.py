"""Whole streams for tests, as the JSON documents that PM and DM send: a small world of our own, and the bench's.

The small world is made to be awkward: dimensions that are missing, several actions of one group in a
trade, allocations of the DM for the PM's trades, rr without a bound, a gain without a drawdown, choices
missed that are known of some trades only.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.laws.examples import DAY_MS, HOUR_MS, START_MS

Document = dict[str, Any]
Stream = tuple[list[Document], list[Document]]
"""(actions, closed trades), each in event-time order."""

_BENCH: Final = Path(__file__).resolve().parents[3] / "shared" / "bench" / "planted.py"
"""The generator of streams with known edges, where it lies beside the checkout."""
PHASES: Final = ("Good", "Dip", "Oh-Shit")
BUCKETS: Final = ("nano", "micro", "mid")
TIMEFRAMES: Final = ("1h", "4h")
KINDS: Final = (
    ("pm.uptrend.S1.buy_flag", "E1"),
    ("pm.uptrend.S2.buy_flag", "entry_immediate"),
    ("pm.uptrend.S3.add", "add"),
    ("pm.uptrend.S2.trim", "partial_exit"),
    ("pm.uptrend.S0.exit", "cut"),
)


def small_stream(
    seed: int = 1,
    *,
    trades: int = 120,
    days: int = 12,
    edge_rr: float = 0.0,
    tag: str = "",
) -> Stream:
    """Actions and closed trades of a small world.

    Parameters
    ----------
    seed
        The same seed always gives the same stream.
    trades, days
        How many, over how long.
    edge_rr
        Added to every trade with an entry by the first pattern in bucket micro.
    tag
        Put in front of every id.
    """
    rng, of_missed = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    regime = [rng.integers(len(PHASES)) for _ in range(days + 8)]
    actions: list[Document] = []
    closed: list[Document] = []
    for i in range(trades):
        trade_id = f"{tag}t{i:05d}"
        opened_at_ms = START_MS + int(rng.integers(0, days * DAY_MS))
        hold_ms = int(rng.integers(HOUR_MS, 2 * DAY_MS))
        fixed = {"bucket": rng.choice(BUCKETS), "timeframe": rng.choice(TIMEFRAMES)}
        mine = _actions(rng, trade_id, opened_at_ms, hold_ms, fixed, regime)
        hit = any(a["pattern_key"] == KINDS[0][0] and a["scope"].get("bucket") == "micro" for a in mine)
        rr = 0.2 + float(rng.standard_t(3)) + edge_rr * hit
        actions.extend(mine)
        closed.append(_close(rng, trade_id, opened_at_ms, opened_at_ms + hold_ms, rr) | _missed(of_missed))
    actions.sort(key=lambda action: (action["event_at_ms"], action["action_id"]))
    closed.sort(key=lambda trade: (trade["event_at_ms"], trade["trade_id"]))
    return actions, closed


def _actions(
    rng: np.random.Generator, trade_id: str, opened_at_ms: int, hold_ms: int, fixed: Document, regime: list[Any]
) -> list[Document]:
    kinds = [KINDS[rng.integers(2)], *(KINDS[rng.integers(2, 5)] for _ in range(rng.integers(0, 5)))]
    if rng.random() < 0.3:
        kinds.append(KINDS[0])
    times = np.sort(rng.choice(hold_ms, size=len(kinds) + 1, replace=False)) + opened_at_ms
    found: list[Document] = []
    for j, ((key, kind), at_ms) in enumerate(zip(kinds, times[1:].tolist(), strict=True)):
        scope: Document = {
            "macro_phase": PHASES[regime[(at_ms - START_MS) // DAY_MS]],
            "bucket_rank_position": int(rng.integers(1, 4)),
            "A_mode": str(rng.choice(["patient", "normal"])),
            **{name: str(value) for name, value in fixed.items()},
        }
        for name in [name for name in scope if rng.random() < 0.1]:
            scope[name] = rng.choice([None, "", "Unknown"])
        found.append(_action(f"{trade_id}/{j}", trade_id, "pm", key, kind, at_ms, scope))
    if rng.random() < 0.6:
        scope = {
            "bucket": fixed["bucket"],
            "chain": str(rng.choice(["sol", "eth"])),
            "curator": str(rng.choice(["x", "y"])),
        }
        found.append(_action(f"{trade_id}/dm", trade_id, "dm", "alloc.new.buy", "allocation", int(times[0]), scope))
    return found


def _action(action_id: str, trade_id: str, module: str, key: str, kind: str, at_ms: int, scope: Document) -> Document:
    return {
        "action_id": action_id, "trade_id": trade_id, "module": module, "pattern_key": key, "action_type": kind,
        "event_at_ms": at_ms, "scope": {name: None if value is None else value if isinstance(value, int) else str(value) for name, value in scope.items()},
        "controls": {"signals": {"TS": 0.5}},
    }  # fmt: skip


def _close(rng: np.random.Generator, trade_id: str, opened_at_ms: int, closed_at_ms: int, rr: float) -> Document:
    capped = rng.random() < 0.03
    return {
        "trade_id": trade_id, "module": "pm", "symbol": "SIM1", "opened_at_ms": opened_at_ms,
        "event_at_ms": closed_at_ms, "rr": None if capped else rr, "return_frac": 0.1 if capped else rr * 0.02,
        "max_drawdown_frac": 0.0 if capped else 0.02, "max_gain_frac": 0.1,
        "payback_ms": int(rng.integers(1, closed_at_ms - opened_at_ms)) if rng.random() < 0.5 else None,
    }  # fmt: skip


def _missed(rng: np.random.Generator) -> Document:
    entry, leave = rng.exponential(0.8, size=2).tolist()
    known = {"missed_entry_rr": entry, "missed_exit_rr": leave if rng.random() < 0.5 else None}
    return {"counterfactual": known if rng.random() < 0.7 else None}


def planted_stream(seed: int, *, trades: int, days: int) -> Stream:
    """Actions and closed trades of the bench's generator; skips the test where there is no bench."""
    if not _BENCH.is_file():
        pytest.skip("the bench's generator does not lie beside this checkout")
    name = "leverloop_bench_planted"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, _BENCH)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    drawn = module.generate(seed, trades, days, 0.6, module.PLANTED, module.DELTAS)
    actions, closed = json.loads(json.dumps(drawn))  # plain numbers, as a reader of its files sees them
    return actions, closed
