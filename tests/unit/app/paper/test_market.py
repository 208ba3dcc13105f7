"""The simulated market is the same for a seed, goes on from its state, and has in it what it says."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.paper.candles import BAR_MS, Batch
from app.paper.market import START_AT_MS, SYMBOLS, SimulatedMarket
from leverloop.errors import BadConfig


def take(market: SimulatedMarket, count: int) -> list[Batch]:
    return [market.next() for _ in range(count)]


def test_a_seed_is_a_market() -> None:
    assert take(SimulatedMarket(7), 300) == take(SimulatedMarket(7), 300)
    assert take(SimulatedMarket(7), 1) != take(SimulatedMarket(8), 1)


@settings(max_examples=20)
@given(cut=st.integers(0, 600))
def test_a_market_goes_on_behind_any_bar(cut: int) -> None:
    first, second = SimulatedMarket(5), SimulatedMarket(5)
    take(first, cut)
    second.restore(first.state())
    assert take(second, 20) == take(first, 20)


@pytest.mark.parametrize("other", [SimulatedMarket(6), SimulatedMarket(5, START_AT_MS + BAR_MS)])
def test_the_state_of_another_market_is_refused(other: SimulatedMarket) -> None:
    with pytest.raises(BadConfig, match=r"the state belongs to (--seed 6, not to --seed 5|a market from)"):
        SimulatedMarket(5).restore(other.state())
    with pytest.raises(BadConfig, match="not one of a simulated market"):
        SimulatedMarket(5).restore(b"\x80")


def test_a_start_between_bars_is_refused() -> None:
    with pytest.raises(BadConfig, match="five-minute border"):
        SimulatedMarket(5, START_AT_MS + 1)


def test_bars_are_bars_of_one_path() -> None:
    batches = take(SimulatedMarket(2), 500)
    for i, batch in enumerate(batches):
        assert batch.open_at_ms == START_AT_MS + i * BAR_MS
        assert tuple(batch.candles) == SYMBOLS
        for symbol, c in batch.candles.items():
            assert 0.0 < c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high
            assert c.volume > 0.0
            if i:
                assert c.open == pytest.approx(batches[i - 1].candles[symbol].close, rel=1e-12)


def owed(mood_of: Callable[[str], bool] = lambda _: True, buckets: slice = slice(None)) -> float:
    """What the next four hours owe to the last four, in the spread between the two symbols of a bucket.

    The market's and the leader's drift are the same for both: what is left is what moves do by themselves.
    """
    products, squares = 0.0, 0.0
    for seed in (1, 2, 3):
        spread, moods = history(seed)
        at = [i for i in range(48, len(moods) - 48) if mood_of(moods[i]) and mood_of(moods[i + 48])]
        past = (spread[at] - spread[np.subtract(at, 48)])[:, buckets]
        future = (spread[np.add(at, 48)] - spread[at])[:, buckets]
        products += float((past * future).sum())
        squares += float((past * past).sum())
    return products / squares


@cache
def history(seed: int) -> tuple[NDArray[np.float64], list[str]]:
    """Spreads of log prices within the five buckets, and the moods."""
    market, closes, moods = SimulatedMarket(seed), [], []
    for _ in range(6000):
        closes.append([candle.close for candle in market.next().candles.values()])
        moods.append(market.mood)
    price = np.log(np.array(closes))
    return price[:, ::2] - price[:, 1::2], moods


def test_moves_go_on_in_a_rally_and_are_given_back_in_a_range() -> None:
    for i in range(5):
        bucket = slice(i, i + 1)
        trending = owed(lambda mood: mood in ("rally", "mania"), bucket)
        assert trending > owed(lambda mood: mood in ("range", "slide"), bucket)
    assert owed(lambda mood: mood == "rally") > 0.05
    assert owed(lambda mood: mood == "range", slice(2, None)) < -0.05


def test_moves_go_on_in_small_coins_and_are_given_back_in_large_ones() -> None:
    by_bucket = [owed(buckets=slice(i, i + 1)) for i in range(5)]
    assert by_bucket[0] > 0.05
    assert by_bucket[-1] < -0.05
    assert by_bucket[0] > by_bucket[2] > by_bucket[-1]


def test_volatility_comes_in_clusters_and_shocks_have_heavy_tails() -> None:
    closes = np.array([[c.close for c in b.candles.values()] for b in take(SimulatedMarket(1), 4000)])
    moves = np.diff(np.log(closes), axis=0)
    for column in moves.T:
        size = np.abs(column)
        assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.05
        assert ((column - column.mean()) ** 4).mean() / column.var() ** 2 > 4.0
