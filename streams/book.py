"""Stage: findings of all partitions -> lesson book -> decisions, lessons, snapshots (spec sections 7, 8, 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faust

from learning.book import Book, close_epoch, decision, opened
from learning.overrides import snapshot
from learning.parameters import Parameters
from learning.progress import PROPOSAL
from leverloop.patterns import MODULES
from leverloop.snapshot import encode_snapshot
from streams.codec import decode_findings, encode
from streams.records import raw_topic, record_of
from streams.topics import FINDINGS, LESSON_EVENTS, LESSONS, OUTCOMES, SNAPSHOTS
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tables.partitioned import PartitionedTable

__all__ = ["book", "next_book"]


def book(
    app: faust.App,
    table: PartitionedTable[BookState],
    *,
    partitions: int,
    parameters: Parameters,
    config_hash: str,
    engine_version: str,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage into an app."""
    outcomes, lessons, events, snapshots = (
        raw_topic(app, name) for name in (OUTCOMES, LESSONS, LESSON_EVENTS, SNAPSHOTS)
    )

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            state = table.state(record.partition)
            findings = decode_findings(record.value)
            table[pending_key(findings.partition)] = stored_book(findings)
            closed = next_book(state, partitions, parameters)
            if closed is not None:
                table[BOOK_KEY] = stored_book(closed)
            if state.book is not None and (closed is not None or not state.told):
                await tell(state.book)
                state.told = True

    async def tell(now: Book) -> None:
        for event in now.events:
            await events.send(key=event.lesson_id.encode(), value=encode(event), partition=0)
        changed = {event.lesson_id for event in now.events}
        for lesson in now.lessons.values():
            if lesson.state != "retired" or lesson.id in changed:
                await lessons.send(key=lesson.id.encode(), value=encode(lesson), partition=0)
        for module, value in _snapshots(now, parameters, config_hash, engine_version):
            await snapshots.send(key=module.encode(), value=value, partition=0)
        told = encode(decision(now))
        for partition in range(partitions):
            await outcomes.send(key=b"book", value=told, partition=partition)

    app.agent(raw_topic(app, FINDINGS), name="book")(guarded(run))


def next_book(state: BookState, partitions: int, parameters: Parameters) -> Book | None:
    """Book after the epoch that all partitions have reported, or None while any is missing."""
    wanted = PROPOSAL if state.book is None else state.book.epoch_at_ms + parameters.epoch_ms
    ready = [found for found in state.pending.values() if found.epoch_at_ms == wanted]
    if len(ready) < partitions:
        return None
    return opened(ready, parameters) if state.book is None else close_epoch(state.book, ready, parameters)


def _snapshots(now: Book, parameters: Parameters, config_hash: str, engine_version: str) -> Iterator[tuple[str, bytes]]:
    """Snapshot of each module that has groups, once an epoch was closed."""
    for module in MODULES if now.version else ():
        if any(part.group.startswith(f"{module}.") for part in now.baselines):
            found = snapshot(
                module,
                [now.lessons[name] for name in sorted(now.lessons) if now.lessons[name].module == module],
                version=now.version,
                epoch_at_ms=now.epoch_at_ms,
                config_hash=config_hash,
                engine_version=engine_version,
                parameters=parameters,
                factors=now.factors,
                size_scale=now.size_scale,
            )
            yield module, encode_snapshot(found)
