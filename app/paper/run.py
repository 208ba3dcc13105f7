"""Run the paper PM on a market in event time, as fast as is wanted, and go on where it stopped.

1. Steps are traded until a batch is full: enough events, or half a second. Then the batch is made safe (its
   checkpoint is written, see `app.paper.checkpoint`), logged and flushed, before the next step is traded:
   the emitter's flush is the back-pressure.
2. Event time runs `speed` times as fast as the wall clock, and never past it: a run that has caught up
   with the present goes on at its pace.
3. Setting `until` stops the run within a second, whatever it waits for. What was not flushed by then is in
   the checkpoint, and logged by the next run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from app.paper.candles import BAR_MS
from app.paper.checkpoint import Checkpoint
from app.paper.logbook import Event
from app.paper.market import Market
from app.paper.pm import PaperPM
from app.paper.strategy import KNOBS, Knobs
from app.paper.tally import PaperSummary
from leverloop.clock import now_ms
from leverloop.emit import Emitter
from leverloop.errors import Unavailable
from leverloop.events import ActionLogged
from leverloop.patterns import ActionCategory
from leverloop.resolution import Resolution

__all__ = ["LiveResolver", "run_paper"]

_BATCH_EVENTS: Final = 500
_BATCH_S: Final = 0.5
_GRACE_S: Final = 0.5  # for the last flush of a run that is stopped
_QUIET_S: Final = 5.0  # a checkpoint without events only saves trading a few steps again


class LiveResolver(Protocol):
    """What answers the PM: a `LiveBook`, or an `OverrideBook` that stands still."""

    def resolve(
        self, pattern_key: str, action_category: ActionCategory, scope: Mapping[str, Any], trade_id: str, at_ms: int
    ) -> Resolution:
        """Levers of an action."""
        ...


async def run_paper(
    *,
    market: Market,
    emitter: Emitter,
    live_book: LiveResolver,
    until: asyncio.Event,
    speed: float | None = None,
    until_at_ms: int | None = None,
    state_path: Path | None = None,
    on_progress: Callable[[PaperSummary], None] | None = None,
    label: str = "",
    watch_bars: int = 0,
    knobs: Knobs = KNOBS,
    clock_ms: Callable[[], int] = now_ms,
) -> PaperSummary:
    """Trade a market on paper until it ends or is told to stop.

    Parameters
    ----------
    market
        Candles in time order.
    emitter
        Where actions and closed trades go; open, and closed by the caller.
    live_book
        Asked before each action.
    until
        Stops the run when it is set.
    speed
        Seconds of event time in a second; None or 0 for as fast as the emitter takes it.
    until_at_ms
        Event time at which to stop; what has closed by then is traded.
    state_path
        File to go on from, and to save to; None keeps nothing.
    on_progress
        Called after each batch with the counters, which go on changing.
    label, watch_bars, knobs
        As of `PaperPM`. Candles traded again without the file of `state_path` need another label: their
        trades would have the ids of the first.
    clock_ms
        Wall clock, which event time never overtakes.

    Raises
    ------
    BadConfig
        If the file of `state_path` is of another market, label or version.
    BadInput
        If a candle is none.
    """
    pm = PaperPM(live_book.resolve, knobs=knobs, label=label, watch_bars=watch_bars)
    run = _Run(market=market, pm=pm, emitter=emitter, until=until, state_path=state_path, on_progress=on_progress)
    await run.resume()
    await run.trade(speed=speed or 0.0, until_at_ms=until_at_ms, clock_ms=clock_ms)
    return run.summary


class _Run:
    def __init__(
        self,
        *,
        market: Market,
        pm: PaperPM,
        emitter: Emitter,
        until: asyncio.Event,
        state_path: Path | None,
        on_progress: Callable[[PaperSummary], None] | None,
    ) -> None:
        self.summary = PaperSummary()
        self._market = market
        self._pm = pm
        self._emitter = emitter
        self._until = until
        self._state_path = state_path
        self._on_progress = on_progress
        self._batch: list[Event] = []
        self._unsafe: list[Event] = []  # logged, but not known to be durable: part of the next outbox again
        self._time = asyncio.get_running_loop().time
        self._saved_at_s = self._batch_at_s = self._time()

    async def resume(self) -> None:
        """Go on from the checkpoint, if there is one: log what it was about to log."""
        checkpoint = None if self._state_path is None else await asyncio.to_thread(Checkpoint.load, self._state_path)
        if checkpoint is not None:
            self._market.restore(checkpoint.market)
            self._pm.restore(checkpoint.pm)
            self.summary = checkpoint.summary
            await self._log(checkpoint.outbox)

    async def trade(self, *, speed: float, until_at_ms: int | None, clock_ms: Callable[[], int]) -> None:
        """Trade step by step, and make every batch safe."""
        begin_s, begin_at_ms = self._time(), 0
        while not self._until.is_set():
            if self.summary.at_ms:  # the next step closes a bar later, or after a gap of the candles
                due_at_ms = self.summary.at_ms + BAR_MS
                if until_at_ms is not None and due_at_ms > until_at_ms:
                    break
                begin_at_ms = begin_at_ms or self.summary.at_ms
                wait_s = (due_at_ms - begin_at_ms) / 1000.0 / speed - (self._time() - begin_s) if speed else 0.0
                await self._pause(max(wait_s, (due_at_ms - clock_ms()) / 1000.0))
                if self._until.is_set():
                    break
            if not self._step():
                break
            if len(self._batch) >= _BATCH_EVENTS or self._time() - self._batch_at_s >= _BATCH_S:
                await self._commit()
        await self._commit(last=True)

    def _step(self) -> bool:
        batch = self._market.next()
        if batch is None:
            return False
        for event in self._pm.step(batch):
            self.summary.count(event)
            self._batch.append(event)
        self.summary.steps += 1
        self.summary.candles += len(batch.candles)
        self.summary.at_ms = batch.close_at_ms
        return True

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not longer than until the run is stopped; what is to be logged is logged before."""
        if wait_s <= 0.0:
            await asyncio.sleep(0)  # whoever follows the snapshots must get a turn
            return
        if wait_s > _BATCH_S:
            await self._commit()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._until.wait()

    async def _commit(self, *, last: bool = False) -> None:
        """Make the batch safe and log it."""
        events, self._batch = self._batch, []
        self._batch_at_s = self._time()
        quiet_s = self._batch_at_s - self._saved_at_s
        if self._state_path is not None and (events or last or quiet_s >= _QUIET_S):
            checkpoint = Checkpoint.of(
                market=self._market.state(), pm=self._pm.state(), summary=self.summary, outbox=self._unsafe + events
            )
            await asyncio.to_thread(checkpoint.save, self._state_path)
            self._saved_at_s = self._batch_at_s
        await self._log(events)
        if self._on_progress is not None:
            self._on_progress(self.summary)

    async def _log(self, events: list[Event]) -> None:
        """Log events and wait until they are durable, through every outage, unless the run is stopped."""
        self._unsafe += events
        for event in events:
            while not self._taken(event):
                if not await self._flushed():
                    return
        if await self._flushed():
            self._unsafe = []

    def _taken(self, event: Event) -> bool:
        """Whether the emitter had room for the event."""
        try:
            if isinstance(event, ActionLogged):
                self._emitter.log_action(event)
            else:
                self._emitter.log_trade(event)
        except Unavailable:
            return False
        return True

    async def _flushed(self) -> bool:
        """Flush, again and again while that fails; False if the run is stopped before it succeeds."""
        while True:
            flush, stop = asyncio.ensure_future(self._emitter.flush()), asyncio.ensure_future(self._until.wait())
            try:
                await asyncio.wait((flush, stop), return_when=asyncio.FIRST_COMPLETED)
                if not flush.done():
                    await asyncio.wait((flush,), timeout=_GRACE_S)
                if not flush.done():
                    return False
                flush.result()
            except Unavailable as error:
                if self._until.is_set():
                    return False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(error.retry_after_s):
                        await self._until.wait()
            else:
                return True
            finally:
                flush.cancel()
                stop.cancel()
                await asyncio.gather(flush, stop, return_exceptions=True)
