"""What the paper PM does at the close of a bar: pure functions of the reading, the regime and the knobs.

1. Entries: a flag (a breakout of twenty bars out of a narrow range) in S1 or S2, and the first dip to the
   fast average in S1. An entry needs a quality that the more aggressive A asks less of.
2. Adds: a new high in an uptrend, half a risk above the last purchase, and strong, dipped and fresh enough.
3. Trims: a third is sold into overextension, a risk above the entry; the more aggressive E asks less of it.
4. Exits: the protective stop, the trailing stop, the end of the trend, and panic: a bar that falls too far,
   whatever the trade has gained. E draws the trail closer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from app.paper.indicators import Reading
from app.paper.resample import Bar
from app.paper.trade import Position
from leverloop.patterns import ActionCategory

__all__ = [
    "EXIT_KEY",
    "KNOBS",
    "PANIC_KEY",
    "STOP_ATR",
    "Knobs",
    "Scores",
    "Setup",
    "a_value",
    "add_fraction",
    "add_key",
    "allows_add",
    "e_value",
    "entry_quality",
    "find_setup",
    "leaves",
    "trail_distance",
    "trim_key",
    "tuned",
    "wants_trim",
]

EXIT_KEY: Final = "pm.uptrend.S0.exit"
PANIC_KEY: Final = "pm.uptrend.S0.panic_exit"
STOP_ATR: Final = 2.0
"""1R in ATR: wide enough for the noise of a few bars."""
_FLAG_ATR: Final = 6.0
_TRAIL_ATR: Final = 3.0
_MAX_ADDS: Final = 2
_ADD_GAP_BARS: Final = 4
_ADD_GAIN_RR: Final = 0.5
_TRIM_GAIN_RR: Final = 1.0
_MAX_HOLD_BARS: Final = 120


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """The PM's own settings, before any lever; bars are whole, but numbers like the others."""

    entry_delay_bars: float = 0.0
    phase1_frac: float = 0.6
    """Part of the planned position that is bought at the entry."""
    phase_scaling: dict[str, float] = msgspec.field(default_factory=lambda: {"S1": 1.0, "S2": 1.0, "S3": 1.0})
    trim_delay: float = 5.0
    """Bars between the last change of the position and a trim."""
    wait_n_bars_after_trim: float = 0.0
    wait_for_signal: float = 0.0
    """TS that an entry waits for."""
    panic_trigger_level: float = 2.0
    """Fall of one bar, close to close, at which a trade is left in panic, in ATR."""
    trail_mult: float = 1.0
    min_ts_for_add: float = 0.5
    min_dx_for_add: float = 0.2
    max_edx_for_add: float = 0.45
    min_ox_for_trim: float = 0.5


KNOBS: Final = Knobs()


class Scores(NamedTuple):
    """Regime scores in [-1, 1] and the rank of the symbol's bucket, from 1."""

    macro: float
    meso: float
    micro: float
    rank: int | None


class Setup(NamedTuple):
    """A pattern that shows at a close."""

    pattern_key: str
    quality: float


def a_value(scores: Scores, signals: dict[str, float]) -> float:
    """Appetite for entries and adds, in [0, 1]: more of it in good times, in leaders, in strong trends."""
    regime = 0.15 * scores.macro + 0.12 * scores.meso + 0.08 * scores.micro + 0.04 * (3 - (scores.rank or 3))
    return _unit(0.5 + regime + 0.5 * (signals["TS"] - 0.55))


def e_value(scores: Scores, signals: dict[str, float]) -> float:
    """Assertiveness of trims and exits, in [0, 1]: more of it in bad times and in tired trends."""
    regime = 0.12 * scores.macro + 0.14 * scores.meso + 0.10 * scores.micro
    return _unit(0.45 - regime + 0.5 * (signals["OX"] - 0.25) + 0.6 * (signals["EDX"] - 0.2))


def find_setup(reading: Reading, bar: Bar) -> Setup | None:
    """Entry pattern of this close, if it shows one."""
    state = reading.state
    if state in ("S1", "S2") and bar.close > reading.high_before and reading.flag_atr <= _FLAG_ATR:
        return Setup(f"pm.uptrend.{state}.buy_flag", _quality(reading.signals))
    if state == "S1" and reading.bounced and reading.dips == 1:
        return Setup("pm.uptrend.S1.first_dip_buy", _quality(reading.signals))
    return None


def entry_quality(a: float) -> float:
    """Quality that an entry needs at an appetite: less, the more of it there is.

    Examples
    --------
    >>> round(entry_quality(0.5), 2), round(entry_quality(1.0), 2)
    (0.55, 0.35)
    """
    return 0.55 - 0.4 * (a - 0.5)


def trail_distance(reading: Reading, e: float) -> float:
    """Distance of the trailing stop behind the highest close, in price units."""
    return _TRAIL_ATR * reading.atr * (1.3 - 0.6 * e)


def leaves(reading: Reading, e: float, *, hold_bars: int) -> str | None:
    """Why the strategy leaves at this close; None if it stays."""
    if reading.signals["TS"] < 0.1 + 0.12 * e and reading.state == "S0":
        return "trend_over"
    return "held_long" if hold_bars >= _MAX_HOLD_BARS else None


def wants_trim(position: Position, reading: Reading, bar: Bar) -> bool:
    """Whether a trim is worth asking about: far enough in gain, in an uptrend."""
    return reading.state != "S0" and position.gain_rr(bar.close) >= _TRIM_GAIN_RR


def wants_add(position: Position, reading: Reading, bar: Bar) -> bool:
    """Whether an add is worth asking about: a new high, above the last purchase, adds left."""
    return (
        reading.state != "S0"
        and len(position.adds) < _MAX_ADDS
        and bar.close > reading.high_before
        and bar.close >= position.tape[position.changed].bar.close + _ADD_GAIN_RR * position.r_price
    )


def waited_for_add(position: Position, knobs: Knobs) -> bool:
    """Whether the delays that levers may set are over: since the last change, and since the last trim."""
    if position.here - position.changed < _ADD_GAP_BARS + knobs.entry_delay_bars:
        return False
    wait_bars = max(position.wait_bars, knobs.wait_n_bars_after_trim)
    return not position.trims or position.here - position.trims[-1] >= wait_bars


def trim_key(reading: Reading) -> str:
    """Pattern of a trim."""
    return f"pm.uptrend.{reading.state}.{'exhaustion_trim' if reading.state == 'S3' else 'trim'}"


def add_key(reading: Reading) -> str:
    """Pattern of an add."""
    return f"pm.uptrend.{reading.state}.add"


def tuned(knobs: Knobs, category: ActionCategory, a: float, e: float) -> Knobs:
    """Knobs at an appetite and an assertiveness: what the PM itself would ask of an add or a trim.

    Levers on thresholds come after it and are absolute: a bound that they set is the bound.

    Examples
    --------
    >>> tuned(KNOBS, "add", 1.0, 0.5).min_ts_for_add, tuned(KNOBS, "trim", 0.5, 0.75).min_ox_for_trim
    (0.4, 0.4)
    """
    if category == "add":
        return msgspec.structs.replace(knobs, min_ts_for_add=_unit(knobs.min_ts_for_add - 0.2 * (a - 0.5)))
    if category == "trim":
        return msgspec.structs.replace(knobs, min_ox_for_trim=_unit(knobs.min_ox_for_trim - 0.4 * (e - 0.5)))
    return knobs


def allows_add(signals: dict[str, float], knobs: Knobs) -> bool:
    """Whether the signals allow an add."""
    if signals["TS"] < knobs.min_ts_for_add or signals["DX"] < knobs.min_dx_for_add:
        return False
    return signals["EDX"] <= knobs.max_edx_for_add


def add_fraction(a: float) -> float:
    """Part of the rest of the planned position that an add buys, before its phase's scaling.

    Examples
    --------
    >>> add_fraction(0.5)
    0.5
    """
    return 0.25 + 0.5 * a


def _quality(signals: dict[str, float]) -> float:
    flow = _unit(0.5 + 0.2 * signals["OBV_z"])
    return 0.45 * signals["TS"] + 0.2 * flow + 0.2 * (1.0 - signals["EDX"]) + 0.15 * (1.0 - signals["OX"])


def _unit(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
