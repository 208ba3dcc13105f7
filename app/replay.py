"""`leverloop replay jsonl`: the same core, driven from files instead of topics, in event-time order."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from learning.attribution import EMPTY, Trade, close_trade, deadline_at_ms, log_action, outcomes
from learning.book import Book, close_epoch, decision, opened
from learning.epochs import passed_epoch
from learning.lessons import LessonEvent
from learning.outcome import Outcome, OutcomeVoided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import PROPOSAL, passed, told
from leverloop.errors import BadConfig, BadInput
from leverloop.events import ActionLogged, TradeClosed, parse_action, parse_trade
from leverloop.scope import ScopeSchema

__all__ = ["Replay", "ReplayReport", "replay_files"]

_ACTIONS: Final = "actions"
_TRADES: Final = "trades"
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FAR_FUTURE_MS: Final = 2**53
"""Files do not say when a record reached its topic: nothing in them is too far ahead."""


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to: `OUT/report.json`."""

    actions: int
    trades: int
    outcomes: int
    expired: int
    epochs: int
    seconds: float
    outcomes_per_second: float
    dead_letters: dict[str, int]
    lesson_events: tuple[LessonEvent, ...]


class Replay:
    """The whole pipeline in one process, without a broker: one partition, the core's own steps.

    Parameters
    ----------
    parameters, schema
        The rules.
    """

    def __init__(self, parameters: Parameters, schema: ScopeSchema) -> None:
        self.parameters, self.schema = parameters, schema
        self.partition = OutcomesPartition(0, (_ACTIONS, _TRADES), parameters, schema)
        self.book: Book | None = None
        self.events: list[LessonEvent] = []
        self.counts: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self._trades: dict[str, Trade] = {}
        self._seen: dict[str, int] = {_ACTIONS: 0, _TRADES: 0}

    def action(self, raw: bytes) -> None:
        """Take one line of actions.jsonl."""
        try:
            action = parse_action(raw, received_at_ms=_FAR_FUTURE_MS, schema=self.schema)
            trade = log_action(self._trades.get(action.trade_id, EMPTY), action, self.parameters)
        except BadInput as bad:
            self.dead_letters[_reason(bad)] += 1
            return
        self._take(_ACTIONS, action, trade)

    def trade(self, raw: bytes) -> None:
        """Take one line of trades.jsonl."""
        try:
            close = parse_trade(raw, received_at_ms=_FAR_FUTURE_MS)
            trade = close_trade(self._trades.get(close.trade_id, EMPTY), close)
        except BadInput as bad:
            self.dead_letters[_reason(bad)] += 1
            return
        self._take(_TRADES, close, trade)

    def finish(self) -> Book | None:
        """Close the epoch that the last event lies in, as a marker would, and return the book."""
        last = max(self._seen.values()) + self.parameters.epoch_ms + self.parameters.epoch_slack_ms
        for source in self._seen:
            self._pass(source, last)
        return self.book

    def _take(self, source: str, event: ActionLogged | TradeClosed, trade: Trade) -> None:
        self.counts[source] += 1
        changed = trade is not self._trades.get(event.trade_id)
        self._trades[event.trade_id] = trade
        # An epoch is over before the event that ends it is counted: both orders give the same.
        self._pass(source, event.event_at_ms)
        if changed:
            for outcome in outcomes(trade, self.parameters):
                self._count(outcome)

    def _count(self, outcome: Outcome | OutcomeVoided) -> None:
        if isinstance(outcome, OutcomeVoided):
            self.partition.void(outcome)
        elif not self.partition.is_outdated(outcome):
            self.counts["outcomes"] += 1
            self.partition.put(outcome, self.partition.counts_from_ms(outcome))

    def _pass(self, source: str, at_ms: int) -> None:
        before = passed_epoch(self._seen[source], self.parameters)
        self._seen[source] = max(self._seen[source], at_ms)
        now = passed_epoch(self._seen[source], self.parameters)
        if now > before:
            self.partition.progress = passed(self.partition.progress, source, now)
            self._epochs()
            if passed_epoch(min(self._seen.values()), self.parameters) == now:
                self._forget()

    def _epochs(self) -> None:
        while (findings := self.partition.report()) is not None:
            if findings.epoch_at_ms == PROPOSAL:
                self.book = opened([findings], self.parameters)
            else:
                assert self.book is not None
                self.book = close_epoch(self.book, [findings], self.parameters)
                self.events.extend(self.book.events)
            self.partition.progress = told(self.partition.progress, decision(self.book))
            for outcome_id in self.partition.outdated(self.book.epoch_at_ms):
                self.partition.remove(outcome_id)

    def _forget(self) -> None:
        now_ms = min(self._seen.values())
        gone = [name for name, trade in self._trades.items() if deadline_at_ms(trade, self.parameters) < now_ms]
        for name in gone:
            trade = self._trades.pop(name)
            self.counts["expired"] += trade.close is None or not trade.actions


def replay_files(
    folder: Path,
    *,
    parameters: Parameters,
    schema: ScopeSchema,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[Replay, ReplayReport]:
    """Replay DIR/actions.jsonl and DIR/trades.jsonl in event-time order.

    Parameters
    ----------
    folder
        Where both files are.
    parameters, schema
        The rules.
    on_progress
        Called with the bytes read so far.

    Raises
    ------
    BadConfig
        If a file is missing.
    """
    for name in (_ACTIONS, _TRADES):
        if not (folder / f"{name}.jsonl").is_file():
            raise BadConfig(f"{folder / name}.jsonl: no such file; a replay reads actions.jsonl and trades.jsonl")
    replay = Replay(parameters, schema)
    started = time.perf_counter()
    read = 0
    for i, (_, source, line) in enumerate(_in_event_order(folder)):
        (replay.action if source == 0 else replay.trade)(line)
        read += len(line)
        if i % 1000 == 0:
            on_progress(read)
    replay.finish()
    on_progress(read)
    seconds = time.perf_counter() - started
    count = replay.counts["outcomes"]
    return replay, ReplayReport(
        actions=replay.counts[_ACTIONS],
        trades=replay.counts[_TRADES],
        outcomes=len(replay.partition),
        expired=replay.counts["expired"],
        epochs=replay.book.version if replay.book else 0,
        seconds=round(seconds, 3),
        outcomes_per_second=round(count / seconds, 1) if seconds else 0.0,
        dead_letters=dict(sorted(replay.dead_letters.items())),
        lesson_events=tuple(replay.events),
    )


class _When(msgspec.Struct):
    event_at_ms: Annotated[int, msgspec.Meta(le=_FAR_FUTURE_MS)] = 0


def _in_event_order(folder: Path) -> Iterator[tuple[int, int, bytes]]:
    """Lines of both files by event time, actions before trades: each file is in event-time order itself."""
    when = msgspec.json.Decoder(_When)

    def lines(name: str, source: int) -> Iterator[tuple[int, int, bytes]]:
        at_ms = 0
        with (folder / f"{name}.jsonl").open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                with contextlib.suppress(*_UNREADABLE):  # a dead letter keeps its place in the file
                    at_ms = max(at_ms, when.decode(line).event_at_ms)
                yield at_ms, source, line

    return heapq.merge(lines(_ACTIONS, 0), lines(_TRADES, 1), key=lambda entry: entry[:2])


def _reason(bad: BadInput) -> str:
    return f"{bad.field}: expected {bad.expected}"
