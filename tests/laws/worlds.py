"""Streams that Hypothesis draws: few trades, few values, and everything that is awkward about them.

Actions at the same time, after the close, without a scope; several of one group in a trade; trades of the
DM and the PM; rr at and beyond the cap, or none at all; revisions that move the close, and voids.
"""

from collections.abc import Mapping
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


@st.composite
def _scopes(draw: st.DrawFn, module: str) -> dict[str, Any]:
    return {
        name: draw(st.sampled_from([*values, *values, None, "", "unknown"]))
        for name, values in DIMENSIONS[module].items()
    }


@st.composite
def _actions(draw: st.DrawFn, trade_id: str, opened_at_ms: int) -> list[Document]:
    found = []
    for j in range(draw(st.integers(1, 4))):
        module = draw(st.sampled_from(["pm", "pm", "pm", "dm"]))
        key, kind = draw(st.sampled_from(KINDS[module]))
        at_ms = opened_at_ms + draw(st.integers(0, 60)) * HOUR_MS
        found.append(
            {
                "action_id": f"{trade_id}/{j}",
                "trade_id": trade_id,
                "module": module,
                "pattern_key": key,
                "action_type": kind,
                "event_at_ms": at_ms,
                "scope": draw(_scopes(module)),
            }
        )
    return found


@st.composite
def _close(
    draw: st.DrawFn, trade_id: str, opened_at_ms: int, revision: int, rr_values: st.SearchStrategy[float | None]
) -> Document:
    rr = draw(rr_values)
    hold_ms = draw(st.integers(1, 72)) * HOUR_MS
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
        "payback_ms": draw(st.none() | st.integers(0, hold_ms)),
        "counterfactual": draw(
            st.none() | st.fixed_dictionaries({"missed_entry_rr": missed, "missed_exit_rr": missed})
        ),
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
    for i in range(draw(st.integers(min_trades, max_trades))):
        trade_id = f"t{i:02d}"
        opened_at_ms = START_MS + draw(st.integers(0, 20)) * DAY_MS // 2
        documents += draw(_actions(trade_id, opened_at_ms))
        closes = [draw(_close(trade_id, opened_at_ms, 0, rr))]
        if mended and draw(st.booleans()):
            closes.append(draw(_close(trade_id, opened_at_ms, 1, rr)))
            if draw(st.booleans()):
                closes.append({**closes[-1], "revision": 2, "void": True})
        documents += closes
    if mended:
        documents += draw(st.lists(st.sampled_from(documents), max_size=4))
    return documents


def numbers_of(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Actions and closes of documents."""
    return [d for d in documents if "action_id" in d], [d for d in documents if "action_id" not in d]
