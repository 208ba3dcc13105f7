"""The read model: each record once, whatever it says, and a database that is away is waited for."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest

from app.embedded.postgres import EmbeddedPostgres
from learning.lessons import Lesson, LessonEvent, nominated, reviewed
from learning.parameters import Parameters
from leverloop.errors import BadInput, Unavailable
from leverloop.testing import make_override, make_snapshot
from streams.codec import dead_letter, encode
from tables.postgres.migrations import migrate
from tables.postgres.writer import DeadLetterRow, ReadModel
from tests.laws.examples import START_MS, some_evidence

pytestmark = pytest.mark.postgres

GROUP = "pm.uptrend.S1.buy_flag|entry"
CANDIDATE, BORN = nominated(
    "pm_strength", "pm", GROUP, {"bucket": "micro"}, some_evidence(), epoch_at_ms=START_MS, ordinal=1
)
LESSON = msgspec.structs.replace(CANDIDATE, state="active", reason="confirmed")


class Reader:
    """The model under test, and a connection that looks at what it wrote."""

    def __init__(self, dsn: str, connection: Any) -> None:
        self.model, self._connection = ReadModel(dsn), connection

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(query)]


@pytest.fixture
async def read(empty_dsn: str) -> AsyncIterator[Reader]:
    await migrate(empty_dsn)
    connection = await asyncpg.connect(empty_dsn)
    reader = Reader(empty_dsn, connection)
    yield reader
    await reader.model.close()
    await connection.close()


async def test_a_lesson_is_a_row_that_follows_its_record(read: Reader) -> None:
    await read.model.write("lessons", 0, 0, LESSON)
    retired, event = reviewed(LESSON, some_evidence(effect_rr=-1.0, epoch_at_ms=START_MS + 1), Parameters())
    await read.model.write("lessons", 0, 1, retired)
    (row,) = await read.rows("SELECT lesson_id, state, reason, scope, n, effect_rr, levers FROM learning_lessons")
    assert row == (LESSON.id, "retired", "effect_turned", '{"bucket": "micro"}', 100, -1.0, "{}")
    assert isinstance(event, LessonEvent)
    for offset, each in enumerate((BORN, event)):
        await read.model.write("events", 0, offset, each)
    assert await read.rows("SELECT from_state, to_state FROM lesson_events ORDER BY epoch_at_ms") == [
        (None, "candidate"),
        ("active", "retired"),
    ]


async def test_a_redelivered_record_changes_nothing(read: Reader) -> None:
    newer = msgspec.structs.replace(LESSON, reason="newer")
    for offset, lesson in ((4, LESSON), (5, newer), (4, LESSON), (5, LESSON)):
        await read.model.write("lessons", 0, offset, lesson)
    assert await read.rows("SELECT reason FROM learning_lessons") == [("newer",)]
    assert await read.rows("SELECT topic, partition, next_offset FROM sink_offsets") == [("lessons", 0, 6)]


async def test_partitions_have_their_own_offsets(read: Reader) -> None:
    await read.model.write("lessons", 0, 9, LESSON)
    await read.model.write("lessons", 1, 0, msgspec.structs.replace(LESSON, id="ls_2"))
    assert await read.rows("SELECT count(*) FROM learning_lessons") == [(2,)]


async def test_a_snapshot_is_kept_whole(read: Reader) -> None:
    snapshot = make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"}), version=3)
    later = msgspec.structs.replace(snapshot, published_at_ms=snapshot.published_at_ms + 5)
    await read.model.write("overrides", 0, 0, snapshot)
    await read.model.write("overrides", 0, 1, later)
    ((version, published, count, raw),) = await read.rows(
        "SELECT version, published_at_ms, override_count, snapshot FROM learning_configs"
    )
    assert (version, published, count) == (3, later.published_at_ms, 1)
    assert json.loads(raw)["content_hash"] == snapshot.content_hash


NOISE = "".join(map(chr, Random(1).choices(range(0x1F300, 0x1F600), k=15_000)))  # it does not compress
BAD = {
    "plain": BadInput("rr", "a number", None),
    "a NUL": BadInput("scope.\x00", "a string", "\x00"),
    "half a character": BadInput("scope.\ud800", "a string", "\ud800"),
    "a name without end": BadInput(f"scope.{NOISE}", "a finite number", float("nan")),
    "an expectation without end": BadInput("scope.x", f"one of {NOISE}", "x"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("original", [b"", b"\x00\xff", b"x" * 100_000], ids=["nothing", "bytes", "long"])
async def test_every_dead_letter_can_be_kept(read: Reader, bad: BadInput, original: bytes) -> None:
    letter = dead_letter(bad, topic="trades", partition=3, offset=9, received_at_ms=START_MS, original=original)
    row = msgspec.json.decode(encode(letter), type=DeadLetterRow)
    for _ in range(2):
        await read.model.write("dead", 0, 0, row)
    assert await read.rows("SELECT topic, partition, record_offset, received_at_ms, original FROM dead_letters") == [
        ("trades", 3, 9, START_MS, original)
    ]


async def test_letters_of_one_record_are_all_kept(read: Reader) -> None:
    for offset, name in enumerate(("open", "unheard", "open")):
        letter = dead_letter(
            BadInput("trade_id", "a close within max_open", name),
            topic="trades", partition=3, offset=9, received_at_ms=START_MS, original=name.encode(),
        )  # fmt: skip
        await read.model.write("dead", 0, offset, msgspec.json.decode(encode(letter), type=DeadLetterRow))
    assert await read.rows("SELECT count(*) FROM dead_letters") == [(2,)]


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    model = ReadModel(f"postgresql://postgres:@/postgres?host={tmp_path}")
    with pytest.raises(Unavailable, match="PostgreSQL: "):
        await model.write("lessons", 0, 0, LESSON)


async def test_a_connection_that_the_server_ends_is_unavailable_and_then_made_anew(read: Reader) -> None:
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    for offset in range(20):
        lesson = msgspec.structs.replace(LESSON, reason=str(offset))
        assert await attempts(read.model, offset, lesson) <= 3
        assert await read.rows("SELECT reason FROM learning_lessons") == [(str(offset),)]
        # Every other time its end is there before the next write, else it comes in the middle of it.
        wait_ms = 1000 * (offset % 2)
        await read.rows(f"SELECT pg_terminate_backend(pid, {wait_ms}) {others}")


async def attempts(model: ReadModel, offset: int, lesson: Lesson) -> int:
    """Write as the sink does, and count how often it was told to wait."""
    for waited in range(10):
        try:
            await model.write("lessons", 0, offset, lesson)
        except Unavailable:
            continue
        return waited
    return 10


async def test_a_server_that_stops_and_comes_back_is_waited_for(server_folder: Path) -> None:
    with EmbeddedPostgres(server_folder / "own") as server:
        await migrate(server.dsn)
        model = ReadModel(server.dsn)
        await model.write("lessons", 0, 0, LESSON)
    with pytest.raises(Unavailable, match="PostgreSQL: "):
        await model.write("lessons", 0, 1, LESSON)
    with EmbeddedPostgres(server_folder / "own"):
        await model.write("lessons", 0, 2, LESSON)
        await model.close()


async def test_a_row_that_no_database_takes_is_no_reason_to_wait(read: Reader) -> None:
    with pytest.raises((asyncpg.PostgresError, ValueError)):
        await read.model.write("lessons", 0, 0, msgspec.structs.replace(LESSON, created_at_ms=2**70))
    with pytest.raises(asyncpg.CheckViolationError):
        await read.model.write("lessons", 0, 0, msgspec.structs.replace(LESSON, module="xx"))
