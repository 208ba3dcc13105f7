"""What other choices would have earned: a closed trade replayed on its own tape under another knob.

1. Only bars on the tape are used. It ends with the trade, unless the market was watched for a while after
   it: a choice whose end is not known by then (a wider stop) has no delta, on any trade. A mean over the
   trades where it happens to be known would be a lie.
2. Deltas are keyed by the absolute value of the lever, whatever value the trade had; the value it had is
   left out. Adds stay as they were.
3. A replay that is still open where the tape ends is sold there.
4. The replay of what was applied gives the result that the trade had: a law of the tests.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.paper.trade import MAX_TRIMS, TRIM_FRAC, Position, Stake, Stops, TapeBar, stop_level

__all__ = ["AS_IT_WAS", "Other", "deltas", "replayed_rr"]

_ENTRY_DELAYS: Final = (0, 1, 2, 3)
_TRAIL_MULTS: Final = (0.8, 1.0, 1.2)
_PANIC_MULTS: Final = (0.75, 1.0, 1.25)
_TRIM_DELAY_MULTS: Final = (0.75, 1.0, 1.25)


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """A choice that was not made; None stays as it was."""

    entered: int | None = None
    """Place on the tape of the entry."""
    trail_mult: float | None = None
    panic_atr: float | None = None
    trim_bars: int | None = None

    def stops(self, stops: Stops) -> Stops:
        """Stops under the choice."""
        return stops if self.trail_mult is None else Stops(stops.trail_distance, self.trail_mult)

    def leaves(self, here: TapeBar) -> bool:
        """Whether the trade is left at a close under the choice."""
        panic = here.panic if self.panic_atr is None else here.fall_atr >= self.panic_atr
        return panic or here.leave


AS_IT_WAS: Final = Other()


def deltas(
    position: Position, exit_price: float, *, exited: int, panic_atr: float, trim_delay: int
) -> dict[str, dict[str, float]]:
    """Per lever and value: rr that the trade would have had less the rr it had.

    Parameters
    ----------
    position
        Closed trade with its last bar on the tape, and what was watched after it.
    exit_price, exited
        Price of its last sale before costs, and the place of that sale on the tape.
    panic_atr, trim_delay
        The knobs that the levers multiply, in ATR and in bars.

    Notes
    -----
    Source: spec sections 4 and 8. Cost: O(bars of the tape) for each value.
    """
    had = position.rr
    lived = position.tape[position.entered : exited + 1]
    watched = len(position.tape) > exited + 1
    choices = {
        "entry_delay_bars": {f"{n}": Other(entered=n) for n in _ENTRY_DELAYS if n != position.entered},
        "trim_delay_mult": _trim_choices(lived, trim_delay),
        "trail_mult": {
            f"{mult:g}": Other(trail_mult=mult)
            for mult in _known(_TRAIL_MULTS, 1.0, [bar.stops.trail_mult for bar in lived], watched)
        },
        "panic_trigger_mult": {
            f"{mult:g}": Other(panic_atr=mult * panic_atr)
            for mult in _known(_PANIC_MULTS, panic_atr, [bar.panic_atr for bar in lived[1:]], watched)
        },
    }
    return {
        lever: {
            value: round(replayed_rr(position, exit_price, exited, other) - had, 6) for value, other in values.items()
        }
        for lever, values in choices.items()
        if values
    }


def replayed_rr(position: Position, exit_price: float, exited: int, other: Other = AS_IT_WAS) -> float:
    """Replay the trade for its rr, bar by bar on its tape, under another choice; 0 if that never entered.

    Notes
    -----
    An entry that waits is given up as the strategy gives it up: when the market reaches its protective
    stop, or leaves, in the meantime.
    """
    tape, r_price = position.tape, position.r_price
    start = position.entered if other.entered is None else other.entered
    if start > exited or _given_up(tape[: start + 1], r_price, other):
        return 0.0
    entry_price = high_close = tape[start].bar.close
    stake, adds, trims, changed = Stake(), dict(position.adds), 0, start
    stake.buy(position.first_qty, entry_price)
    for place in range(start + 1, len(tape)):
        here, bar = tape[place], tape[place].bar
        level, _ = stop_level(entry_price, r_price, high_close, other.stops(tape[place - 1].stops))
        if bar.low <= level or other.leaves(here):
            stake.sell(stake.held, min(bar.open, level) if bar.low <= level else bar.close)
            return _rr(stake, position)
        high_close = max(high_close, bar.close)
        wait_bars = other.trim_bars if here.trim_bars and other.trim_bars is not None else here.trim_bars
        if wait_bars and trims < MAX_TRIMS and place - changed >= wait_bars:
            stake.sell(TRIM_FRAC * stake.held, bar.close)
            trims, changed = trims + 1, place
        elif place in adds:
            stake.buy(adds[place], bar.close)
            changed = place
    stake.sell(stake.held, exit_price if exited == len(tape) - 1 else tape[-1].bar.close)
    return _rr(stake, position)


def _rr(stake: Stake, position: Position) -> float:
    return (stake.got - stake.paid) / (position.first_qty * position.r_price)


def _given_up(waited: list[TapeBar], r_price: float, other: Other) -> bool:
    stop = waited[0].bar.close - r_price
    return any(here.bar.low <= stop or other.leaves(here) for here in waited[1:])


def _trim_choices(lived: list[TapeBar], trim_delay: int) -> dict[str, Other]:
    applied = {bar.trim_bars for bar in lived if bar.trim_bars}
    choices = {f"{mult:g}": max(1, round(trim_delay * mult)) for mult in _TRIM_DELAY_MULTS}
    default = {max(1, trim_delay)}
    return {value: Other(trim_bars=bars) for value, bars in choices.items() if {bars} != (applied or default)}


def _known(mults: tuple[float, ...], unit: float, applied: list[float], watched: bool) -> list[float]:
    """Multiples other than the one applied whose end is on the tape: tighter ones, and all if it was watched."""
    nearest, farthest = min(applied), max(applied)
    others = [mult for mult in mults if not nearest == mult * unit == farthest]
    return [mult for mult in others if watched or mult * unit <= nearest]
