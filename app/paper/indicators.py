"""Indicators of one symbol on one timeframe, updated bar by bar, and the reading a strategy acts on.

States: S0 no uptrend (fast average under the middle one); S1 a young one; S2 all three averages in
order; S3 as S2 and far above the slow average. Signals lie in [0, 1]: TS strength of the trend, OX
overextension, DX depth of the dip, EDX exhaustion; OBV_z is the z-score of the on-balance volume.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from app.paper.resample import Bar

__all__ = ["WARM_UP_BARS", "Reading", "State", "Track", "read"]

State = Literal["S0", "S1", "S2", "S3"]
WARM_UP_BARS: Final = 60
_FAST, _MID, _SLOW = 2.0 / 9.0, 2.0 / 22.0, 2.0 / 56.0  # exponential averages of 8, 21 and 55 bars
_LAG: Final = 2.0 / 11.0
_ATR: Final = 1.0 / 14.0
_WICK: Final = 0.2
_YOUNG_BARS: Final = 18
_FAR_ATR: Final = 3.0
_RANGE_BARS: Final = 20
_FLAG_BARS: Final = 8
_DIP_BARS: Final = 4


class Track(msgspec.Struct):
    """Running indicators, in price units unless said otherwise."""

    bars: int = 0
    fast: float = 0.0
    mid: float = 0.0
    slow: float = 0.0
    mid_lag: float = 0.0
    atr: float = 0.0
    close: float = 0.0
    wick: float = 0.0
    """Share of the bars that are upper shadow, averaged."""
    top_gap: float = 0.0
    """Largest distance of fast over mid since the trend began, in ATR, fading."""
    age_bars: int = 0
    """Bars since fast crossed mid, either way."""
    dips: int = 0
    """Dips to the fast average since the trend began."""
    highs: list[float] = []
    lows: list[float] = []
    flows: list[float] = []
    """Signed volume of the last bars."""


class Reading(msgspec.Struct, frozen=True):
    """What a bar says at its close."""

    state: State
    signals: dict[str, float]
    atr: float
    fast: float
    fall_atr: float
    """How far this bar closed below the one before, in ATR; below 0 if it rose."""
    high_before: float
    """Highest high of the twenty bars before this one."""
    flag_atr: float
    """Height of the eight bars before this one, in ATR."""
    dips: int
    """Dips to the fast average since the trend began, this bar's included."""
    bounced: bool
    """Whether this bar dipped to the fast average and closed above it, up."""


def read(track: Track, bar: Bar) -> Reading | None:
    """Update the track with a bar; its reading, or None while the averages are warming up.

    Notes
    -----
    Uses this bar and the bars before it, nothing else.
    """
    before, close_before = track.bars, track.close
    high_before = max(track.highs, default=bar.high)
    flag = track.highs[-_FLAG_BARS:], track.lows[-_FLAG_BARS:]
    _average(track, bar)
    bounced = _dip(track, bar)
    _keep(track, bar)
    track.close = bar.close
    if before < WARM_UP_BARS or track.atr <= 0.0:
        return None
    return Reading(
        state=_state(track),
        signals=_signals(track, bar),
        atr=track.atr,
        fast=track.fast,
        fall_atr=(close_before - bar.close) / track.atr,
        high_before=high_before,
        flag_atr=(max(flag[0]) - min(flag[1])) / track.atr,
        dips=track.dips,
        bounced=bounced,
    )


def _average(track: Track, bar: Bar) -> None:
    if track.bars == 0:
        track.fast = track.mid = track.slow = track.mid_lag = track.close = bar.open
        track.atr = bar.high - bar.low
    up = track.fast > track.mid
    close = bar.close
    track.bars += 1
    track.fast += _FAST * (close - track.fast)
    track.mid += _MID * (close - track.mid)
    track.slow += _SLOW * (close - track.slow)
    track.mid_lag += _LAG * (track.mid - track.mid_lag)
    track.atr += _ATR * (max(bar.high, track.close) - min(bar.low, track.close) - track.atr)
    if (track.fast > track.mid) != up:
        track.age_bars, track.dips, track.top_gap = 0, 0, 0.0
    track.age_bars += 1


def _dip(track: Track, bar: Bar) -> bool:
    """Count a dip to the fast average; a dip goes on until a bar stays clear of the average."""
    if not (track.fast > track.mid and bar.low <= track.fast):
        return False
    if track.age_bars > _DIP_BARS and (not track.lows or track.lows[-1] > track.fast or track.dips == 0):
        track.dips += 1
    return bar.close > bar.open and bar.close > track.fast


def _keep(track: Track, bar: Bar) -> None:
    track.highs.append(bar.high)
    track.lows.append(bar.low)
    track.flows.append(math.copysign(bar.volume, bar.close - track.close) if bar.close != track.close else 0.0)
    if len(track.highs) > _RANGE_BARS:
        del track.highs[0], track.lows[0], track.flows[0]
    span = bar.high - bar.low
    shadow = (bar.high - max(bar.open, bar.close)) / span if span > 0.0 else 0.0
    track.wick += _WICK * (shadow - track.wick)
    if track.atr > 0.0:
        track.top_gap = max((track.fast - track.mid) / track.atr, 0.98 * track.top_gap)


def _state(track: Track) -> State:
    if track.fast <= track.mid:
        return "S0"
    if track.mid <= track.slow or track.age_bars <= _YOUNG_BARS:
        return "S1"
    return "S3" if (track.fast - track.slow) > _FAR_ATR * track.atr else "S2"


def _signals(track: Track, bar: Bar) -> dict[str, float]:
    atr = track.atr
    gap = (track.fast - track.mid) / atr
    slope = (track.mid - track.mid_lag) / atr
    dip = (max(track.highs) - min(track.lows[-_DIP_BARS:])) / atr
    faded = max(0.0, track.top_gap - gap) / (track.top_gap + 0.5)
    flow = sum(track.flows)
    spread = math.sqrt(sum(f * f for f in track.flows))
    return {
        "TS": round(_logistic(1.1 * gap + 1.6 * slope - 0.8), 4),
        "OX": round(_logistic(1.1 * ((bar.close - track.mid) / atr - 2.2)), 4),
        "DX": round(min(1.0, max(0.0, dip / 6.0)), 4),
        "EDX": round(min(1.0, 0.5 * track.wick + 0.7 * faded), 4),
        "OBV_z": round(flow / spread, 4) if spread > 0.0 else 0.0,
    }


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, x))))
