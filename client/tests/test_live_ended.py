"""A live book that nobody reads for: in the child of a fork, and after its run has ended."""

import asyncio
import subprocess
import sys

import pytest

from leverloop.errors import BadConfig, Unavailable
from leverloop.live import LiveBook
from leverloop.testing import AT_MS, MemoryFeed

from .living import SOON_S, resolved, running, size, v

_FORK = """
import asyncio, os, sys
from leverloop.live import LiveBook
from leverloop.testing import AT_MS, MemoryFeed, make_override, make_snapshot

def ask(live):
    found = live.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)
    return f"{found.reason} {found.lever('size_mult')} {found.problem}"

async def main():
    feed = MemoryFeed()
    live = LiveBook(feed, "pm", holdout_share=0.0, clock_ms=lambda: AT_MS)
    task = asyncio.create_task(live.run())
    feed.publish(make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"})))
    await live.wait_ready(10.0)
    child = os.fork()
    if child == 0:
        os.write(1, ("child " + ask(live) + "\\n").encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.write(1, ("parent " + ask(live) + "\\n").encode())
    await feed.close()
    await task

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_the_child_of_a_fork_has_no_reader() -> None:
    ran = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True, timeout=60)
    child, parent = ran.stdout.splitlines()
    assert child.startswith("child STALE 1.0 forked from process ")
    assert "run a LiveBook in this process" in child
    assert parent == "parent MATCHED 1.2 None"


async def test_after_the_run_has_ended_nothing_is_applied() -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        feed.publish(v(7))
        await feed.handled()
    assert size(live) == ("STALE", 1.0, 7)
    assert resolved(live).problem == "run() has ended: the feed was closed"


async def test_after_the_run_has_failed_the_reason_says_why() -> None:
    feed = MemoryFeed()
    feed.publish(v(7), BadConfig("no such topic"))
    live = LiveBook(feed, "pm", holdout_share=0.0)
    with pytest.raises(BadConfig, match="no such topic"):
        await live.run()
    assert size(live) == ("STALE", 1.0, 7)
    assert resolved(live).problem == "run() has ended: BadConfig: no such topic"


async def test_what_ends_the_run_wakes_those_who_wait_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    feed = MemoryFeed()
    live = LiveBook(feed, "pm", holdout_share=0.0, clock_ms=lambda: AT_MS)
    task = asyncio.create_task(live.run())
    waiting = asyncio.create_task(live.wait_until(lambda book: book.version == 8, 3_600.0))
    feed.publish(v(7))
    await live.wait_ready(SOON_S)
    feed.publish(BadConfig("no such topic"))
    async with asyncio.timeout(SOON_S):
        with pytest.raises(BadConfig, match="no such topic"):
            await waiting
    assert live.last_problem == "run() has ended: BadConfig: no such topic"
    with pytest.raises(BadConfig, match="no such topic"):
        await live.wait_until(lambda book: book.version == 8, SOON_S)
    assert (await live.wait_until(lambda book: book.version == 7, 0.0)).version == 7
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["overrides_ended module=pm: run() has ended: BadConfig: no such topic"]
    with pytest.raises(BadConfig, match="no such topic"):
        await task


async def test_who_waits_for_a_feed_that_was_closed_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    feed = MemoryFeed()
    async with running(feed) as live:
        waiting = asyncio.create_task(live.wait_ready(3_600.0))
        await feed.handled()
    async with asyncio.timeout(SOON_S):
        with pytest.raises(Unavailable, match=r"not as awaited, and run\(\) has ended: the feed was closed"):
            await waiting
    assert (live.last_problem, caplog.records) == (None, [])


async def test_a_second_run_reads_again() -> None:
    feed = MemoryFeed()
    live = LiveBook(feed, "pm", holdout_share=0.0, clock_ms=lambda: AT_MS)
    feed.publish(v(7), BadConfig("no such topic"), v(8, 0.9))
    with pytest.raises(BadConfig, match="no such topic"):
        await live.run()
    task = asyncio.create_task(live.run())
    await live.wait_until(lambda book: book.version == 8, SOON_S)
    assert size(live) == ("MATCHED", 0.9, 8)
    await feed.close()
    await task
