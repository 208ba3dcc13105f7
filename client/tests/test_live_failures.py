"""What the live book does when something fails: neutral or the last good value, and always a reason."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leverloop.errors import Unavailable
from leverloop.heartbeat import Heartbeat, decode_heartbeat, encode_heartbeat
from leverloop.live import LiveBook
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS, MemoryFeed, make_snapshot

from .living import SOON_S, resolved, running, size, v

HOUR_MS = 3_600_000
NO_BROKER = Unavailable("no broker", retry_after_s=3600.0)


def beat(snapshot: Snapshot, valid_until_ms: int, **fields: Any) -> Heartbeat:
    told = {"version": snapshot.version, "content_hash": snapshot.content_hash, "valid_until_ms": valid_until_ms}
    return Heartbeat(**told | fields)


async def until(holds: Callable[[], bool]) -> None:
    """Let others run until something holds."""
    async with asyncio.timeout(SOON_S):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


# --- the broker is down at the start, and the last good snapshot is on disk


async def test_it_starts_from_disk_with_the_broker_down(tmp_path: Path) -> None:
    path, feed = tmp_path / "state" / "pm.json", MemoryFeed()
    async with running(feed, last_good_file=path) as live:
        feed.publish(v(7), beat(v(7), AT_MS + 10**9))
        await feed.handled()
        assert (live.last_problem, live.disk_problem) == (None, None)
    down = MemoryFeed()
    down.publish(NO_BROKER)
    live = LiveBook(down, "pm", holdout_share=0.0, last_good_file=path, clock_ms=lambda: AT_MS)
    task = asyncio.create_task(live.run())
    await until(lambda: live.last_problem == "no broker")
    assert size(live) == ("MATCHED", 1.2, 7)
    assert live.book.valid_until_ms == AT_MS + 10**9
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_anything_on_disk_it_is_not_ready(tmp_path: Path) -> None:
    feed = MemoryFeed()
    async with running(feed, last_good_file=tmp_path / "none.json") as live:
        feed.publish(Unavailable("no broker", retry_after_s=0.0))
        await feed.handled()
        assert (size(live), live.last_problem) == (("NOT_READY", 1.0, None), "no broker")


async def test_what_is_on_disk_is_stale_when_its_time_has_passed(tmp_path: Path) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    path.write_bytes(encode_snapshot(v(7, valid_until_ms=AT_MS - 1)))
    async with running(feed, last_good_file=path) as live:
        await live.wait_ready(SOON_S)
        assert size(live) == ("STALE", 1.0, 7)
        feed.publish(v(8, 0.9))
        await feed.handled()
        assert size(live) == ("MATCHED", 0.9, 8)
        assert decode_snapshot(path.read_bytes()).version == 8


async def test_a_version_older_than_the_one_on_disk_is_refused(tmp_path: Path) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    path.write_bytes(encode_snapshot(v(7)))
    async with running(feed, last_good_file=path) as live:
        feed.publish(v(6, 0.9))
        await feed.handled()
        assert size(live) == ("MATCHED", 1.2, 7)
        assert "version: expected at least 7, which stands, was 6" in str(live.last_problem)
        assert decode_snapshot(path.read_bytes()).version == 7


GOOD = encode_snapshot(v(7))
SPOILT: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "a snapshot of schema version 1"),
    "cut off": (GOOD[:-20], "a snapshot of schema version 1"),
    "another value": (GOOD.replace(b"1.2", b"1.3"), "content_hash: expected"),
    "out of bounds": (GOOD.replace(b"1.2", b"1.9"), "a number in 0.7..1.3"),
    "of another module": (encode_snapshot(make_snapshot(module="dm")), "module: expected pm, was 'dm'"),
}


@pytest.mark.parametrize(("spoilt", "problem"), SPOILT.values(), ids=SPOILT)
async def test_what_is_spoilt_on_disk_is_not_applied_and_does_not_stop_the_start(
    tmp_path: Path, spoilt: bytes, problem: str
) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    path.write_bytes(spoilt)
    async with running(feed, last_good_file=path) as live:
        await feed.handled()
        assert size(live) == ("NOT_READY", 1.0, None)
        assert str(path) in str(live.last_problem)
        assert problem in str(live.last_problem)
        feed.publish(v(8, 0.9))
        await feed.handled()
        assert (size(live), live.last_problem) == (("MATCHED", 0.9, 8), None)
        assert decode_snapshot(path.read_bytes()).version == 8


async def test_a_file_that_cannot_be_read_does_not_stop_the_start(tmp_path: Path) -> None:
    feed = MemoryFeed()
    async with running(feed, last_good_file=tmp_path) as live:
        await feed.handled()
        assert "cannot be read: Is a directory" in str(live.last_problem)
        feed.publish(v(8))
        await feed.handled()
        assert size(live) == ("MATCHED", 1.2, 8)
        assert "cannot be kept: Is a directory" in str(live.disk_problem)


async def test_a_full_disk_costs_nothing_but_the_next_start(tmp_path: Path) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    async with running(feed, last_good_file=path) as live:
        feed.publish(v(7))
        await feed.handled()
        full = tmp_path / f"pm.json.{live._reader_pid}.new"
        full.symlink_to("/dev/full")
        feed.publish(v(8, 0.9))
        await feed.handled()
        assert (size(live), live.last_problem) == (("MATCHED", 0.9, 8), None)
        assert f"{path}: the last good snapshot cannot be kept: No space left on device" in str(live.disk_problem)
        assert decode_snapshot(path.read_bytes()).version == 7
        assert not full.is_symlink()
        feed.publish(v(9))
        await feed.handled()
        assert live.disk_problem is None
        assert decode_snapshot(path.read_bytes()).version == 9


# --- heartbeats, and their absence


async def test_without_a_heartbeat_it_is_stale_and_with_one_it_is_not() -> None:
    feed, now = MemoryFeed(), [AT_MS]
    async with running(feed, clock_ms=lambda: now[0]) as live:
        feed.publish(v(7, valid_until_ms=AT_MS + 1_000), beat(v(7), AT_MS + 2_000))
        await feed.handled()
        now[0] = AT_MS + 2_000
        assert size(live)[0] == "MATCHED"
        now[0] = AT_MS + 2_001
        assert size(live) == ("STALE", 1.0, 7)
        assert f"valid until {AT_MS + 2_000}, and now it is {AT_MS + 2_001}" in str(resolved(live).problem)
        feed.publish(beat(v(7), AT_MS + 3_000))
        await feed.handled()
        assert (size(live), live.last_problem) == (("MATCHED", 1.2, 7), None)


async def test_a_heartbeat_indexes_nothing_again() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7))
        await feed.handled()
        before = live.book
        feed.publish(beat(v(7), AT_MS + 10**10))
        await feed.handled()
        assert live.book is not before
        assert live.book._groups is before._groups
        assert before.valid_until_ms < live.book.valid_until_ms == AT_MS + 10**10


UNHEARD: dict[str, tuple[Any, str | None]] = {
    "of an older version": (beat(v(6), AT_MS + 10**10), None),
    "with an earlier end": (beat(v(7), AT_MS), None),
    "of a version that has not come": (
        beat(v(8), AT_MS + 10**10),
        "heartbeat: version: expected 7, which stands, was 8",
    ),
    "of other content": (
        beat(v(7), AT_MS + 10**10, content_hash="0" * 32),
        "heartbeat: hash: expected that of version 7",
    ),
}


@pytest.mark.parametrize(("heartbeat", "problem"), UNHEARD.values(), ids=UNHEARD)
async def test_a_heartbeat_of_something_else_renews_nothing(heartbeat: Heartbeat, problem: str | None) -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7), heartbeat)
        await feed.handled()
        assert live.book.valid_until_ms == v(7).valid_until_ms
        assert problem is live.last_problem is None or str(problem) in str(live.last_problem)


async def test_a_heartbeat_that_is_right_again_is_no_problem_any_more() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7), beat(v(8), AT_MS + 10**10))
        await feed.handled()
        assert "heartbeat: version" in str(live.last_problem)
        feed.publish(beat(v(7), AT_MS + 10**10))
        await feed.handled()
        assert live.last_problem is None
        feed.publish(GOOD[:20], beat(v(7), AT_MS + 10**10))
        await feed.handled()
        assert "a snapshot of schema version 1" in str(live.last_problem)


async def test_beginning_and_end_of_a_problem_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    feed = MemoryFeed()
    async with running(feed):
        gone = Unavailable("no broker", retry_after_s=0.0)
        feed.publish(v(7), gone, gone, v(7))
        await feed.handled()
    told = [record.getMessage() for record in caplog.records if record.name == "leverloop.live"]
    assert told == ["overrides_interrupted module=pm: no broker", "overrides_resumed module=pm"]


async def test_a_heartbeat_before_any_snapshot_is_no_snapshot() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(beat(v(7), AT_MS + 10**10))
        await feed.handled()
        assert size(live) == ("NOT_READY", 1.0, None)


async def test_a_heartbeat_that_is_kept_renews_after_the_next_start(tmp_path: Path) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    async with running(feed, last_good_file=path):
        published = v(7, published_at_ms=AT_MS - HOUR_MS, valid_until_ms=AT_MS - 5)
        feed.publish(published, beat(v(7), AT_MS + 5), beat(v(7), AT_MS - 9))
        await feed.handled()
    kept = decode_heartbeat(path.with_name("pm.json.heartbeat").read_bytes())
    assert kept == beat(v(7), AT_MS + 5)
    async with running(MemoryFeed(), last_good_file=path) as live:
        await live.wait_until(lambda book: book.valid_until_ms == AT_MS + 5, SOON_S)
        assert size(live) == ("MATCHED", 1.2, 7)


async def test_a_kept_heartbeat_of_another_snapshot_renews_nothing(tmp_path: Path) -> None:
    path, feed = tmp_path / "pm.json", MemoryFeed()
    path.write_bytes(encode_snapshot(v(7, valid_until_ms=AT_MS - 5)))
    path.with_name("pm.json.heartbeat").write_bytes(encode_heartbeat(beat(v(6), AT_MS + 10**10)))
    async with running(feed, last_good_file=path) as live:
        await feed.handled()
        assert size(live) == ("STALE", 1.0, 7)


# --- clocks an hour apart


@pytest.mark.parametrize("skew_ms", [-HOUR_MS, 0])
async def test_a_clock_that_is_behind_keeps_nothing_alive(skew_ms: int) -> None:
    """The snapshot was published at AT_MS: it cannot be earlier than that, plus what has passed since it came."""
    feed, passed = MemoryFeed(), [0]
    async with running(feed, clock_ms=lambda: AT_MS + skew_ms + passed[0], elapsed_ms=lambda: 17 + passed[0]) as live:
        feed.publish(v(7, valid_until_ms=AT_MS + 1_000))
        await feed.handled()
        passed[0] = 1_000
        assert size(live)[0] == "MATCHED"
        passed[0] = 1_001
        assert size(live) == ("STALE", 1.0, 7)


async def test_a_late_start_with_a_clock_that_is_behind_counts_from_the_last_heartbeat() -> None:
    """Published at AT_MS to hold for a minute, renewed for an hour: the last heartbeat is a minute older than its end."""
    feed, passed = MemoryFeed(), [0]
    async with running(feed, clock_ms=lambda: AT_MS + passed[0], elapsed_ms=lambda: 17 + passed[0]) as live:
        feed.publish(v(7, valid_until_ms=AT_MS + 60_000))
        feed.publish(beat(v(7), AT_MS + HOUR_MS + 30_000), beat(v(7), AT_MS + HOUR_MS + 60_000))
        await feed.handled()
        passed[0] = 60_000
        assert size(live)[0] == "MATCHED"
        passed[0] = 60_001
        assert size(live) == ("STALE", 1.0, 7)


async def test_a_clock_that_is_set_back_keeps_nothing_alive() -> None:
    feed, passed, back = MemoryFeed(), [0], [0]
    clocks = {"clock_ms": lambda: AT_MS + passed[0] - back[0], "elapsed_ms": lambda: passed[0]}
    async with running(feed, **clocks) as live:
        feed.publish(v(7, valid_until_ms=AT_MS + 1_000))
        await feed.handled()
        passed[0], back[0] = 1_001, HOUR_MS
        assert size(live)[0] == "STALE"


async def test_a_publisher_s_clock_that_was_wrong_is_forgotten_with_its_snapshot() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7, published_at_ms=AT_MS + 10 * HOUR_MS, valid_until_ms=AT_MS + 9 * HOUR_MS))
        await feed.handled()
        assert size(live)[0] == "STALE"
        feed.publish(v(8, 0.9, published_at_ms=AT_MS, valid_until_ms=AT_MS + HOUR_MS))
        await feed.handled()
        assert size(live) == ("MATCHED", 0.9, 8)


async def test_a_clock_that_is_ahead_is_stale_and_says_by_how_much() -> None:
    feed = MemoryFeed()
    async with running(feed, clock_ms=lambda: AT_MS + HOUR_MS) as live:
        feed.publish(v(7, valid_until_ms=AT_MS + HOUR_MS - 1))
        await feed.handled()
        assert size(live) == ("STALE", 1.0, 7)
        assert f"valid until {AT_MS + HOUR_MS - 1}, and now it is {AT_MS + HOUR_MS}" in str(resolved(live).problem)


async def test_a_corrupt_record_says_what_is_wrong_with_it() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7), GOOD[: len(GOOD) // 2])
        await feed.handled()
        assert size(live) == ("MATCHED", 1.2, 7)
        assert "a snapshot of schema version 1" in str(live.last_problem)
        feed.publish(msgspec.structs.replace(v(8), content_hash="0" * 32))
        await feed.handled()
        assert (size(live), "content_hash" in str(live.last_problem)) == (("MATCHED", 1.2, 7), True)
