"""Stage: findings of all partitions, commands -> lesson book -> decisions, lessons, drafts (spec sections 7, 8, 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import faust
import msgspec

from learning.book import Book, close_epoch, commanded, decision, opened
from learning.commands import LessonCommand
from learning.lessons import Lesson
from learning.movement import Limits
from learning.overrides import snapshot
from learning.parameters import Parameters
from learning.progress import PROPOSAL
from leverloop.errors import BadInput
from leverloop.patterns import MODULES, Module
from leverloop.snapshot import Snapshot, encode_snapshot
from streams.codec import Draft, decode_findings, encode
from streams.records import raw_topic, record_of
from streams.topics import CONTROL_EVENTS, DRAFTS, FINDINGS, LESSON_EVENTS, LESSONS, OUTCOMES
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tables.partitioned import PartitionedTable

__all__ = ["book", "drafts_of", "next_book"]

_NAMED: Final = 3
"""Lessons that a refusal names."""


def book(
    app: faust.App,
    table: PartitionedTable[BookState],
    *,
    partitions: int,
    parameters: Parameters,
    config_hash: str,
    engine_version: str,
    limits: Limits,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage into an app."""
    out = {name: raw_topic(app, name) for name in (OUTCOMES, LESSONS, LESSON_EVENTS, DRAFTS, CONTROL_EVENTS)}

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            state = table.state(record.partition)
            findings = decode_findings(record.value)
            if isinstance(findings, LessonCommand):
                await obey(state, findings)
                continue
            table[pending_key(findings.partition)] = stored_book(findings)
            closed = next_book(state, partitions, parameters)
            if closed is not None:
                table[BOOK_KEY] = stored_book(closed)
            if state.book is not None and (closed is not None or not state.told):
                drafts = drafts_of(state.book, parameters, config_hash, engine_version, limits)
                for topic, key, value, partition in _told(state.book, drafts, partitions):
                    await out[topic].send(key=key.encode(), value=encode(value), partition=partition)
                state.told = True

    async def obey(state: BookState, command: LessonCommand) -> None:
        """Answer a command before the book remembers it: else a crash in between would leave it without an answer."""
        found = commanded(state.book or Book(epoch_at_ms=0), command)
        if found is None:
            return
        now, answer = found
        await (await out[CONTROL_EVENTS].send(key=answer.id.encode(), value=encode(answer), partition=0))
        if state.book is not None:
            table[BOOK_KEY] = stored_book(now)

    app.agent(raw_topic(app, FINDINGS), name="book")(guarded(run))


def next_book(state: BookState, partitions: int, parameters: Parameters) -> Book | None:
    """Book after the epoch that all partitions have reported, or None while any is missing."""
    wanted = PROPOSAL if state.book is None else state.book.epoch_at_ms + parameters.epoch_ms
    ready = [found for found in state.pending.values() if found.epoch_at_ms == wanted]
    if len(ready) < partitions:
        return None
    return opened(ready, parameters) if state.book is None else close_epoch(state.book, ready, parameters)


def _told(now: Book, drafts: Iterable[Draft], partitions: int) -> Iterator[tuple[str, str, msgspec.Struct, int]]:
    """What is said of an epoch that was closed: (topic, key, message, partition)."""
    for event in now.events:
        yield LESSON_EVENTS, event.lesson_id, event, 0
    changed = {event.lesson_id for event in now.events}
    for lesson in now.lessons.values():
        if lesson.state != "retired" or lesson.id in changed:
            yield LESSONS, lesson.id, lesson, 0
    for draft in drafts:
        yield DRAFTS, draft.module, draft, 0
    decided = decision(now)
    for partition in range(partitions):
        yield OUTCOMES, "book", decided, partition


def drafts_of(
    now: Book, parameters: Parameters, config_hash: str, engine_version: str, limits: Limits
) -> Iterator[Draft]:
    """Draft of each module that has groups, once an epoch was closed; its reason says why if it can have none."""
    made = partial(
        snapshot,
        version=now.version,
        epoch_at_ms=now.epoch_at_ms,
        config_hash=config_hash,
        engine_version=engine_version,
        parameters=parameters,
        factors=now.factors,
        size_scale=now.size_scale,
        input_offsets=now.input_offsets,
    )
    for module in MODULES if now.version else ():
        if any(part.group.startswith(f"{module}.") for part in now.baselines):
            lessons = [now.lessons[name] for name in sorted(now.lessons) if now.lessons[name].module == module]
            try:
                found = made(module, lessons)
            except BadInput as bad:
                reason = f"{bad}; {_to_blame(made, module, lessons)}"
                yield Draft(module=module, epoch_at_ms=now.epoch_at_ms, size_bytes=0, snapshot=None, reason=reason)
                continue
            size_bytes = len(encode_snapshot(found))
            fits = size_bytes <= limits.max_bytes
            yield Draft(
                module=module,
                epoch_at_ms=now.epoch_at_ms,
                size_bytes=size_bytes,
                snapshot=found if fits else None,
            )


def _to_blame(made: Callable[[Module, list[Lesson]], Snapshot], module: Module, lessons: Iterable[Lesson]) -> str:
    """Which lessons no snapshot can be made of, and what to do."""
    blamed: list[str] = []
    for lesson in lessons:
        try:
            made(module, [lesson])
        except BadInput:
            blamed.append(lesson.id)
    if not blamed:
        return "no lesson alone is to blame"
    more = f" and {len(blamed) - _NAMED} more" if len(blamed) > _NAMED else ""
    return f"lessons {', '.join(blamed[:_NAMED])}{more}: `leverloop lessons disable` takes one out"
