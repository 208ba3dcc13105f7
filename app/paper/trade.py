"""A paper trade: what was bought and sold, where its stops are, and what came of it in R.

1. 1R is the distance from the entry to the protective stop at its neutral level, per unit.
2. rr is the net result over the risk of the entry: its units times 1R. Costs are in it. Sizes are those
   before size levers: rr must not depend on them, or a lever would be measured by its own doing.
3. Stops are orders in the market: set at a bar's close, filled within the next bar at the stop, or at
   the open where the bar opens below it. Everything else happens at a close, a panic too.
4. The tape keeps each bar with what was in force for the next, so that the trade can be replayed.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from app.paper.resample import Bar

__all__ = [
    "COST_FRAC",
    "MAX_TRIMS",
    "TRIM_FRAC",
    "Position",
    "Stake",
    "Stops",
    "TapeBar",
    "opened",
    "result",
    "stop_level",
]

COST_FRAC: Final = 0.002
"""Fee, spread and slippage of one side, part of the price: two tenths of a percent, as a taker pays on small coins."""
TRIM_FRAC: Final = 1.0 / 3.0
"""Part of the position that a trim sells."""
MAX_TRIMS: Final = 2


class Stops(msgspec.Struct, frozen=True, array_like=True):
    """What the trailing stop keeps, in force for one bar."""

    trail_distance: float
    """Distance of the trailing stop behind the highest close at trail_mult 1, in price units."""
    trail_mult: float


class TapeBar(msgspec.Struct, frozen=True, array_like=True):
    """One bar of a trade, its signal bar being the first."""

    bar: Bar
    stops: Stops
    """For the bar after this one."""
    trim_bars: int = 0
    """Bars since the last change after which the strategy trims at this close; 0: it does not."""
    leave: bool = False
    """Whether the strategy leaves at this close."""
    fall_atr: float = 0.0
    """How far the bar closed below the one before, in ATR."""
    panic_atr: float = 0.0
    """Fall at which the trade is left in panic, in ATR."""

    @property
    def panic(self) -> bool:
        """Whether the trade is left in panic at this close."""
        return self.fall_atr >= self.panic_atr


class Stake(msgspec.Struct):
    """What is held, in units of the base asset, and what was paid, in the quote; before size levers."""

    held: float = 0.0
    paid: float = 0.0
    got: float = 0.0

    def buy(self, qty: float, price: float) -> None:
        """Buy at a price to which the costs are added."""
        self.held += qty
        self.paid += qty * price * (1.0 + COST_FRAC)

    def sell(self, qty: float, price: float) -> None:
        """Sell at a price from which the costs are taken."""
        self.held -= qty
        self.got += qty * price * (1.0 - COST_FRAC)


class Position(msgspec.Struct):
    """An open trade."""

    trade_id: str
    symbol: str
    timeframe: str
    conviction: tuple[float, float]
    """A and E at its signal, before overrides."""
    rest_frac: float
    """Part of the equity that is planned for adds, after the entry's size lever."""
    entered: int
    """Place of the entry on the tape; bars before it were waited for."""
    opened_at_ms: int
    entry_price: float
    first_qty: float
    """Units bought at the entry, before its size lever."""
    real_qty: float
    """Units held, after size levers."""
    r_price: float
    stake: Stake
    tape: list[TapeBar]
    high_close: float
    adds: list[tuple[int, float]] = []
    """Place on the tape and units of each add, before its size lever."""
    trims: list[int] = []
    changed: int = 0
    """Place of the last entry, add or trim."""
    trail_mult: float = 1.0
    """Trailing multiple that the last trim asked for."""
    wait_bars: float = 0.0
    """Bars that it wants the next add to wait."""
    actions: int = 0

    @property
    def here(self) -> int:
        """Place of the newest bar on the tape."""
        return len(self.tape) - 1

    @property
    def rr(self) -> float:
        """Net result in R, once everything is sold."""
        return (self.stake.got - self.stake.paid) / (self.first_qty * self.r_price)

    def gain_rr(self, price: float) -> float:
        """How far a price is above the entry, in R, before costs."""
        return (price - self.entry_price) / self.r_price


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trade, in the terms of a TradeClosed."""

    rr: float
    return_frac: float
    max_drawdown_frac: float
    max_gain_frac: float
    payback_ms: int | None
    missed_entry_rr: float
    best_entry_bars: int
    missed_exit_rr: float
    best_exit_bars: int


_ENTRY_WINDOW_BARS: Final = 8


def opened(
    *, trade_id: str, symbol: str, timeframe: str, conviction: tuple[float, float], tape: list[TapeBar], r_price: float,
    base_frac: float, real_frac: float, rest_frac: float,
) -> Position:  # fmt: skip
    """Position bought at the close of the newest bar on its tape.

    Parameters
    ----------
    conviction
        A and E at its signal.
    base_frac, real_frac
        Bought now, as part of the equity, before and after the size lever.
    rest_frac
        Planned for adds, as part of the equity, after it.
    """
    bar = tape[-1].bar
    stake, first_qty = Stake(), base_frac / bar.close
    stake.buy(first_qty, bar.close)
    place = len(tape) - 1
    return Position(
        trade_id=trade_id, symbol=symbol, timeframe=timeframe, conviction=conviction, rest_frac=rest_frac,
        entered=place, changed=place, opened_at_ms=bar.close_at_ms, entry_price=bar.close, first_qty=first_qty,
        real_qty=real_frac / bar.close, r_price=r_price, stake=stake, tape=tape, high_close=bar.close,
    )  # fmt: skip


def stop_level(
    entry_price: float, r_price: float, high_close: float, stops: Stops
) -> tuple[float, Literal["trail", "stop"]]:
    """Price of the stop that is nearer, and which it is.

    Examples
    --------
    >>> stop_level(100.0, 5.0, 110.0, Stops(6.0, 1.0)), stop_level(100.0, 5.0, 100.0, Stops(6.0, 1.0))
    ((104.0, 'trail'), (95.0, 'stop'))
    """
    trail, stop = high_close - stops.trail_distance * stops.trail_mult, entry_price - r_price
    return (trail, "trail") if trail > stop else (stop, "stop")


def result(position: Position, exit_price: float, *, at_close: bool) -> Result:
    """Result of a trade that is sold, its last bar on the tape.

    Parameters
    ----------
    exit_price
        Price of the last sale, before costs.
    at_close
        Whether it was sold at the close: of a bar that hit the stop, only what came before is known.
    """
    entry, r_price, begin = position.entry_price, position.r_price, position.entered + 1
    lived = [tape_bar.bar for tape_bar in position.tape[begin:]]
    if not at_close:
        last = lived[-1]
        lived[-1] = Bar(last.close_at_ms, last.open, max(last.open, exit_price), exit_price, exit_price, last.volume)
    lows, highs = [bar.low for bar in lived], [bar.high for bar in lived]
    low, high = min(lows), max(highs)
    early = min(lows[:_ENTRY_WINDOW_BARS])
    reached = next((bar.close_at_ms for bar in lived if bar.high >= entry + r_price), None)
    stake = position.stake
    return Result(
        rr=position.rr,
        return_frac=(stake.got - stake.paid) / stake.paid,
        max_drawdown_frac=max(0.0, 1.0 - low / entry),
        max_gain_frac=max(0.0, high / entry - 1.0),
        payback_ms=None if reached is None else reached - position.opened_at_ms,
        missed_entry_rr=max(0.0, (entry - early) / r_price),
        best_entry_bars=lows.index(early) + 1 if early < entry else 0,
        missed_exit_rr=max(0.0, (high - exit_price) / r_price),
        best_exit_bars=len(highs) - 1 - highs.index(high) if high > exit_price else 0,
    )
