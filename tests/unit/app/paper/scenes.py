"""What the tests of the paper PM trade on: a few days of the simulated market, and books with one lever."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from app.paper.asking import Resolve
from app.paper.candles import Batch
from app.paper.logbook import Event
from app.paper.market import SimulatedMarket
from app.paper.pm import PaperPM
from leverloop.book import OverrideBook
from leverloop.events import ActionLogged, TradeClosed
from leverloop.patterns import ActionCategory
from leverloop.snapshot import Override
from leverloop.testing import make_override, make_snapshot

ENTRIES = ("pm.uptrend.S1.buy_flag", "pm.uptrend.S2.buy_flag", "pm.uptrend.S1.first_dip_buy")
ADDS = ("pm.uptrend.S1.add", "pm.uptrend.S2.add", "pm.uptrend.S3.add")
TRIMS = ("pm.uptrend.S1.trim", "pm.uptrend.S2.trim", "pm.uptrend.S3.exhaustion_trim")
EXITS = ("pm.uptrend.S0.exit", "pm.uptrend.S0.panic_exit")
KEYS: dict[ActionCategory, tuple[str, ...]] = {"entry": ENTRIES, "add": ADDS, "trim": TRIMS, "exit": EXITS}
FAMILIES = ("lowcaps", "perps", "majors")

CANDLES = Path(os.environ.get("LEVERLOOP_TEST_CANDLES", Path(__file__).parents[5] / "shared/data/candles"))
needs_candles = pytest.mark.skipif(
    not CANDLES.is_dir(), reason="no recorded candles: set LEVERLOOP_TEST_CANDLES to a folder of OHLCV files"
)


@cache
def days(bars: int = 1200, seed: int = 3) -> tuple[Batch, ...]:
    """Steps of the simulated market: a day without trades, then a few with."""
    market = SimulatedMarket(seed)
    return tuple(market.next() for _ in range(bars))


def trade(pm: PaperPM, batches: Sequence[Batch]) -> list[Event]:
    return [event for batch in batches for event in pm.step(batch)]


@cache
def neutral() -> tuple[Event, ...]:
    """Events of the days without any lever."""
    return tuple(trade(PaperPM(OverrideBook.empty().resolve), days()))


def lever_on(category: ActionCategory, levers: Mapping[str, float], keys: Sequence[str] = ()) -> list[Override]:
    """Overrides that pull levers on every action of a category."""
    return [
        make_override(levers, {"market_family": family}, pattern_key=key, action_category=category)
        for key in keys or KEYS[category]
        for family in FAMILIES
    ]


def book(*overrides: Override, holdout_share: float = 0.0) -> Resolve:
    return OverrideBook(make_snapshot(*overrides), holdout_share=holdout_share).resolve


@cache
def traded_with(category: ActionCategory, lever: str, value: float) -> tuple[Event, ...]:
    """Events of the days with one lever on one category."""
    return tuple(trade(PaperPM(book(*lever_on(category, {lever: value}))), days()))


def actions(events: Sequence[Event], category: ActionCategory | None = None) -> list[ActionLogged]:
    return [e for e in events if isinstance(e, ActionLogged) and category in (None, e.category)]


def trades(events: Sequence[Event]) -> dict[str, TradeClosed]:
    return {e.trade_id: e for e in events if isinstance(e, TradeClosed) and e.revision == 0}
