"""Bars of longer timeframes, made of five-minute bars by the clock and not by counting: gaps do not shift them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from app.paper.candles import Batch, Candle

__all__ = ["TIMEFRAMES", "Bar", "Resampler"]

TIMEFRAMES: Final[dict[str, int]] = {"5m": 300_000, "15m": 900_000, "1h": 3_600_000}
"""Timeframe -> length in milliseconds, shortest first."""


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One finished bar of a timeframe; it is known at `close_at_ms`."""

    close_at_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Resampler:
    """Collects five-minute bars and hands out the bars of every timeframe once they are over.

    A bar is over when event time has passed its end, whether or not its last five minutes traded; a bar
    in which nothing traded does not exist.

    Examples
    --------
    >>> r = Resampler()
    >>> r.add(Batch(0, {"A": Candle(0, 1.0, 2.0, 0.5, 1.5, 10.0)}))
    >>> [(symbol, timeframe) for symbol, timeframe, _ in r.finished(300_000)]
    [('A', '5m')]
    """

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Bar]] = {timeframe: {} for timeframe in TIMEFRAMES}
        """Timeframe -> symbol -> the bar under way: the state, for a checkpoint."""

    def add(self, batch: Batch) -> None:
        """Take in a step; `finished` must have been asked up to its opening before."""
        for timeframe, length_ms in TIMEFRAMES.items():
            close_at_ms = (batch.open_at_ms // length_ms + 1) * length_ms
            under_way = self.open[timeframe]
            for symbol, candle in batch.candles.items():
                under_way[symbol] = _joined(under_way.get(symbol), candle, close_at_ms)

    def finished(self, at_ms: int) -> Iterator[tuple[str, str, Bar]]:
        """Hand out, once, every bar that is over at `at_ms`: by end, then timeframe, then symbol."""
        ready = [
            (bar.close_at_ms, place, symbol, timeframe)
            for place, (timeframe, bars) in enumerate(self.open.items())
            for symbol, bar in bars.items()
            if bar.close_at_ms <= at_ms
        ]
        for _, _, symbol, timeframe in sorted(ready):
            yield symbol, timeframe, self.open[timeframe].pop(symbol)


def _joined(bar: Bar | None, candle: Candle, close_at_ms: int) -> Bar:
    if bar is None:
        return Bar(close_at_ms, candle.open, candle.high, candle.low, candle.close, candle.volume)
    high, low = max(bar.high, candle.high), min(bar.low, candle.low)
    return Bar(close_at_ms, bar.open, high, low, candle.close, bar.volume + candle.volume)
