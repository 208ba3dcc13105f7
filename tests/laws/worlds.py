"""Streams that Hypothesis draws: few trades, few values, and everything that is awkward about them.

Actions at the same time, after the close, without a scope; several of one group in a trade; trades of the
DM and the PM; rr at and beyond the cap, or none at all; revisions that move the close, and voids.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.laws.examples import DAY_MS, HOUR_MS, START_MS
from tests.laws.streams import Document

__all__ = ["mild_rr", "numbers_of", "worlds"]

KINDS = {
    "pm": (("pm.uptrend.S1.buy_flag", "E1"), ("pm.uptrend.S2.buy_flag", "entry"), ("pm.uptrend.S0.exit", "cut")),
    "dm": (("dm.alloc.new.buy", "allocation"), ("dm.alloc.old.buy", "allocation"), ("dm.alloc.new.buy", "entry")),
}
DIMENSIONS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "pm": {
        "macro_phase": ("Good", "Dip"),
        "bucket_leader": ("nano", "micro"),
        "bucket": ("nano", "micro"),
        "timeframe": ("1h", "4h"),
    },
    "dm": {"macro_phase": ("Good", "Dip"), "bucket": ("nano", "micro"), "curator": ("x", "1"), "chain": ("sol", "eth")},
}
any_rr = (
    st.none()
    | st.sampled_from([-12.0, -10.0, -1.0, 0.0, 0.00001, 0.5, 1.0, 10.0, 25.0])
    | st.integers(-1_100_000, 1_100_000).map(lambda rr_q: rr_q / 100_000)
)
mild_rr = st.integers(-700_000, 700_000).map(lambda rr_q: rr_q / 100_000)
"""Inside the cap, and still inside it with 3 R more or less."""
missed = st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 7.5])


# Strategies stand here once: made anew at each draw, they cost more than the tests.
hours = st.integers(0, 60)
holds = st.integers(1, 72).map(lambda hold: hold * HOUR_MS)
scopes = {
    module: st.fixed_dictionaries(
        {name: st.sampled_from([*values, *values, None, "", "unknown"]) for name, values in dimensions.items()}
    )
    for module, dimensions in DIMENSIONS.items()
}
of_module = {module: st.tuples(st.just(module), st.sampled_from(KINDS[module]), scopes[module]) for module in KINDS}
an_action = st.tuples(hours, of_module["pm"] | of_module["pm"] | of_module["dm"])
counterfactuals = st.none() | st.fixed_dictionaries({"missed_entry_rr": missed, "missed_exit_rr": missed})
paid_back = st.none() | st.floats(0.0, 1.0)
fates = st.sampled_from(["closed", "closed", "revised", "voided"])
again = st.lists(st.integers(0, 200), max_size=4)


@cache
def _closes(rr: st.SearchStrategy[float | None]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(rr, holds, paid_back, counterfactuals)


@cache
def _trades(rr: st.SearchStrategy[float | None], fewest: int, most: int) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    trade = st.tuples(
        st.integers(0, 20), st.lists(an_action, min_size=1, max_size=4), st.tuples(_closes(rr), _closes(rr)), fates
    )
    return st.lists(trade, min_size=fewest, max_size=most)


def _action(trade_id: str, j: int, opened_at_ms: int, drawn: tuple[Any, ...]) -> Document:
    hour, (module, (key, kind), scope) = drawn
    return {
        "action_id": f"{trade_id}/{j}",
        "trade_id": trade_id,
        "module": module,
        "pattern_key": key,
        "action_type": kind,
        "event_at_ms": opened_at_ms + hour * HOUR_MS,
        "scope": scope,
    }


def _close(trade_id: str, opened_at_ms: int, revision: int, drawn: tuple[Any, ...]) -> Document:
    rr, hold_ms, share, counterfactual = drawn
    return {
        "trade_id": trade_id,
        "module": "pm",
        "symbol": "SIM1",
        "opened_at_ms": opened_at_ms,
        "event_at_ms": opened_at_ms + hold_ms,
        "rr": rr,
        "return_frac": 0.1 if rr is None else rr * 0.02,
        "max_drawdown_frac": 0.0 if rr is None else 0.02,
        "max_gain_frac": 0.1,
        "payback_ms": None if share is None else round(share * hold_ms),
        "counterfactual": counterfactual,
        "revision": revision,
    }


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    min_trades: int = 1,
    max_trades: int = 12,
    rr: st.SearchStrategy[float | None] = any_rr,
    mended: bool = False,
) -> list[Document]:
    """Documents in some order; with `mended`, some closes are revised, voided, or sent twice."""
    documents: list[Document] = []
    for i, (half_day, actions, closes, fate) in enumerate(draw(_trades(rr, min_trades, max_trades))):
        trade_id, opened_at_ms = f"t{i:02d}", START_MS + half_day * DAY_MS // 2
        documents += [_action(trade_id, j, opened_at_ms, action) for j, action in enumerate(actions)]
        documents.append(_close(trade_id, opened_at_ms, 0, closes[0]))
        if mended and fate != "closed":
            documents.append(_close(trade_id, opened_at_ms, 1, closes[1]))
            if fate == "voided":
                documents.append({**documents[-1], "revision": 2, "void": True})
    if mended:
        documents += [documents[i % len(documents)] for i in draw(again)]
    return documents


def numbers_of(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Actions and closes of documents."""
    return [d for d in documents if "action_id" in d], [d for d in documents if "action_id" not in d]
