"""What comes of a trade: costs are paid on both sides, rr knows no size, a stop fills where it stands or worse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.resample import Bar
from app.paper.trade import COST_FRAC, Position, Stops, TapeBar, opened, result, stop_level

STOPS = Stops(6.0, 1.0)
prices = st.floats(50.0, 200.0)


def tape_bar(i: int, open_: float, high: float, low: float, close: float) -> TapeBar:
    return TapeBar(Bar(1_515_560_400_000 + i * 300_000, open_, high, low, close, 1.0), STOPS)


def bought(frac: float = 0.1, *, waited: int = 0) -> Position:
    tape = [tape_bar(i, 99.0, 101.0, 98.0, 100.0) for i in range(waited + 1)]
    return opened(
        trade_id="t",
        symbol="A",
        timeframe="5m",
        conviction=(0.5, 0.5),
        tape=tape,
        r_price=5.0,
        base_frac=frac,
        real_frac=frac,
        rest_frac=frac,
    )


def sold(position: Position, price: float) -> Position:
    position.stake.sell(position.stake.held, price)
    return position


def test_a_round_trip_pays_the_costs_of_both_sides() -> None:
    position = sold(bought(), 110.0)
    assert position.rr == pytest.approx((110.0 * (1 - COST_FRAC) - 100.0 * (1 + COST_FRAC)) / 5.0)


@given(frac=st.floats(0.001, 1.0), price=prices, half=prices)
def test_rr_does_not_depend_on_size(frac: float, price: float, half: float) -> None:
    one, other = bought(0.1), bought(frac)
    for position in (one, other):
        position.stake.sell(position.stake.held / 2.0, half)
        sold(position, price)
    assert one.rr == pytest.approx(other.rr, abs=1e-9)


@given(entry=prices, high=prices, distance=st.floats(0.1, 30), mult=st.floats(0.5, 2), r_price=st.floats(0.1, 30))
def test_the_nearer_stop_is_the_one(entry: float, high: float, distance: float, mult: float, r_price: float) -> None:
    price, which = stop_level(entry, r_price, high, Stops(distance, mult))
    both = {"trail": high - distance * mult, "stop": entry - r_price}
    assert price == max(both.values()) == both[which]


def test_the_result_of_a_trade_that_is_sold_at_a_close() -> None:
    position = bought()
    position.tape += [tape_bar(1, 100.0, 103.0, 97.0, 102.0), tape_bar(2, 102.0, 112.0, 101.0, 108.0)]
    came = result(sold(position, 108.0), 108.0, at_close=True)
    assert came.rr == position.rr
    assert came.max_drawdown_frac == pytest.approx(0.03)
    assert came.max_gain_frac == pytest.approx(0.12)
    assert came.payback_ms == 600_000
    assert (came.missed_entry_rr, came.best_entry_bars) == (pytest.approx(0.6), 1)
    assert (came.missed_exit_rr, came.best_exit_bars) == (pytest.approx(0.8), 0)


def test_of_the_bar_that_hits_the_stop_only_what_came_before_counts() -> None:
    position = bought()
    position.tape += [tape_bar(1, 100.0, 104.0, 99.0, 103.0), tape_bar(2, 102.0, 120.0, 80.0, 90.0)]
    came = result(sold(position, 97.0), 97.0, at_close=False)
    assert came.max_gain_frac == pytest.approx(0.04)
    assert came.max_drawdown_frac == pytest.approx(0.03)
    assert came.payback_ms is None
    assert (came.missed_exit_rr, came.best_exit_bars) == (pytest.approx(1.4), 1)


def test_bars_that_were_waited_for_are_no_part_of_the_result() -> None:
    position = bought(waited=2)
    position.tape.append(tape_bar(3, 100.0, 100.5, 99.5, 100.0))
    came = result(sold(position, 100.0), 100.0, at_close=True)
    assert position.entered == 2
    assert came.max_gain_frac == pytest.approx(0.005)
    assert position.opened_at_ms == position.tape[2].bar.close_at_ms
