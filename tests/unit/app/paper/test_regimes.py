"""Phases follow the market, last, and belong to the vocabulary; buckets are fifths by traded value."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.candles import BAR_MS, Batch, Candle
from app.paper.market import SimulatedMarket
from app.paper.regimes import HORIZONS, RegimeTracker, cap_buckets, classify
from leverloop.scope import DEFAULT_SCHEMA
from tests.unit.app.paper.scenes import days

T0 = 1_514_764_800_000
DAY_BARS = 288
PHASES = ("Good", "Recover", "Dip", "Double-Dip", "Oh-Shit", "Euphoria", "Chop")
numbers = st.floats(-10, 10)


def market_of(moves: list[float], *, symbols: str = "ABCDE", lead: str = "") -> list[Batch]:
    """Symbols that move together, but for small own moves, and one that gains on the others."""
    batches, price = [], dict.fromkeys(symbols, 0.0)
    for i, move in enumerate(moves):
        candles = {}
        for k, symbol in enumerate(symbols):
            before = price[symbol]
            price[symbol] += move + 0.001 * math.sin(7 * i + k) + (0.001 if symbol == lead else 0.0)
            o, c = math.exp(before), math.exp(price[symbol])
            candles[symbol] = Candle(T0 + i * BAR_MS, o, max(o, c), min(o, c), c, 10.0 ** (k + 1))
        batches.append(Batch(T0 + i * BAR_MS, candles))
    return batches


def tracked(batches: list[Batch]) -> RegimeTracker:
    tracker = RegimeTracker()
    for batch in batches:
        tracker.update(batch)
    return tracker


@given(trend=numbers, quick=numbers, drawdown=st.floats(0, 10), stress=st.floats(0, 5), before=st.sampled_from(PHASES))
def test_every_market_has_a_phase(trend: float, quick: float, drawdown: float, stress: float, before: str) -> None:
    assert classify(trend, quick, drawdown, stress, before) in PHASES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([0.002] * 60, "Euphoria"),
        ([-0.0012] * 60, "Dip"),
        ([-0.02] * 12, "Oh-Shit"),
        ([-0.0015] * 60 + [0.0014] * 26, "Recover"),
        ([-0.0015] * 60 + [0.0014] * 26 + [-0.0015] * 16, "Double-Dip"),
    ],
)
def test_the_micro_phase_follows_what_happens(moves: list[float], expected: str) -> None:
    calm = [0.002 * math.sin(i * i) for i in range(2 * DAY_BARS)]
    assert tracked(market_of(calm + moves)).scope("A")["micro_phase"] == expected


def test_phases_last() -> None:
    market, tracker = SimulatedMarket(1), RegimeTracker()
    spells = dict.fromkeys(HORIZONS, 0)
    now: dict[str, object] = {}
    for _ in range(4000):
        tracker.update(market.next())
        for horizon in HORIZONS:
            phase = tracker.state.gauges[horizon].phase
            spells[horizon] += now.get(horizon) != phase
            now[horizon] = phase
    mean_bars = {horizon: 4000 / count for horizon, count in spells.items()}
    assert mean_bars["macro"] > mean_bars["meso"] > mean_bars["micro"] > 6


def test_the_leader_is_the_bucket_that_gains() -> None:
    tracker = tracked(market_of([0.0] * (2 * DAY_BARS), lead="B"))
    assert tracker.scope("B")["bucket_leader"] == "micro"
    assert tracker.scope("B")["bucket_rank_position"] == tracker.rank("B") == 1
    assert {tracker.rank(symbol) for symbol in "ABCDE"} == {1, 2, 3, 4, 5}


def test_buckets_are_known_after_the_first_midnight() -> None:
    batches = market_of([0.0] * (DAY_BARS + 1))
    tracker = tracked(batches[: DAY_BARS - 1])
    assert tracker.bucket("A") is None
    tracker.update(batches[DAY_BARS - 1])
    assert [tracker.bucket(symbol) for symbol in "ABCDE"] == ["nano", "micro", "mid", "big", "large"]


def test_a_symbol_that_pauses_keeps_its_bucket() -> None:
    batches = market_of([0.0] * (3 * DAY_BARS))
    without = [
        Batch(b.open_at_ms, {s: c for s, c in b.candles.items() if s != "C" or i < DAY_BARS})
        for i, b in enumerate(batches)
    ]
    tracker = tracked(without)
    assert tracker.bucket("C") == "mid"
    assert tracker.scope("C")["bucket"] == "mid"


@given(traded=st.dictionaries(st.text("ABCDEFGH", min_size=1), st.floats(1, 1e9), min_size=1, max_size=14))
def test_buckets_are_fifths_in_the_order_of_traded_value(traded: dict[str, float]) -> None:
    order = ["nano", "micro", "mid", "big", "large"]
    places = [order.index(bucket) for bucket in cap_buckets(traded).values()]
    assert places == sorted(places)
    sizes = [places.count(i) for i in set(places)]
    assert max(sizes) - min(sizes) <= 1
    ranked = list(cap_buckets(traded))
    assert [traded[s] for s in ranked] == sorted(traded.values())


def test_every_scope_belongs_to_the_schema() -> None:
    tracker = RegimeTracker()
    for batch in days():
        tracker.update(batch)
        for symbol in batch.candles:
            if tracker.bucket(symbol) is not None:
                scope = tracker.scope(symbol)
                known, ignored = DEFAULT_SCHEMA.normalise(scope, "pm")
                assert (known, ignored) == (scope, ())
    assert all(-1.0 <= score <= 1.0 for score in (tracker.scores.macro_score, tracker.scores.micro_score) if score)
