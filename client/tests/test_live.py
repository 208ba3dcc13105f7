"""The live book: keeps the last good snapshot, never goes backwards, dies when told to."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leverloop.errors import BadConfig, Unavailable
from leverloop.live import KILL_VARIABLE, LiveBook
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS, MemoryFeed, make_snapshot

from .living import SOON_S, running, size, v


async def test_it_is_neutral_until_the_first_snapshot_and_follows_from_then_on() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        assert size(live) == ("NOT_READY", 1.0, None)
        feed.publish(v(1, 1.2))
        await live.wait_ready(SOON_S)
        assert size(live) == ("MATCHED", 1.2, 1)
        feed.publish(v(2, 0.9))
        await live.wait_until(lambda book: book.version == 2, SOON_S)
        assert size(live) == ("MATCHED", 0.9, 2)


async def test_a_book_that_was_taken_does_not_change_under_its_holder() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(1))
        held = await live.wait_until(lambda book: book.version == 1, SOON_S)
        feed.publish(v(2, 0.9))
        await live.wait_until(lambda book: book.version == 2, SOON_S)
        assert held.version == 1


REFUSED: dict[str, tuple[Any, str]] = {
    "no snapshot": (b"{}", "a snapshot of schema version 1"),
    "a version that goes backwards": (v(4), "version: expected at least 5, which stands, was 4"),
    "the same version with other content": (v(5, 0.8), "content_hash: expected that of version 5"),
    "another module": (make_snapshot(version=6, module="dm"), "module: expected pm, was 'dm'"),
    "a lever out of bounds": (v(6, 1.31), "a number in 0.7..1.3"),
    "nested without end": (
        encode_snapshot(v(6)).replace(b'"scope":{', b'"later":' + b"[" * 30_000 + b"]" * 30_000 + b',"scope":{', 1),
        "a snapshot of schema version 1",
    ),
    "a hash that is not its own": (msgspec.structs.replace(v(6), content_hash="0" * 32), "content_hash: expected"),
}


@pytest.mark.parametrize(("item", "problem"), REFUSED.values(), ids=REFUSED)
async def test_the_last_good_snapshot_stands(item: Any, problem: str) -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(5), item)
        await feed.handled()
        assert size(live) == ("MATCHED", 1.2, 5)
        assert problem in str(live.last_problem)
        feed.publish(v(7, 0.9))
        await feed.handled()
        assert size(live) == ("MATCHED", 0.9, 7)
        assert live.last_problem is None


async def test_the_same_snapshot_again_changes_nothing_and_is_no_problem() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(5))
        await feed.handled()
        book = live.book
        feed.publish(v(5), v(5, valid_until_ms=AT_MS))
        await feed.handled()
        assert (live.book is book, live.last_problem) == (True, None)
        feed.publish(v(5, valid_until_ms=AT_MS + 10**9))
        await live.wait_until(
            lambda book: book.snapshot is not None and book.snapshot.valid_until_ms == AT_MS + 10**9, SOON_S
        )


async def test_a_snapshot_grows_stale_on_the_wall_clock() -> None:
    feed, now = MemoryFeed(), [AT_MS]
    async with running(feed, clock_ms=lambda: now[0]) as live:
        feed.publish(v(1, valid_until_ms=AT_MS + 1_000))
        await live.wait_ready(SOON_S)
        now[0] = AT_MS + 1_000
        assert size(live)[0] == "MATCHED"
        now[0] = AT_MS + 1_001
        assert size(live) == ("STALE", 1.0, 1)


async def test_an_unavailable_feed_is_asked_again() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(Unavailable("no broker", retry_after_s=0.0), v(1))
        await live.wait_ready(SOON_S)
        assert live.last_problem is None
        feed.publish(Unavailable("the broker went away", retry_after_s=0.0))
        await feed.handled()
        assert live.last_problem == "the broker went away"
        assert size(live) == ("MATCHED", 1.2, 1)


async def test_an_error_of_the_operator_ends_the_run() -> None:
    feed = MemoryFeed()
    feed.publish(BadConfig("no such topic"))
    with pytest.raises(BadConfig, match="no such topic"):
        await LiveBook(feed, "pm").run()


async def test_waiting_for_a_snapshot_that_does_not_come_says_what_came_instead() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        with pytest.raises(Unavailable, match="no record has come"):
            await live.wait_ready(0.001)
        feed.publish(b"{}")
        await feed.handled()
        with pytest.raises(Unavailable, match="a snapshot of schema version 1"):
            await live.wait_ready(0.001)


async def test_the_kill_file_kills_and_its_removal_revives(tmp_path: Path) -> None:
    feed, kill_file = MemoryFeed(), tmp_path / "KILL"
    async with running(feed, kill_file=kill_file) as live:
        feed.publish(v(1))
        await live.wait_ready(SOON_S)
        kill_file.touch()
        await live.wait_until(lambda book: book.killed, SOON_S)
        assert size(live) == ("KILLED", 1.0, 1)
        feed.publish(v(2, 0.9))
        await live.wait_until(lambda book: book.version == 2, SOON_S)
        assert size(live) == ("KILLED", 1.0, 2)
        kill_file.unlink()
        await live.wait_until(lambda book: not book.killed, SOON_S)
        assert size(live) == ("MATCHED", 0.9, 2)


@pytest.mark.parametrize(
    ("value", "killed"), [("1", True), ("yes", True), ("", False), ("0", False), ("False", False), (" no ", False)]
)
async def test_the_kill_variable_kills_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, value: str, killed: bool
) -> None:
    monkeypatch.setenv(KILL_VARIABLE, value)
    live = LiveBook(MemoryFeed(), "pm")
    assert live.book.killed == killed
    assert size(live)[0] == ("KILLED" if killed else "NOT_READY")


async def test_the_kill_switch_works_with_the_feed_down(tmp_path: Path) -> None:
    feed, kill_file = MemoryFeed(), tmp_path / "KILL"
    feed.publish(v(1), Unavailable("no broker", retry_after_s=3600.0))
    live = LiveBook(feed, "pm", kill_file=kill_file, kill_poll_s=0.001)
    task = asyncio.create_task(live.run())
    await live.wait_ready(SOON_S)
    kill_file.touch()
    await live.wait_until(lambda book: book.killed, SOON_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_run_leaves_no_task_behind() -> None:
    feed = MemoryFeed()
    before = asyncio.all_tasks()
    async with running(feed) as live:
        feed.publish(v(1))
        await live.wait_ready(SOON_S)
    assert asyncio.all_tasks() == before


def test_what_is_published_is_what_a_topic_holds() -> None:
    snapshot = v(1)
    assert msgspec.json.decode(encode_snapshot(snapshot))["version"] == 1


async def test_no_answer_is_half_of_one_snapshot_and_half_of_another() -> None:
    """A thread asks while thirty snapshots come: every lever is that of the version it is said to be of."""
    feed, seen, enough = MemoryFeed(), [], threading.Event()
    size_of = {version: 0.7 + version / 100 for version in range(1, 31)}

    def ask(live: LiveBook) -> None:
        while not enough.is_set():
            seen.append(size(live))

    async with running(feed) as live:
        trader = threading.Thread(target=ask, args=(live,))
        trader.start()
        for version, size_mult in size_of.items():
            feed.publish(v(version, size_mult))
            await feed.handled()
        enough.set()
        trader.join()
        seen.append(size(live))
    versions = [version for _, _, version in seen if version is not None]
    assert versions == sorted(versions)
    assert versions[-1] == 30
    assert {answer for answer in seen if answer[2] is not None} <= {
        ("MATCHED", size_mult, version) for version, size_mult in size_of.items()
    }
    assert {answer for answer in seen if answer[2] is None} <= {("NOT_READY", 1.0, None)}
