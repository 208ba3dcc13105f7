"""Stage: lessons, lesson events, overrides, dead letters -> PostgreSQL, a view of the topics (spec section 15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import faust
import msgspec
import structlog

from learning.lessons import Lesson, LessonEvent
from leverloop.errors import Unavailable
from leverloop.snapshot import Snapshot
from streams.records import Record, raw_topic, record_of
from streams.topics import DEAD_LETTERS, LESSON_EVENTS, LESSONS, OVERRIDES
from tables.postgres.writer import DeadLetterRow, ReadModel

__all__ = ["sink"]

_LOG = structlog.get_logger(__name__)
_KINDS: Final[dict[str, Any]] = {
    LESSONS: msgspec.json.Decoder(Lesson),
    LESSON_EVENTS: msgspec.json.Decoder(LessonEvent),
    OVERRIDES: msgspec.json.Decoder(Snapshot),
    DEAD_LETTERS: msgspec.json.Decoder(DeadLetterRow),
}


def sink(app: faust.App, model: ReadModel, *, guarded: Callable[[Any], Any]) -> None:
    """Wire the stage into an app: one agent a topic, so that none waits for another."""

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            if record.value and not _is_heartbeat(record):
                await _written(model, record)

    for topic in _KINDS:
        app.agent(raw_topic(app, topic), name=f"sink_{topic.rpartition('.')[2].replace('-', '_')}")(guarded(run))


def _is_heartbeat(record: Record) -> bool:
    """Whether a record says only that a snapshot stands, which stands there already."""
    return record.topic == OVERRIDES and record.key.endswith(b"/heartbeat")


async def _written(model: ReadModel, record: Record) -> None:
    """Write a record, however long the database is away: only the sink waits, learning goes on."""
    row = _KINDS[record.topic].decode(record.value)
    while True:
        try:
            await model.write(record.topic, record.partition, record.offset, row)
        except Unavailable as away:
            _LOG.warning("read_model_unavailable", reason=str(away), topic=record.topic, offset=record.offset)
            await asyncio.sleep(away.retry_after_s)
        else:
            return
