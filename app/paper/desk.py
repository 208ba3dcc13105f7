"""A desk: one symbol on one timeframe, one trade at a time.

1. `resolve` is asked with the scope before overrides. For entries, adds and trims it is asked when the
   pattern shows; for exits at every close, because its answer sets the stops of the next bar. An action
   logs the scope, the signals and the decision of the answer that it acted on.
2. The id of a trade is made of the label, symbol, timeframe, pattern and time of its signal; its actions
   are numbered. So the same candles and the same answers give the same events.
3. A bar first meets the stops that were set before it; what survives it acts at its close: leave, else
   trim, else add; then the stops of the next bar are set.
4. Both exit patterns are asked at every close: the exit sets the trailing stop and says when a trend is
   over, the panic exit how far a bar may fall.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.paper import logbook, strategy
from app.paper.asking import Answer, Resolve, View
from app.paper.indicators import Track
from app.paper.logbook import Event
from app.paper.strategy import EXIT_KEY, PANIC_KEY, Knobs, Setup
from app.paper.trade import MAX_TRIMS, TRIM_FRAC, Position, Stops, TapeBar, opened, stop_level
from leverloop.applying import whole_bars
from leverloop.events import TradeClosed

__all__ = ["Dealer", "Desk"]

_PLANNED_FRAC: Final = 0.2
"""Whole position as part of the equity, before levers."""
_REST_BARS: Final = 1
"""Bars without a new entry after a close: a bar must not stop a trade out and open the next."""


class Plan(msgspec.Struct, frozen=True):
    """The stops of the next bar, and what was asked for them."""

    answer: Answer
    stops: Stops


class Judgement(msgspec.Struct, frozen=True):
    """What the strategy makes of a close for a trade: whether to leave, why, and what was asked for it."""

    exit: Answer
    here: TapeBar
    left: tuple[str, Answer] | None


class Waiting(msgspec.Struct):
    """An entry whose delay is not over."""

    trade_id: str
    conviction: tuple[float, float]
    answer: Answer
    r_price: float
    delay_bars: float
    tape: list[TapeBar]


class Watched(msgspec.Struct):
    """A closed trade whose market is watched, so that what wider stops would have earned becomes known."""

    position: Position
    close: TradeClosed
    exit_price: float
    exited: int


class Desk(msgspec.Struct):
    """State of a desk."""

    track: Track
    rest_bars: int = 0
    waiting: Waiting | None = None
    position: Position | None = None
    plan: Plan | None = None
    """Of the open trade, or of the one that waits."""
    watched: list[Watched] = []

    @property
    def conviction(self) -> tuple[float, float] | None:
        """A and E of its trade, open or waiting; None without one."""
        if self.position is not None:
            return self.position.conviction
        return None if self.waiting is None else self.waiting.conviction


class Dealer:
    """Acts for desks: holds what is the same for all of them.

    Parameters
    ----------
    resolve
        Levers of an action.
    knobs
        The PM's own settings.
    label
        Name of the run.
    watch_bars
        Bars for which the market of a closed trade is watched before its close is revised; 0: never.
    """

    def __init__(self, resolve: Resolve, knobs: Knobs, label: str, watch_bars: int) -> None:
        self._resolve = resolve
        self._knobs = knobs
        self._prefix = f"{label}-" if label else ""
        self._watch_bars = watch_bars

    def act(self, desk: Desk, view: View) -> list[Event]:
        """Do what the close of a bar asks for; return what was done."""
        return self._watch(desk, view) + self._trade(desk, view)

    def _trade(self, desk: Desk, view: View) -> list[Event]:
        if desk.position is not None and desk.plan is not None:
            return self._manage(desk, desk.position, desk.plan, view)
        if desk.waiting is not None:
            return self._wait(desk, desk.waiting, view)
        if desk.rest_bars > 0:
            desk.rest_bars -= 1
            return []
        setup = strategy.find_setup(view.reading, view.bar)
        return [] if setup is None else self._signal(desk, setup, view)

    def _signal(self, desk: Desk, setup: Setup, view: View) -> list[Event]:
        motif = setup.pattern_key.removeprefix("pm.uptrend.")
        trade_id = f"{self._prefix}{view.symbol}-{view.timeframe}-{view.bar.close_at_ms}-{motif}"
        answer = view.ask(self._resolve, setup.pattern_key, "entry", trade_id, self._knobs, _PLANNED_FRAC)
        if setup.quality < strategy.entry_quality(answer.a) or answer.signals["TS"] < answer.knobs.wait_for_signal:
            return []
        r_price = strategy.STOP_ATR * view.reading.atr
        judged = self._judge(trade_id, view, hold_bars=0)
        desk.plan = self._plan(judged.exit, view)
        tape = [msgspec.structs.replace(judged.here, stops=desk.plan.stops)]
        desk.waiting = Waiting(trade_id, view.conviction, answer, r_price, answer.knobs.entry_delay_bars, tape)
        return self._enter(desk, desk.waiting, view) if answer.knobs.entry_delay_bars == 0 else []

    def _wait(self, desk: Desk, waiting: Waiting, view: View) -> list[Event]:
        stop = waiting.tape[0].bar.close - waiting.r_price
        judged = self._judge(waiting.trade_id, view, hold_bars=0)
        if view.bar.low <= stop or judged.left is not None:
            desk.waiting = desk.plan = None
            return []
        desk.plan = self._plan(judged.exit, view)
        waiting.tape.append(msgspec.structs.replace(judged.here, stops=desk.plan.stops))
        return self._enter(desk, waiting, view) if len(waiting.tape) > waiting.delay_bars else []

    def _enter(self, desk: Desk, waiting: Waiting, view: View) -> list[Event]:
        answer, first = waiting.answer, waiting.answer.knobs.phase1_frac
        position = opened(
            trade_id=waiting.trade_id, symbol=view.symbol, timeframe=view.timeframe, conviction=waiting.conviction,
            tape=waiting.tape, r_price=waiting.r_price, base_frac=_PLANNED_FRAC * first,
            real_frac=answer.size_frac * first, rest_frac=answer.size_frac * (1.0 - first),
        )  # fmt: skip
        desk.waiting, desk.position = None, position
        return [logbook.action(position, answer, "entry_immediate", view.bar.close_at_ms, answer.size_frac * first)]

    def _manage(self, desk: Desk, position: Position, plan: Plan, view: View) -> list[Event]:
        bar = view.bar
        level, which = stop_level(position.entry_price, position.r_price, position.high_close, plan.stops)
        if bar.low <= level:
            position.tape.append(self._unasked(position, view))
            return self._close(desk, position, plan.answer, min(bar.open, level), which)
        judged = self._judge(position.trade_id, view, hold_bars=position.here + 1 - position.entered)
        position.tape.append(judged.here)
        if judged.left is not None:
            why, answer = judged.left
            return self._close(desk, position, answer, bar.close, why)
        position.high_close = max(position.high_close, bar.close)
        events = self._trim(position, view) or self._add(position, view)
        desk.plan = self._plan(judged.exit, view, position.trail_mult)
        position.tape[-1] = msgspec.structs.replace(position.tape[-1], stops=desk.plan.stops)
        return events

    def _trim(self, position: Position, view: View) -> list[Event]:
        bar = view.bar
        if not strategy.wants_trim(position, view.reading, bar):
            return []
        held_frac = position.real_qty * bar.close
        answer = view.ask(
            self._resolve, strategy.trim_key(view.reading), "trim", position.trade_id, self._knobs, held_frac
        )
        knobs = answer.knobs
        if answer.signals["OX"] < knobs.min_ox_for_trim:
            return []
        wait_bars = max(1, whole_bars(knobs.trim_delay))
        position.tape[-1] = msgspec.structs.replace(position.tape[-1], trim_bars=wait_bars)
        if position.here - position.changed < wait_bars or len(position.trims) >= MAX_TRIMS:
            return []
        sold_frac = TRIM_FRAC * position.real_qty * bar.close
        position.stake.sell(TRIM_FRAC * position.stake.held, bar.close)
        position.real_qty -= sold_frac / bar.close
        position.trims.append(position.here)
        position.changed = position.here
        position.trail_mult, position.wait_bars = knobs.trail_mult, knobs.wait_n_bars_after_trim
        return [logbook.action(position, answer, "trim", bar.close_at_ms, sold_frac)]

    def _add(self, position: Position, view: View) -> list[Event]:
        bar, reading = view.bar, view.reading
        if not strategy.wants_add(position, reading, bar):
            return []
        rest_frac = position.rest_frac
        answer = view.ask(self._resolve, strategy.add_key(reading), "add", position.trade_id, self._knobs, rest_frac)
        knobs = answer.knobs
        if not strategy.waited_for_add(position, knobs) or not strategy.allows_add(answer.signals, knobs):
            return []
        part = strategy.add_fraction(answer.a) * knobs.phase_scaling.get(reading.state, 1.0)
        size_frac = answer.size_frac * part
        # Before size levers, the rest of the position stands to the entry as the knobs say.
        qty = position.first_qty * (1.0 / self._knobs.phase1_frac - 1.0) * part
        position.stake.buy(qty, bar.close)
        position.real_qty += size_frac / bar.close
        position.adds.append((position.here, qty))
        position.changed = position.here
        return [logbook.action(position, answer, "add", bar.close_at_ms, size_frac)]

    def _close(self, desk: Desk, position: Position, answer: Answer, price: float, why: str) -> list[Event]:
        at_ms = position.tape[-1].bar.close_at_ms
        size_frac = position.real_qty * price
        position.stake.sell(position.stake.held, price)
        kind = "panic_exit" if answer.pattern_key == PANIC_KEY else "cut"
        done = logbook.action(position, answer, kind, at_ms, size_frac)
        close = logbook.closed(position, price, why, self._knobs)
        if self._watch_bars:
            desk.watched.append(Watched(position, close, price, position.here))
        desk.position = desk.plan = None
        desk.rest_bars = _REST_BARS
        return [done, close]

    def _watch(self, desk: Desk, view: View) -> list[Event]:
        """Put the bar on the tapes of closed trades; revise the closes whose time is over."""
        events: list[Event] = []
        for watched in list(desk.watched):
            position = watched.position
            position.tape.append(self._unasked(position, view))
            if position.here - watched.exited >= self._watch_bars:
                desk.watched.remove(watched)
                revised = logbook.revised(watched.close, position, watched.exit_price, watched.exited, self._knobs)
                events.append(revised)
        return events

    def _judge(self, trade_id: str, view: View, *, hold_bars: int) -> Judgement:
        """Ask both exit patterns, and say whether the trade is left at this close."""
        leave = view.ask(self._resolve, EXIT_KEY, "exit", trade_id, self._knobs, 0.0)
        panic = view.ask(self._resolve, PANIC_KEY, "exit", trade_id, self._knobs, 0.0)
        why = strategy.leaves(view.reading, leave.e, hold_bars=hold_bars)
        stops = Stops(strategy.trail_distance(view.reading, leave.e), leave.knobs.trail_mult)
        here = TapeBar(
            view.bar, stops, leave=why is not None, fall_atr=view.reading.fall_atr,
            panic_atr=panic.knobs.panic_trigger_level,
        )  # fmt: skip
        if here.panic:
            return Judgement(leave, here, ("panic", panic))
        return Judgement(leave, here, None if why is None else (why, leave))

    def _unasked(self, position: Position, view: View) -> TapeBar:
        """Tape of a close that the trade did not live to see: as the PM itself would have judged it."""
        hold_bars = position.here + 1 - position.entered
        return TapeBar(
            view.bar,
            Stops(strategy.trail_distance(view.reading, view.e), position.tape[-1].stops.trail_mult),
            leave=strategy.leaves(view.reading, view.e, hold_bars=hold_bars) is not None,
            fall_atr=view.reading.fall_atr,
            panic_atr=self._knobs.panic_trigger_level,
        )

    def _plan(self, leave: Answer, view: View, trail_mult: float = 1.0) -> Plan:
        """Stops of the next bar; `trail_mult` is what the last trim asked for, unless the exit says otherwise."""
        own_mult = leave.knobs.trail_mult
        mult = trail_mult if own_mult == self._knobs.trail_mult else own_mult
        return Plan(leave, Stops(strategy.trail_distance(view.reading, leave.e), mult))
