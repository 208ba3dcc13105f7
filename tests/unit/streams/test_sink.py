"""Sink: a record is written until the database has it."""

from typing import Any

import msgspec
import pytest

from leverloop.errors import BadInput, Unavailable
from leverloop.snapshot import Snapshot, encode_snapshot
from leverloop.testing import make_snapshot
from streams.codec import dead_letter, encode
from streams.records import Record
from streams.sink import _is_heartbeat, _written
from streams.topics import DEAD_LETTERS, OVERRIDES
from tables.postgres.writer import DeadLetterRow


class AwayDatabase:
    """A read model that does not answer the first few times."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.rows: list[tuple[str, int, int, Any]] = []

    async def write(self, topic: str, partition: int, offset: int, rows: Any) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("PostgreSQL: gone", retry_after_s=0.0)
        self.rows.append((topic, partition, offset, rows))


def a_record(topic: str, value: bytes) -> Record:
    return Record(topic=topic, partition=2, offset=9, value=value, received_at_ms=0)


@pytest.mark.parametrize("away", [0, 3])
async def test_a_snapshot_is_written_once_however_long_the_database_is_away(away: int) -> None:
    model, snapshot = AwayDatabase(away), make_snapshot(version=3)
    await _written(model, a_record(OVERRIDES, encode_snapshot(snapshot)))  # type: ignore[arg-type]
    assert model.rows == [(OVERRIDES, 2, 9, snapshot)]
    assert isinstance(model.rows[0][3], Snapshot)


@pytest.mark.parametrize(("topic", "key", "beats"), [(OVERRIDES, b"pm/heartbeat", True), (OVERRIDES, b"pm", False)])
def test_a_heartbeat_is_no_row(topic: str, key: bytes, beats: bool) -> None:
    assert _is_heartbeat(Record(topic=topic, partition=0, offset=1, key=key, value=b"x", received_at_ms=0)) is beats


async def test_a_dead_letter_comes_with_what_the_table_keeps() -> None:
    letter = dead_letter(
        BadInput("rr", "a number", None),
        topic="leverloop.trades",
        partition=1,
        offset=4,
        received_at_ms=5,
        original=b"x",
    )
    model = AwayDatabase(0)
    await _written(model, a_record(DEAD_LETTERS, encode(letter)))  # type: ignore[arg-type]
    (row,) = (row for *_, row in model.rows)
    assert isinstance(row, DeadLetterRow)
    assert (row.topic, row.partition, row.offset, row.field) == ("leverloop.trades", 1, 4, "rr")


async def test_what_does_not_read_is_no_reason_to_wait() -> None:
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        await _written(AwayDatabase(0), a_record(OVERRIDES, b"{"))  # type: ignore[arg-type]
