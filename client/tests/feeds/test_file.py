"""The file feed: reads at once, reads again when the file changes, waits for one that is not there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord
from leverloop.feeds.file import FileFeed

SOON_S = 10.0


async def soon(records: AsyncIterator[FeedRecord]) -> FeedRecord:
    async with asyncio.timeout(SOON_S):
        return await anext(records)


def put(path: Path, value: bytes) -> None:
    """Replace a file as a publisher should: by a rename."""
    new = path.with_suffix(".new")
    new.write_bytes(value)
    new.replace(path)


async def test_content_comes_at_once_and_again_at_each_change(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    put(path, b"one")
    feed = FileFeed(path, poll_s=0.001, clock_ms=lambda: 7)
    records = feed.follow("pm")
    assert await soon(records) == FeedRecord(key="pm", value=b"one", offset=0, received_at_ms=7)
    put(path, b"two")
    assert await soon(records) == FeedRecord(key="pm", value=b"two", offset=1, received_at_ms=7)
    put(path, b"two")  # the same bytes in another file: a publisher that says it still stands
    assert (await soon(records)).offset == 2
    await feed.close()
    with pytest.raises(StopAsyncIteration):
        await soon(records)


async def test_a_file_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later.json"
    feed = FileFeed(path, poll_s=0.001)
    waiting = asyncio.ensure_future(soon(feed.follow("pm")))
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert not done
    put(path, b"here")
    assert (await waiting).value == b"here"


async def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Is a directory"):
        await soon(FileFeed(tmp_path).follow("pm"))


async def test_everybody_who_follows_reads_for_himself(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    put(path, b"one")
    feed = FileFeed(path, poll_s=0.001)
    assert [(await soon(feed.follow("pm"))).value for _ in range(2)] == [b"one", b"one"]
