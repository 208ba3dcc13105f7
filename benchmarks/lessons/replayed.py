"""One replay of a stream, with the lessons as they stood after every epoch."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from app.replay import Replay, ReplayReport
from app.replay_output import snapshots_of, write_output
from learning.lessons import LIVE, Lesson, LessonEvent
from learning.parameters import Parameters
from leverloop.levers import EXECUTION_LEVERS, LEVERS
from leverloop.patterns import Module
from leverloop.scope import DEFAULT_SCHEMA, ScopeValue, scope_hash
from leverloop.snapshot import Snapshot

__all__ = ["LIVE", "Moved", "Replayed", "off_neutral", "replayed"]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """An execution lever that is published and not at its neutral."""

    group: str
    scope: dict[str, ScopeValue]
    lever: str
    value: float


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to."""

    seconds: float
    """From the first line read to the last epoch closed; writing the output is not in it."""
    epochs: int
    history: list[tuple[int, dict[str, Lesson]]]
    """(epoch, lessons by id), after every epoch."""
    events: list[LessonEvent]
    moved: int
    """Execution levers that were off neutral after any epoch."""
    snapshots: dict[Module, Snapshot]
    """Those at the end."""

    @property
    def lessons(self) -> dict[str, Lesson]:
        """Lessons at the end."""
        return self.history[-1][1] if self.history else {}

    @property
    def activated(self) -> set[str]:
        """Ids of the lessons that ever became active; execution levers are counted by what moved."""
        tuning = {
            name for _, lessons in self.history for name, known in lessons.items() if known.lesson_type == "pm_tuning"
        }
        return {event.lesson_id for event in self.events if event.to_state == "active"} - tuning


class _When(msgspec.Struct):
    event_at_ms: int


def replayed(folder: Path, out: Path, parameters: Parameters) -> Replayed:
    """Replay DIR as `leverloop replay jsonl` does, and write what it writes.

    `app.replay.replay_files` tells what stands at the end; the life of a lesson and of its levers is only
    seen by looking after each line, which is what this does.
    """
    replay = Replay(parameters, DEFAULT_SCHEMA)
    watch = _Watch()
    started = time.perf_counter()
    for source, line in _in_event_order(folder):
        (replay.action if source == 0 else replay.trade)(line)
        watch.look(replay)
    replay.finish()
    watch.look(replay)
    seconds = time.perf_counter() - started
    snapshots = write_output(replay, _report(replay, seconds), out)
    return Replayed(
        seconds=seconds,
        epochs=replay.book.version if replay.book else 0,
        history=watch.history,
        events=replay.events,
        moved=len(watch.moved),
        snapshots=snapshots,
    )


def off_neutral(snapshots: Iterable[Snapshot]) -> list[Moved]:
    """Execution levers of snapshots that are not at their neutral; a threshold has none, and counts."""
    return [
        Moved(group=f"{found.pattern_key}|{found.action_category}", scope=found.scope, lever=name, value=value)
        for snapshot in snapshots
        for found in snapshot.overrides()
        for name, value in found.levers.items()
        if name in EXECUTION_LEVERS and value != LEVERS[name].neutral
    ]


class _Watch:
    """What is seen after every epoch."""

    def __init__(self) -> None:
        self.history: list[tuple[int, dict[str, Lesson]]] = []
        self.moved: set[tuple[str, str, str]] = set()

    def look(self, replay: Replay) -> None:
        book = replay.book
        if book is None or not book.version or (self.history and book.epoch_at_ms == self.history[-1][0]):
            return
        self.history.append((book.epoch_at_ms, book.lessons))
        moved = off_neutral(snapshots_of(replay).values())
        self.moved.update((each.group, scope_hash(each.scope), each.lever) for each in moved)


def _in_event_order(folder: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of both files by event time, actions before trades: each file is in event-time order itself."""
    when = msgspec.json.Decoder(_When)

    def lines(name: str, source: int) -> Iterator[tuple[int, int, bytes]]:
        with (folder / f"{name}.jsonl").open("rb") as file:
            for line in file:
                yield when.decode(line).event_at_ms, source, line

    for _, source, line in heapq.merge(lines("actions", 0), lines("trades", 1), key=lambda entry: entry[:2]):
        yield source, line


def _report(replay: Replay, seconds: float) -> ReplayReport:
    return ReplayReport(
        actions=replay.counts["actions"],
        trades=replay.counts["trades"],
        outcomes=len(replay.partition),
        expired=replay.counts["expired"],
        epochs=replay.book.version if replay.book else 0,
        seconds=round(seconds, 3),
        outcomes_per_second=round(replay.counts["outcomes"] / seconds, 1),
        dead_letters=dict(replay.dead_letters),
        lesson_events=tuple(replay.events),
    )
