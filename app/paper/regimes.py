"""Regimes: the phases of the market, its leading bucket and each symbol's bucket, from past candles only.

1. The market is the equal-weighted index of log returns. Each horizon looks at it through its own
   memory: trend is the index less its moving average, in standard deviations of a random walk.
2. A phase has to show for a twelfth of its horizon before it is declared, so that phases last.
3. A dip out of a recovery is a Double-Dip; it stays one until the market leaves it upwards.
4. Paper markets know no market capitalisation: buckets are fifths of the symbols by the value traded on
   the day before, set anew at midnight UTC.
5. Buckets are ranked every twelve hours, by the mean strength of their symbols against the market: two
   symbols make a bucket, and a rank that followed each hour would follow the trade that it is logged with.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from app.paper.candles import BAR_MS, Batch
from leverloop.events import Regime
from leverloop.regime import BUCKETS, PORTFOLIO, Horizon, PhaseRecord, regime_scope
from leverloop.scope import Scope

__all__ = ["HORIZONS", "Phase", "RegimeState", "RegimeTracker", "cap_buckets", "classify", "market_family"]

Phase = Literal["Good", "Recover", "Dip", "Double-Dip", "Oh-Shit", "Euphoria", "Chop"]
_BUCKETS: Final = BUCKETS[:5]  # fifths: there is no xl
HORIZONS: Final[dict[Horizon, int]] = {"macro": 720, "meso": 144, "micro": 36}
"""Memory in bars of five minutes: two and a half days, twelve hours, three hours."""
_INTERVALS_MS: Final[dict[Horizon, int]] = dict.fromkeys(HORIZONS, BAR_MS)
_DAY_MS: Final = 86_400_000
_RANKING_MS: Final = _DAY_MS // 2
_VOL_BARS: Final = 2_016.0  # a week: the volatility that trends and stress are measured in
_FIRST_VARIANCE: Final = 0.002**2  # of a bar, until the first bars tell
_MAJORS: Final = frozenset({"BTC", "ETH", "LTC", "XRP", "BCH", "HEN", "JAY"})


class _Gauge(msgspec.Struct):
    """One horizon's view of the index."""

    memory_bars: int
    slow: float = 0.0
    quick: float = 0.0
    peak: float = 0.0
    variance: float = _FIRST_VARIANCE
    score: float = 0.0
    slope: float = 0.0
    phase: Phase = "Chop"
    before: Phase = "Chop"
    coming: Phase = "Chop"
    coming_bars: int = 0


class _Symbol(msgspec.Struct):
    close: float
    level: float = 0.0
    """Log price less the index, since the start."""
    slow: float = 0.0
    traded: float = 0.0
    """Value traded since midnight."""


class RegimeState(msgspec.Struct):
    """Everything that a `RegimeTracker` knows."""

    gauges: dict[Horizon, _Gauge]
    symbols: dict[str, _Symbol] = {}
    buckets: dict[str, str] = {}
    ranks: dict[str, int] = {}
    """Bucket -> 1-based rank by strength."""
    strengths: dict[str, float] = {}
    slopes: dict[str, float] = {}
    index: float = 0.0
    variance: float = _FIRST_VARIANCE
    bars: int = 0
    at_ms: int = 0


def classify(trend: float, quick: float, drawdown: float, stress: float, before: Phase) -> Phase:
    """Phase of a market.

    Parameters
    ----------
    trend, quick
        Index less its average over the horizon, and over a quarter of it, in standard deviations.
    drawdown
        Distance from the last peak, in standard deviations of the horizon.
    stress
        Volatility of late over the usual one.
    before
        Phase that the market is in.

    Examples
    --------
    >>> classify(2.0, 1.0, 0.0, 1.0, "Good"), classify(-2.0, -1.0, 3.0, 1.6, "Dip")
    ('Euphoria', 'Oh-Shit')
    >>> classify(-1.0, -1.0, 2.0, 1.0, "Recover"), classify(0.0, 0.5, 2.0, 1.0, "Dip")
    ('Double-Dip', 'Recover')
    """
    if trend < -1.3 and stress > 1.25:
        return "Oh-Shit"
    if trend < -0.5:
        return "Double-Dip" if before in ("Recover", "Double-Dip") else "Dip"
    if trend > 1.5:
        return "Euphoria"
    if drawdown > 1.2 and quick > 0.0:
        return "Recover"
    return "Good" if trend > 0.3 else "Chop"


def cap_buckets(traded: dict[str, float]) -> dict[str, str]:
    """Bucket of each symbol: fifths by traded value, the least traded in nano.

    Examples
    --------
    >>> cap_buckets({"A": 5.0, "B": 1.0, "C": 9.0, "D": 2.0, "E": 3.0})
    {'B': 'nano', 'D': 'micro', 'E': 'mid', 'A': 'big', 'C': 'large'}
    """
    ranked = sorted(traded, key=lambda symbol: (traded[symbol], symbol))
    return {symbol: _BUCKETS[i * len(_BUCKETS) // len(ranked)] for i, symbol in enumerate(ranked)}


def market_family(symbol: str) -> str:
    """Family of a symbol, by its name: perpetuals end in -PERP, majors are the well-known coins.

    Examples
    --------
    >>> [market_family(symbol) for symbol in ("ELK-PERP", "ETH-BTC", "XLM-BTC")]
    ['perps', 'majors', 'lowcaps']
    """
    if symbol.endswith("-PERP"):
        return "perps"
    return "majors" if symbol.partition("-")[0] in _MAJORS else "lowcaps"


class RegimeTracker:
    """Follows a market batch by batch; everything it says rests on the batches seen so far."""

    def __init__(self) -> None:
        self._state = RegimeState({name: _Gauge(bars) for name, bars in HORIZONS.items()})
        self._portfolio: Scope | None = None  # phases, until the next bar

    @property
    def state(self) -> RegimeState:
        """State, for a checkpoint."""
        return self._state

    @state.setter
    def state(self, state: RegimeState) -> None:
        self._state, self._portfolio = state, None

    def update(self, batch: Batch) -> None:
        """Take the bars of one step into account."""
        state, self._portfolio = self._state, None
        moves = _moves(state, batch)
        move = sum(moves.values()) / len(moves) if moves else 0.0
        state.index += move
        state.variance += (move * move - state.variance) / min(_VOL_BARS, state.bars + 20.0)
        for gauge in state.gauges.values():
            _look(gauge, state.index, move, state.variance)
        for name, own in moves.items():
            symbol = state.symbols[name]
            symbol.level += own - move
            symbol.slow += (symbol.level - symbol.slow) / HORIZONS["meso"]
        state.bars += 1
        state.at_ms = batch.close_at_ms
        if state.at_ms % _DAY_MS == 0:
            _allot(state)
        if state.at_ms % _RANKING_MS == 0 and state.buckets:
            _rank(state)

    @property
    def scores(self) -> Regime:
        """Scores of the regime, as an ActionLogged carries them."""
        state = self._state
        leader = min(state.ranks, key=lambda bucket: state.ranks[bucket], default=None)
        return Regime(
            macro_score=round(state.gauges["macro"].score, 4),
            meso_score=round(state.gauges["meso"].score, 4),
            micro_score=round(state.gauges["micro"].score, 4),
            leader_slope=None if leader is None else round(state.slopes[leader], 4),
            leader_confidence=None if leader is None else round(min(1.0, abs(state.strengths[leader])), 4),
        )

    def scope(self, symbol: str) -> Scope:
        """Regime part of the scope of a symbol that has a bucket; what is not known yet is left out.

        Notes
        -----
        The client's helper leaves out buckets of fewer than eight tokens, for a median of three is
        noise; a paper market has two to a bucket, and ranks them all the same.
        """
        state, bucket = self._state, self._state.buckets[symbol]
        if self._portfolio is None:
            self._portfolio = regime_scope(self._phase_records(), at_ms=state.at_ms, interval_ms=_INTERVALS_MS)
        part = dict(self._portfolio)
        if state.ranks:
            part["bucket_leader"] = min(state.ranks, key=lambda name: state.ranks[name])
            part["bucket_rank_position"] = state.ranks[bucket]
        return part | {"market_family": market_family(symbol), "bucket": bucket}

    def bucket(self, symbol: str) -> str | None:
        """Bucket of a symbol; None before its first full day."""
        return self._state.buckets.get(symbol)

    def rank(self, symbol: str) -> int | None:
        """Place of the symbol's bucket among the buckets, from 1; None before the first ranking."""
        return self._state.ranks.get(self._state.buckets[symbol])

    def _phase_records(self) -> list[PhaseRecord]:
        state = self._state
        return [
            PhaseRecord(
                bucket=PORTFOLIO, horizon=horizon, phase=gauge.phase, score=gauge.score, slope=gauge.slope,
                population=len(state.symbols), at_ms=state.at_ms,
            )
            for horizon, gauge in state.gauges.items()
        ]  # fmt: skip


def _moves(state: RegimeState, batch: Batch) -> dict[str, float]:
    """Log return of each symbol since its last bar; a symbol's first bar has none."""
    moves: dict[str, float] = {}
    for name, candle in batch.candles.items():
        symbol = state.symbols.get(name)
        if symbol is None:
            symbol = state.symbols[name] = _Symbol(candle.close)
        else:
            moves[name] = math.log(candle.close / symbol.close)
        symbol.close = candle.close
        symbol.traded += candle.volume * candle.close
    return moves


def _look(gauge: _Gauge, index: float, move: float, variance: float) -> None:
    memory = gauge.memory_bars
    gauge.slow += (index - gauge.slow) / memory
    gauge.quick += 4.0 * (index - gauge.quick) / memory
    gauge.peak = max(index, gauge.peak + (gauge.slow - gauge.peak) / (4.0 * memory))
    gauge.variance += 4.0 * (move * move - gauge.variance) / memory
    # The distance of a random walk from its exponential average of memory m has variance m / 2 steps.
    unit = math.sqrt(variance * memory / 2.0)
    trend, quick = (index - gauge.slow) / unit, 2.0 * (index - gauge.quick) / unit
    score = math.tanh(trend / 1.5)
    gauge.slope += 4.0 * (score - gauge.score - gauge.slope) / memory
    gauge.score = score
    seen = classify(trend, quick, (gauge.peak - index) / unit, math.sqrt(gauge.variance / variance), gauge.phase)
    gauge.coming_bars = gauge.coming_bars + 1 if seen == gauge.coming else 1
    gauge.coming = seen
    if seen != gauge.phase and gauge.coming_bars >= memory / 12.0:
        gauge.before, gauge.phase = gauge.phase, seen


def _allot(state: RegimeState) -> None:
    traded = {name: symbol.traded for name, symbol in state.symbols.items() if symbol.traded > 0.0}
    state.buckets |= cap_buckets(traded)  # a symbol that did not trade stays where it was
    for symbol in state.symbols.values():
        symbol.traded = 0.0


def _rank(state: RegimeState) -> None:
    unit = math.sqrt(state.variance * HORIZONS["meso"] / 2.0)
    strengths: dict[str, list[float]] = {}
    for name, bucket in state.buckets.items():
        symbol = state.symbols[name]
        strengths.setdefault(bucket, []).append((symbol.level - symbol.slow) / unit)
    before = state.strengths
    state.strengths = {b: math.tanh(sum(strengths[b]) / len(strengths[b]) / 1.5) for b in _BUCKETS if b in strengths}
    state.slopes = {bucket: score - before.get(bucket, score) for bucket, score in state.strengths.items()}
    ranked = sorted(state.strengths, key=lambda bucket: (-state.strengths[bucket], _BUCKETS.index(bucket)))
    state.ranks = {bucket: place for place, bucket in enumerate(ranked, start=1)}
