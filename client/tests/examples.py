"""Records that the contract takes, as JSON documents: tests break them one field at a time."""

import json
from typing import Any

import msgspec

AT_MS = 1_760_000_000_000
RECEIVED_AT_MS = AT_MS + 1_000

ACTION: dict[str, Any] = {
    "schema_version": 1,
    "action_id": "t1/entry",
    "trade_id": "t1",
    "module": "pm",
    "pattern_key": "pm.uptrend.S1.buy_flag",
    "action_type": "entry_immediate",
    "event_at_ms": AT_MS,
    "scope": {"macro_phase": "Dip", "bucket": "micro", "bucket_rank_position": 2, "timeframe": "15m"},
    "controls": {
        "signals": {"TS": 0.7, "OX": 0.2, "OBV_z": -3.5},
        "applied_knobs": {"entry_delay_bars": 1, "phase_scaling": {"S1": 1.0, "S2": 0.9}},
    },
    "size_frac": 0.1,
    "a_value": 0.6,
    "decision": {
        "reason": "MATCHED",
        "arm": "treated",
        "propensity": 0.95,
        "snapshot_version": 7,
        "overrides": [{"id": "o1", "weight": 0.4, "levers": {"size_mult": 1.1}}],
        "before": {"size_mult": 1.0},
        "after": {"size_mult": 1.1},
    },
}
TRADE: dict[str, Any] = {
    "schema_version": 1,
    "trade_id": "t1",
    "module": "pm",
    "symbol": "SOL-PERP",
    "opened_at_ms": AT_MS - 60_000,
    "event_at_ms": AT_MS,
    "rr": 1.5,
    "return_frac": 0.03,
    "max_drawdown_frac": 0.01,
    "max_gain_frac": 0.04,
    "payback_ms": 30_000,
    "counterfactual": {"missed_entry_rr": 0.4, "deltas": {"entry_delay_bars": {"1": 0.1, "2": -0.2}}},
    "revision": 0,
    "void": False,
}


def changed(document: dict[str, Any], path: str, value: Any) -> bytes:
    """JSON of the document with one field put to a value; the path is dotted, `...` as value removes it."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    *way, last = path.split(".")
    node = copy
    for name in way:
        node = node.setdefault(name, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return json.dumps(copy).encode()  # writes NaN, which msgspec does not
