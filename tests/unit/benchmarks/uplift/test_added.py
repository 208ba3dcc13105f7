from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.uplift.added import per_size, per_trade

T_1, T_3 = 12.706204736, 3.182446305
"""Student's t at 97.5 %, with 1 and with 3 degrees of freedom."""
M = np.array([1.3, 1.0, 0.7, 1.0])
RR = np.array([2.0, 1.0, -1.0, 0.0])

trade = st.tuples(st.floats(0.7, 1.3), st.floats(-10, 10), st.integers(0, 60))
trades = st.lists(trade, min_size=2, max_size=60)


def columns(drawn: list[Any]) -> tuple[Any, Any, Any]:
    m, rr, day = zip(*drawn, strict=True)
    return np.array(m), np.array(rr), np.array(day, dtype=np.int64)


def test_per_trade_by_hand_each_trade_on_a_day_of_its_own() -> None:
    # added 0.6, 0, 0.3, 0; less the mean: 0.375, -0.225, 0.075, -0.225, whose squares sum to 0.2475
    found = per_trade(M, RR, np.arange(4))
    reach = T_3 * (0.2475 * 4 / 3) ** 0.5 / 4
    assert (found.rr, found.low, found.high) == pytest.approx((0.225, 0.225 - reach, 0.225 + reach))
    assert found.n_clusters == 4


def test_per_trade_by_hand_two_days() -> None:
    # the days' sums are 0.15 and -0.15
    found = per_trade(M, RR, np.array([7, 7, 9, 9]))
    reach = T_1 * (2 * 0.15**2 * 2) ** 0.5 / 4
    assert (found.rr, found.low, found.high) == pytest.approx((0.225, 0.225 - reach, 0.225 + reach))
    assert found.n_clusters == 2


def test_per_size_by_hand_two_days() -> None:
    # 2.9 / 4 - 0.5; scores 0.1575, -0.225, 0.2925, -0.225: the days' sums are -0.0675 and 0.0675
    found = per_size(M, RR, np.array([7, 7, 9, 9]))
    reach = T_1 * (2 * 0.0675**2 * 2) ** 0.5 / 4
    assert (found.rr, found.low, found.high) == pytest.approx((0.225, 0.225 - reach, 0.225 + reach))


def test_one_day_tells_nothing_of_the_error() -> None:
    found = per_trade(M, RR, np.zeros(4, dtype=np.int64))
    assert (found.low, found.high) == (-np.inf, np.inf)


@given(trades)
def test_sizes_as_usual_add_exactly_nothing(drawn: list[Any]) -> None:
    m, rr, day = columns(drawn)
    for measure in (per_trade, per_size):
        found = measure(np.ones(len(m)), rr, day)
        assert found.rr == pytest.approx(0.0, abs=1e-12)
        if found.n_clusters > 1:
            assert found.high - found.low == pytest.approx(0.0, abs=1e-9)


@given(trades, st.floats(0.5, 2.0))
def test_a_book_larger_by_one_factor_is_no_better_per_unit_of_size(drawn: list[Any], factor: float) -> None:
    m, rr, day = columns(drawn)
    one, other = per_size(m, rr, day), per_size(factor * m, rr, day)
    assert other.rr == pytest.approx(one.rr, abs=1e-9)


@given(trades, st.randoms(use_true_random=False))
def test_the_order_of_trades_does_not_matter(drawn: list[Any], random: Any) -> None:
    shuffled = list(drawn)
    random.shuffle(shuffled)
    for measure in (per_trade, per_size):
        one, other = measure(*columns(drawn)), measure(*columns(shuffled))
        assert (other.rr, other.low, other.high) == pytest.approx((one.rr, one.low, one.high), abs=1e-6)


@given(trades)
def test_the_estimate_lies_in_its_interval(drawn: list[Any]) -> None:
    for measure in (per_trade, per_size):
        found = measure(*columns(drawn))
        assert found.low <= found.rr <= found.high
