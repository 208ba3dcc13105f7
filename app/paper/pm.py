"""The paper PM: trades every symbol on every timeframe, asks the overrides before it acts, logs what it did.

1. A bar is acted on when it is over, in the order of ends, timeframes and symbols: the events of a step
   are a function of the state, the candles and what `resolve` answers.
2. The state is everything: a PM restored from it does what the one that saved it would have done.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.paper.asking import Resolve, View
from app.paper.candles import Batch
from app.paper.desk import Dealer, Desk
from app.paper.indicators import Track, read
from app.paper.logbook import Event
from app.paper.regimes import RegimeState, RegimeTracker
from app.paper.resample import Bar, Resampler
from app.paper.strategy import KNOBS, Knobs
from leverloop.errors import BadConfig

__all__ = ["Event", "PaperPM"]

_STATE_VERSION: Final = 1


class _State(msgspec.Struct):
    version: int
    label: str
    desks: dict[str, dict[str, Desk]]
    """Timeframe -> symbol -> desk."""
    under_way: dict[str, dict[str, Bar]]
    regimes: RegimeState


class PaperPM:
    """A portfolio manager that trades candles on paper and lives with the contract of a real one.

    Parameters
    ----------
    resolve
        `OverrideBook.resolve` or `LiveBook.resolve`: levers of an action.
    knobs
        The PM's own settings.
    label
        Name of the run, part of every trade_id: two runs over the same candles differ in it.
    watch_bars
        Bars of its timeframe for which the market of a closed trade is watched. Then the close is revised:
        only then is it known what wider stops would have earned. 0 logs no revisions.

    Examples
    --------
    >>> from app.paper.market import SimulatedMarket
    >>> from leverloop.book import OverrideBook
    >>> pm = PaperPM(OverrideBook.empty().resolve)
    >>> pm.step(SimulatedMarket(seed=1).next())
    []
    """

    def __init__(self, resolve: Resolve, *, knobs: Knobs = KNOBS, label: str = "", watch_bars: int = 0) -> None:
        self._label = label
        self._dealer = Dealer(resolve, knobs, label, watch_bars)
        self._resampler = Resampler()
        self._regimes = RegimeTracker()
        self._desks: dict[str, dict[str, Desk]] = {}

    def state(self) -> bytes:
        """Everything that the PM knows, versioned, for `restore`."""
        return msgspec.msgpack.encode(
            _State(_STATE_VERSION, self._label, self._desks, self._resampler.open, self._regimes.state)
        )

    def restore(self, raw: bytes) -> None:
        """Go on where the PM with this state was; BadConfig for a state of another version or label."""
        try:
            state = msgspec.msgpack.decode(raw, type=_State)
        except msgspec.DecodeError as error:
            raise BadConfig(f"the state is not one of a paper PM ({error})") from error
        if (state.version, state.label) != (_STATE_VERSION, self._label):
            found = f"version {state.version}, label {state.label!r}"
            raise BadConfig(
                f"state of the paper PM: expected version {_STATE_VERSION}, label {self._label!r}, was {found}"
            )
        self._desks, self._resampler.open, self._regimes.state = state.desks, state.under_way, state.regimes

    def step(self, batch: Batch) -> list[Event]:
        """Act on the bars of one step; return what was done, in order."""
        events: list[Event] = []
        self._act(batch.open_at_ms, events)
        self._resampler.add(batch)
        self._regimes.update(batch)
        self._act(batch.close_at_ms, events)
        return events

    def _act(self, at_ms: int, events: list[Event]) -> None:
        for symbol, timeframe, bar in self._resampler.finished(at_ms):
            desks = self._desks.setdefault(timeframe, {})
            desk = desks.get(symbol)
            if desk is None:
                desk = desks[symbol] = Desk(Track())
            reading = read(desk.track, bar)
            if reading is not None and self._regimes.bucket(symbol) is not None:
                view = View(symbol, timeframe, reading, bar, self._regimes, desk.conviction)
                events += self._dealer.act(desk, view)
