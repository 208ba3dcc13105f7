"""The simulated market is the same for a seed, goes on from its state, and has in it what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    with pytest.raises(BadConfig, match="the state is of seed and start"):
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


def test_moves_go_on_in_a_rally_and_are_given_back_in_a_range() -> None:
    """What the next four hours owe to the last four: the sign is the mood's, not the trader's."""
    owed: dict[str, list[float]] = {"rally": [], "mania": [], "range": [], "slide": []}
    for seed in (1, 2):
        market = SimulatedMarket(seed)
        closes, moods = [], []
        for _ in range(6000):
            closes.append([candle.close for candle in market.next().candles.values()])
            moods.append(market.mood)
        # Own moves: the market's drift would be the same for all, and is taken out.
        price = np.log(np.array(closes))
        price -= price.mean(1, keepdims=True)
        for mood, found in owed.items():
            at = [i for i in range(48, 5952) if moods[i] == mood and moods[i + 48] == mood]
            if at:
                past, future = price[at] - price[np.subtract(at, 48)], price[np.add(at, 48)] - price[at]
                found.append(float((past * future).sum() / (past * past).sum()))
    assert min(owed["rally"] + owed["mania"]) > max(owed["range"] + owed["slide"])
    assert np.mean(owed["rally"]) > 0.0 > np.mean(owed["range"])


def test_volatility_comes_in_clusters_and_shocks_have_heavy_tails() -> None:
    closes = np.array([[c.close for c in b.candles.values()] for b in take(SimulatedMarket(1), 4000)])
    moves = np.diff(np.log(closes), axis=0)
    for column in moves.T:
        size = np.abs(column)
        assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.05
        assert ((column - column.mean()) ** 4).mean() / column.var() ** 2 > 4.0
