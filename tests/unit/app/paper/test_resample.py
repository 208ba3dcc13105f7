"""Bars of longer timeframes are those of the clock, whatever is missing."""

from hypothesis import given
from hypothesis import strategies as st

from app.paper.candles import BAR_MS, Batch, Candle
from app.paper.resample import TIMEFRAMES, Bar, Resampler

T0 = 1_515_560_400_000 // 3_600_000 * 3_600_000
prices = st.floats(0.5, 2.0)


@st.composite
def markets(draw: st.DrawFn) -> list[Batch]:
    batches = []
    for place in sorted(draw(st.sets(st.integers(0, 40), max_size=30))):
        candles = {}
        for symbol in sorted(draw(st.sets(st.sampled_from("AB"), min_size=1))):
            four = sorted(draw(st.tuples(prices, prices, prices, prices)))
            at_ms = T0 + place * BAR_MS
            candles[symbol] = Candle(at_ms, four[1], four[3], four[0], four[2], draw(st.floats(0, 9)))
        batches.append(Batch(T0 + place * BAR_MS, candles))
    return batches


def resampled(batches: list[Batch]) -> list[tuple[str, str, Bar]]:
    resampler, out = Resampler(), []
    for batch in batches:
        out += resampler.finished(batch.open_at_ms)
        resampler.add(batch)
        done = list(resampler.finished(batch.close_at_ms))
        assert all(bar.close_at_ms <= batch.close_at_ms for _, _, bar in done), "handed out before it was over"
        out += done
    return out + list(resampler.finished(T0 + 10**9))


@given(batches=markets())
def test_every_bar_is_the_sum_of_its_five_minutes(batches: list[Batch]) -> None:
    expected: dict[tuple[str, str, int], Bar] = {}
    for timeframe, length_ms in TIMEFRAMES.items():
        for symbol in "AB":
            inside: dict[int, list[Candle]] = {}
            for batch in batches:
                if symbol in batch.candles:
                    end = (batch.open_at_ms // length_ms + 1) * length_ms
                    inside.setdefault(end, []).append(batch.candles[symbol])
            for end, parts in inside.items():
                total = 0.0
                for part in parts:
                    total += part.volume
                high, low = max(c.high for c in parts), min(c.low for c in parts)
                expected[symbol, timeframe, end] = Bar(end, parts[0].open, high, low, parts[-1].close, total)
    found = resampled(batches)
    assert {(s, t, bar.close_at_ms): bar for s, t, bar in found} == expected
    assert len(found) == len(expected)
    order = [(bar.close_at_ms, TIMEFRAMES[t], s) for s, t, bar in found]
    assert order == sorted(order)
