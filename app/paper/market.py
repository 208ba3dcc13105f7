"""The default market: ten simulated symbols whose regimes last, and in which breakouts sometimes hold.

What there is to be found is a property of the prices alone, whoever trades them:

1. The mood of the market (rally, mania, slide, crash, range) lasts for days. In a rally or a mania a
   move feeds on itself, so that a breakout follows through; in a range or a slide it is given back.
2. One bucket of symbols leads for days: it drifts ahead of the others and its moves persist longer.
3. The less is traded in a symbol, the more its moves feed on themselves; those of the large ones are given
   back. This is so in every mood.
4. Swings of hours and pulses of minutes push all symbols alike; nothing is to be learned from them.
5. Volatility is autocorrelated and shared; shocks are Student t with four degrees of freedom.

Every random number is a function of (seed, day), so that the state is a handful of floats and a market
that goes on from its state cannot be told from one that was never stopped.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.paper.candles import BAR_MS, Batch, Candle
from leverloop.errors import BadConfig

__all__ = ["START_AT_MS", "SYMBOLS", "Market", "SimulatedMarket"]

START_AT_MS: Final = 1_514_764_800_000
"""2018-01-01T00:00:00Z: years of event time before an accelerated run meets the wall clock."""

SYMBOLS: Final = (
    "ANT-SIM", "BEE-SIM", "CUB-SIM", "DOE-SIM", "ELK-PERP", "FOX-PERP", "GNU-SIM", "HEN-SIM", "IBX-PERP", "JAY-SIM",
)  # fmt: skip
_BARS_A_DAY: Final = 288
_BUCKETS: Final = 5
_STEPS: Final = 5  # price steps within a bar: high and low come from a path, not from a formula
_BUCKET_OF: Final = np.arange(len(SYMBOLS)) * _BUCKETS // len(SYMBOLS)
_TURNOVER_USD: Final = 2_000.0 * 5.0**_BUCKET_OF  # traded a bar, five times as much from bucket to bucket
_BETA: Final = np.linspace(1.25, 0.8, len(SYMBOLS))
_SIGMA: Final = np.linspace(0.0036, 0.0020, len(SYMBOLS))  # own volatility of a bar
_MARKET_SIGMA: Final = 0.0012
_T4_SCALE: Final = 1.0 / math.sqrt(2.0 * _STEPS)  # Student t(4) has variance 2
_LEVEL_TAU_BARS: Final = 60.0 * _BARS_A_DAY  # prices come back over months, or an endless run leaves the floats
_FAST, _SLOW = 1.0 / 12.0, 1.0 / 60.0  # memory of a move, in bars of 5m: one hour and five


class _Mood(msgspec.Struct, frozen=True):
    mean_days: float
    drift_day: float
    """Drift of the market, log return a day."""
    vol_mult: float
    persistence: float
    """Part of the recent move that each bar repeats; below 0 the move is given back."""
    then: tuple[tuple[str, float], ...]
    """What follows, with its probability."""


_MOODS: Final = {
    "rally": _Mood(5.0, 0.012, 0.9, 0.20, (("mania", 0.3), ("range", 0.4), ("slide", 0.3))),
    "mania": _Mood(2.0, 0.030, 1.4, 0.20, (("crash", 0.5), ("slide", 0.3), ("rally", 0.2))),
    "slide": _Mood(4.0, -0.020, 1.0, -0.30, (("range", 0.4), ("crash", 0.2), ("rally", 0.4))),
    "crash": _Mood(1.0, -0.080, 1.8, -0.20, (("range", 0.4), ("rally", 0.6))),
    "range": _Mood(4.0, 0.0, 0.8, -0.40, (("rally", 0.5), ("slide", 0.5))),
}
_OWN_PERSISTENCE: Final = (0.40 - 0.20 * _BUCKET_OF).astype(np.float64)  # small coins trend, large ones revert
_LEADER_MEAN_BARS: Final = 3.0 * _BARS_A_DAY
_LEADER_DRIFT_DAY: Final = 0.04
_LEADER_PERSISTENCE: Final = 0.30
_SWING = (10.0 * 12.0, 0.020)  # mean bars, log return a day
_PULSE = (2.0 * 12.0, 0.040)


class Market(Protocol):
    """A source of candles in time order that can go on where it was."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the market, sorted."""

    def next(self) -> Batch | None:
        """Return the bars of the next five-minute step; None at the end."""

    def state(self) -> bytes:
        """Everything that `restore` needs to go on behind the last batch."""

    def restore(self, raw: bytes) -> None:
        """Go on where the market with this state was; BadConfig for the state of another market."""


class _World(msgspec.Struct, tag="simulation"):
    """Where the simulation stands."""

    seed: int
    start_at_ms: int
    bar: int
    mood: str
    leader: int
    swing: float
    pulse: float
    log_vol: float
    log_price: list[float]
    fast_move: list[float]
    slow_move: list[float]


class _Draws(msgspec.Struct, frozen=True):
    """Random numbers of one day."""

    market: NDArray[np.float64]
    """(bars, steps) Student t."""
    own: NDArray[np.float64]
    """(bars, steps, symbols) Student t."""
    volume: NDArray[np.float64]
    """(bars, symbols) normal."""
    vol: NDArray[np.float64]
    """(bars,) normal."""
    change: NDArray[np.float64]
    """(bars, 8) uniform: whether and to what mood, leader, swing and pulse change."""


class SimulatedMarket:
    """Endless seeded market of ten symbols in five buckets of traded value.

    Parameters
    ----------
    seed
        Same seed, same candles, on one machine.
    start_at_ms
        Opening of the first bar, on a five-minute border.

    Examples
    --------
    >>> batch = SimulatedMarket(seed=1).next()
    >>> batch.open_at_ms == START_AT_MS, len(batch.candles)
    (True, 10)
    """

    def __init__(self, seed: int, start_at_ms: int = START_AT_MS) -> None:
        if start_at_ms % BAR_MS:
            raise BadConfig(f"start of the market: expected a five-minute border, was {start_at_ms}")
        zeros = [0.0] * len(SYMBOLS)
        self._world = _World(seed, start_at_ms, 0, "range", 1, 0.0, 0.0, 0.0, zeros, zeros, zeros)
        self._draws = (-1, _draws(seed, 0))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the market, sorted."""
        return SYMBOLS

    @property
    def mood(self) -> str:
        """Mood of the bar given out last: for tests and reports, a trader cannot know it."""
        return self._world.mood

    def state(self) -> bytes:
        """Everything that `restore` needs."""
        return msgspec.msgpack.encode(self._world)

    def restore(self, raw: bytes) -> None:
        """Go on where the market with this state was."""
        try:
            world = msgspec.msgpack.decode(raw, type=_World)
        except msgspec.DecodeError as error:
            raise BadConfig(f"the state is not one of a simulated market ({error})") from error
        ours = self._world
        if world.seed != ours.seed:
            raise BadConfig(f"the state belongs to --seed {world.seed}, not to --seed {ours.seed}")
        if world.start_at_ms != ours.start_at_ms:
            raise BadConfig(f"the state belongs to a market from {world.start_at_ms} on, not {ours.start_at_ms}")
        self._world = world

    def next(self) -> Batch:
        """Return the bars of the next five minutes: there always are some."""
        world = self._world
        day, bar = divmod(world.bar, _BARS_A_DAY)
        if self._draws[0] != day:
            self._draws = (day, _draws(world.seed, day))
        draws = self._draws[1]
        _turn(world, draws.change[bar].tolist())
        candles = _trade(world, draws, bar)
        world.bar += 1
        return Batch(candles[0].open_at_ms, dict(zip(SYMBOLS, candles, strict=True)))


def _draws(seed: int, day: int) -> _Draws:
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, day))))
    return _Draws(
        market=rng.standard_t(4, (_BARS_A_DAY, _STEPS)),
        own=rng.standard_t(4, (_BARS_A_DAY, _STEPS, len(SYMBOLS))),
        volume=rng.standard_normal((_BARS_A_DAY, len(SYMBOLS))),
        vol=rng.standard_normal(_BARS_A_DAY),
        change=rng.random((_BARS_A_DAY, 8)),
    )


def _turn(world: _World, change: list[float]) -> None:
    """Let mood, leader, swing and pulse go over into another, each in its own time."""
    mood = _MOODS[world.mood]
    if change[0] < 1.0 / (mood.mean_days * _BARS_A_DAY):
        world.mood = _chosen(mood.then, change[1])
    if change[2] < 1.0 / _LEADER_MEAN_BARS:
        world.leader = int(change[3] * _BUCKETS)
    if change[4] < 1.0 / _SWING[0]:
        world.swing = math.floor(change[5] * 3.0) - 1.0
    if change[6] < 1.0 / _PULSE[0]:
        world.pulse = math.floor(change[7] * 3.0) - 1.0


def _chosen(options: tuple[tuple[str, float], ...], uniform: float) -> str:
    for name, probability in options:
        uniform -= probability
        if uniform < 0.0:
            return name
    return options[-1][0]


def _trade(world: _World, draws: _Draws, bar: int) -> list[Candle]:
    """Move the prices by one bar; the candles in the order of `SYMBOLS`."""
    mood = _MOODS[world.mood]
    world.log_vol = 0.985 * world.log_vol + 0.06 * float(draws.vol[bar])
    vol = mood.vol_mult * math.exp(world.log_vol)
    price, fast, slow = np.array(world.log_price), np.array(world.fast_move), np.array(world.slow_move)
    leads = world.leader == _BUCKET_OF
    market_drift = mood.drift_day + world.swing * _SWING[1] + world.pulse * _PULSE[1]
    drift = (_BETA * market_drift + _LEADER_DRIFT_DAY * (leads - 1.0 / _BUCKETS)) / _BARS_A_DAY
    persistence = np.clip(mood.persistence + _OWN_PERSISTENCE + _LEADER_PERSISTENCE * leads, -0.9, 0.8)
    drift += persistence * 0.5 * (fast + slow) - price / _LEVEL_TAU_BARS
    shock = vol * _T4_SCALE * (_BETA * _MARKET_SIGMA * draws.market[bar][:, None] + _SIGMA * draws.own[bar])
    path = price + np.cumsum(drift / _STEPS + shock, axis=0)
    move = path[-1] - price
    turnover = _TURNOVER_USD * np.exp(0.5 * world.log_vol + 0.4 * draws.volume[bar]) * (1.0 + np.abs(move) / _SIGMA)
    world.log_price = path[-1].tolist()
    world.fast_move = (fast + _FAST * (move - fast)).tolist()
    world.slow_move = (slow + _SLOW * (move - slow)).tolist()
    columns = np.exp(np.stack((price, np.maximum(price, path.max(0)), np.minimum(price, path.min(0)), path[-1])))
    at_ms = world.start_at_ms + world.bar * BAR_MS
    rows = np.vstack((columns, turnover / columns[3])).T.tolist()
    return [Candle(at_ms, *row) for row in rows]
