"""Indicators are what their names say, on any bars, and know nothing of the bars to come."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.indicators import WARM_UP_BARS, Reading, Track, read
from app.paper.resample import Bar


def bar(i: int, open_: float, high: float, low: float, close: float, volume: float = 1.0) -> Bar:
    return Bar(1_515_560_400_000 + i * 300_000, open_, high, low, close, volume)


def path(moves: list[float]) -> list[Bar]:
    bars, price = [], 100.0
    for i, move in enumerate(moves):
        after = price * math.exp(move)
        bars.append(bar(i, price, max(price, after) * 1.001, min(price, after) * 0.999, after, 1.0 + abs(move)))
        price = after
    return bars


def read_all(bars: list[Bar]) -> list[Reading | None]:
    track = Track()
    return [read(track, b) for b in bars]


@given(moves=st.lists(st.floats(-0.2, 0.2), min_size=WARM_UP_BARS + 1, max_size=WARM_UP_BARS + 60))
def test_signals_stay_in_their_range_and_wait_for_the_averages(moves: list[float]) -> None:
    readings = read_all(path(moves))
    assert readings[:WARM_UP_BARS] == [None] * WARM_UP_BARS
    for reading in readings[WARM_UP_BARS:]:
        assert reading is not None
        assert all(0.0 <= reading.signals[name] <= 1.0 for name in ("TS", "OX", "DX", "EDX"))
        assert math.isfinite(reading.signals["OBV_z"])
        assert reading.atr > 0.0


def test_averages_and_ranges_are_those_of_the_definition() -> None:
    moves = [0.01 * math.sin(i * i) for i in range(90)]
    bars = path(moves)
    reading = read_all(bars)[-1]
    assert reading is not None
    fast = bars[0].open
    atr, before = bars[0].high - bars[0].low, bars[0].open
    for b in bars:
        fast += 2.0 / 9.0 * (b.close - fast)
        atr += (max(b.high, before) - min(b.low, before) - atr) / 14.0
        before = b.close
    assert reading.fast == pytest.approx(fast, rel=1e-12)
    assert reading.atr == pytest.approx(atr, rel=1e-12)
    assert reading.high_before == max(b.high for b in bars[-21:-1])
    assert reading.flag_atr == pytest.approx((max(b.high for b in bars[-9:-1]) - min(b.low for b in bars[-9:-1])) / atr)


def test_a_rise_goes_through_the_states_and_strengthens_the_trend() -> None:
    falling, rising = [-0.002] * 80, [0.004, -0.0025] * 60
    readings = [r for r in read_all(path(falling + rising)) if r is not None]
    states = [r.state for r in readings]
    assert states[0] == "S0"
    assert sorted(set(states), key=states.index) == ["S0", "S1", "S2", "S3"]
    assert readings[0].signals["TS"] < 0.3
    assert readings[-1].signals["TS"] > 0.5
    assert readings[-1].signals["OBV_z"] > 0.0 > readings[0].signals["OBV_z"]


def test_a_dip_to_the_fast_average_is_counted_once() -> None:
    moves = [-0.002] * 70 + [0.004] * 12 + [-0.006] * 3 + [0.006] * 6
    readings = [r for r in read_all(path(moves)) if r is not None]
    assert [r.dips for r in readings if r.state != "S0"][-1] == 1
    bounces = [r for r in readings if r.bounced]
    assert len(bounces) >= 1


def test_a_market_that_stands_still_has_no_reading() -> None:
    track = Track()
    assert [read(track, bar(i, 1.0, 1.0, 1.0, 1.0)) for i in range(100)] == [None] * 100
