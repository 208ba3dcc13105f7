"""The embedded feed: the newest of its key first, then each newer one, from other connections and processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord
from leverloop.feeds.embedded import EmbeddedFeed
from leverloop.live import LiveBook
from leverloop.partitions import partition_of
from leverloop.snapshot import encode_snapshot
from leverloop.testing import make_override, make_snapshot

TOPIC = "leverloop.overrides"
SOON_S = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "log.db"
    with EmbeddedLog(found) as log:
        log.create_topic(TOPIC, 1)
    return found


def put(path: Path, *records: tuple[bytes, bytes | None]) -> None:
    with EmbeddedLog(path) as log:
        log.append([NewRecord(topic=TOPIC, partition=0, key=k, value=v, timestamp_ms=0) for k, v in records])


async def soon(records: AsyncIterator[FeedRecord]) -> FeedRecord:
    async with asyncio.timeout(SOON_S):
        return await anext(records)


async def test_the_newest_of_its_key_comes_first_and_then_each_newer_one(path: Path) -> None:
    put(path, (b"pm", b"1"), (b"pm", b"2"), (b"dm", b"x"))
    feed = EmbeddedFeed(path, poll_s=0.001, clock_ms=lambda: 7)
    records = feed.follow("pm")
    assert await soon(records) == FeedRecord(key="pm", value=b"2", offset=1, received_at_ms=7)
    put(path, (b"dm", b"y"), (b"pm", b"3"), (b"pm", None), (b"pm", b"4"))
    assert [(await soon(records)).value for _ in range(2)] == [b"3", b"4"]
    put(path, (b"pm", b"5"))
    assert (await soon(records)).offset == 7
    await feed.close()
    with pytest.raises(StopAsyncIteration):
        await soon(records)


async def test_an_empty_topic_is_waited_on(path: Path) -> None:
    feed = EmbeddedFeed(path, poll_s=0.001)
    waiting = asyncio.ensure_future(soon(feed.follow("pm")))
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert not done
    put(path, (b"pm", b"1"))
    assert (await waiting).value == b"1"


async def test_a_snapshot_that_was_deleted_is_not_the_newest(path: Path) -> None:
    put(path, (b"pm", b"1"), (b"pm", None))
    feed = EmbeddedFeed(path, poll_s=0.001)
    records = feed.follow("pm")
    waiting = asyncio.ensure_future(soon(records))
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert not done
    put(path, (b"pm", b"2"))
    assert (await waiting).value == b"2"


async def test_reading_goes_on_across_compaction(path: Path) -> None:
    put(path, (b"pm", b"1"), (b"pm", b"2"))
    feed = EmbeddedFeed(path, poll_s=0.001)
    records = feed.follow("pm")
    assert (await soon(records)).value == b"2"
    put(path, (b"pm", b"3"), (b"pm", b"4"))
    with EmbeddedLog(path) as log:
        log.compact(TOPIC)
    assert (await soon(records)).value == b"4"


async def test_a_log_or_a_topic_that_is_not_there_yet_is_unavailable(tmp_path: Path, path: Path) -> None:
    with pytest.raises(Unavailable, match="not there"):
        await soon(EmbeddedFeed(tmp_path / "none.db").follow("pm"))
    with pytest.raises(Unavailable, match="leverloop topics create"):
        await soon(EmbeddedFeed(path, topic="leverloop.other").follow("pm"))


_WRITER = """
import sys
from pathlib import Path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.partitions import partition_of
from leverloop.snapshot import encode_snapshot
from leverloop.testing import make_override, make_snapshot
with EmbeddedLog(Path(sys.argv[1])) as log:
    for version in (1, 2):
        snapshot = make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"}), version=version)
        log.append([NewRecord(topic="leverloop.overrides", partition=0, key=b"pm", value=encode_snapshot(snapshot),
                              timestamp_ms=0)])
"""


async def test_a_live_book_sees_what_another_process_published(path: Path) -> None:
    feed = EmbeddedFeed(path, poll_s=0.001)
    live = LiveBook(feed, "pm")
    task = asyncio.create_task(live.run())
    put(path, (b"dm", encode_snapshot(make_snapshot(make_override({"size_mult": 1.1}, {"bucket": "xl"})))))
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _WRITER, str(path)], check=True)
    book = await live.wait_until(lambda book: book.version == 2, SOON_S)
    assert book.snapshot is not None
    await feed.close()
    await task


async def test_snapshots_and_heartbeats_are_followed_together(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EmbeddedLog(path) as log:
        log.create_topic(TOPIC, 1)
    put(path, (b"pm/heartbeat", b"beat 1"), (b"pm", b"1"), (b"pm", b"2"))
    feed = EmbeddedFeed(path, poll_s=0.001)
    records = feed.follow("pm", "pm/heartbeat")
    assert [(found.key, found.value) for found in (await soon(records), await soon(records))] == [
        ("pm", b"2"),
        ("pm/heartbeat", b"beat 1"),
    ]
    put(path, (b"pm/heartbeat", b"beat 2"), (b"dm/heartbeat", b"x"), (b"pm", b"3"))
    assert [(await soon(records)).value for _ in range(2)] == [b"beat 2", b"3"]
    await feed.close()


async def test_keys_may_lie_in_several_partitions(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EmbeddedLog(path) as log:
        log.create_topic(TOPIC, 5)
        placed = [(key, partition_of(key, 5)) for key in (b"pm", b"pm/heartbeat")]
        log.append([NewRecord(topic=TOPIC, partition=p, key=k, value=k, timestamp_ms=0) for k, p in placed])
    assert len({partition for _, partition in placed}) == 2
    feed = EmbeddedFeed(path, poll_s=0.001)
    records = feed.follow("pm", "pm/heartbeat")
    assert [(await soon(records)).value for _ in range(2)] == [b"pm", b"pm/heartbeat"]
    await feed.close()
