"""Writes of the read model: each record in one transaction with its offset, so that none counts twice."""

from __future__ import annotations

import base64
from typing import Any, Final

import asyncpg
import msgspec

from learning.lessons import Lesson, LessonEvent
from leverloop.errors import Unavailable
from leverloop.snapshot import Snapshot

__all__ = ["DeadLetterRow", "ReadModel"]

_LESSON: Final = """
INSERT INTO learning_lessons (lesson_id, lesson_type, module, pattern_key, action_category, scope, direction, state,
    reason, created_at_ms, changed_at_ms, n, effect_rr, error_rr, edge_raw, levers, evidence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (lesson_id) DO UPDATE SET state = excluded.state, reason = excluded.reason, direction = excluded.direction,
    created_at_ms = excluded.created_at_ms, changed_at_ms = excluded.changed_at_ms, n = excluded.n,
    effect_rr = excluded.effect_rr, error_rr = excluded.error_rr, edge_raw = excluded.edge_raw,
    levers = excluded.levers, evidence = excluded.evidence"""
_EVENT: Final = """
INSERT INTO lesson_events (lesson_id, epoch_at_ms, from_state, to_state, reason, pattern_key, action_category, scope,
    direction, effect_rr, error_rr, n)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING"""
_CONFIG: Final = """
INSERT INTO learning_configs (module, version, epoch_at_ms, published_at_ms, content_hash, override_count, snapshot)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (module, version) DO UPDATE SET
    published_at_ms = excluded.published_at_ms"""
_DEAD: Final = """
INSERT INTO dead_letters (topic, partition, record_offset, field, reason, received_at_ms, original)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"""
_LOCK_OFFSET: Final = "SELECT next_offset FROM sink_offsets WHERE topic = $1 AND partition = $2 FOR UPDATE"
_SET_OFFSET: Final = """
INSERT INTO sink_offsets (topic, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset"""

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it stops, starts or recovers
    asyncpg.InsufficientResourcesError,  # too many connections, no disk left
    asyncpg.TransactionRollbackError,  # deadlock, serialisation
    asyncpg.ReadOnlySQLTransactionError,  # the other side of a failover
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last word stood in the buffer when we spoke
)


class DeadLetterRow(msgspec.Struct, frozen=True):
    """A dead letter as its topic carries it; the fields the table keeps."""

    topic: str
    partition: int
    offset: int
    field: str
    reason: str
    received_at_ms: int
    original_b64: str


class ReadModel:
    """Connection pool and statements of the read model.

    Parameters
    ----------
    dsn
        PostgreSQL, migrated.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: Any = None

    async def write(self, topic: str, partition: int, offset: int, rows: Any) -> None:
        """Write one record's row and its offset in one transaction; a record known already changes nothing.

        Raises
        ------
        Unavailable
            If the database does not answer now.
        """
        try:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(self._dsn, min_size=1, max_size=2, command_timeout=30)
            async with self._pool.acquire() as connection, connection.transaction():
                known = await connection.fetchval(_LOCK_OFFSET, topic, partition)
                if known is None or offset >= known:
                    await connection.execute(*_statement(rows))
                    await connection.execute(_SET_OFFSET, topic, partition, offset + 1)
        except _AWAY as error:
            if self._pool is not None:
                await self._pool.expire_connections()  # what the server has ended is not used again
            raise Unavailable(f"PostgreSQL: {error}", retry_after_s=1.0) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


def _statement(row: Lesson | LessonEvent | Snapshot | DeadLetterRow) -> tuple[Any, ...]:
    if isinstance(row, Lesson):
        return _LESSON, *_lesson(row)
    if isinstance(row, LessonEvent):
        return _EVENT, *_event(row)
    if isinstance(row, Snapshot):
        count = sum(1 for _ in row.overrides())
        return (
            _CONFIG,
            row.module,
            row.version,
            row.epoch_at_ms,
            row.published_at_ms,
            row.content_hash,
            count,
            _json(row),
        )
    original = base64.b64decode(row.original_b64)
    field, reason = (text.replace("\x00", "") for text in (row.field, row.reason))  # PostgreSQL's text has no NUL
    return _DEAD, row.topic, row.partition, row.offset, field, reason, row.received_at_ms, original


def _lesson(lesson: Lesson) -> tuple[Any, ...]:
    seen = lesson.evidence
    return (
        lesson.id,
        lesson.lesson_type,
        lesson.module,
        lesson.pattern_key,
        lesson.action_category,
        _json(lesson.scope),
        lesson.direction,
        lesson.state,
        lesson.reason,
        lesson.created_at_ms,
        lesson.changed_at_ms,
        seen.stats.n,
        seen.effect_rr,
        seen.error_rr,
        seen.stats.edge_raw,
        _json(lesson.levers),
        _json(seen),
    )


def _event(event: LessonEvent) -> tuple[Any, ...]:
    return (
        event.lesson_id,
        event.epoch_at_ms,
        event.from_state,
        event.to_state,
        event.reason,
        event.pattern_key,
        event.action_category,
        _json(event.scope),
        event.direction,
        event.effect_rr,
        event.error_rr,
        event.n,
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode().replace("\\u0000", "")
