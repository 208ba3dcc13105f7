"""A live book in a thread: follows, says what it says, ends when it is told to."""

import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from leverloop.blocking_book import BlockingLiveBook, open_blocking_book
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig, InvariantBroken, Unavailable
from leverloop.feeds import FeedRecord
from leverloop.live import LiveBook
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS

from .living import SOON_S, v

FOREVER_MS = 2**50


def put(path: Path, value: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(value)
    new.replace(path)


def size(live: BlockingLiveBook) -> tuple[str, float]:
    resolution = live.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)
    return resolution.reason, resolution.lever("size_mult")


def test_it_follows_and_ends(tmp_path: Path) -> None:
    path, kept = tmp_path / "snapshot.json", tmp_path / "kept.json"
    put(path, encode_snapshot(v(1, valid_until_ms=FOREVER_MS)))
    before = threading.active_count()
    with open_blocking_book(f"file://{path}", "pm", holdout_share=0.0, last_good_file=kept) as live:
        live.wait_ready(SOON_S)
        assert size(live) == ("MATCHED", 1.2)
        put(path, encode_snapshot(v(2, 0.9, valid_until_ms=FOREVER_MS)))
        assert live.wait_until(lambda book: book.version == 2, SOON_S).version == live.book.version == 2
        assert size(live) == ("MATCHED", 0.9)
        assert (live.last_problem, live.disk_problem) == (None, None)
    assert size(live) == ("STALE", 1.0)
    assert threading.active_count() == before
    assert kept.exists()


def test_it_says_why_nothing_came(tmp_path: Path) -> None:
    with open_blocking_book(f"file://{tmp_path}/none.json", "pm") as live:
        assert size(live) == ("NOT_READY", 1.0)
        with pytest.raises(Unavailable, match="no record has come"):
            live.wait_ready(0.01)


class Broken:
    """Feed of a source that cannot be worked with."""

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        raise BadConfig(f"{keys[0]}: no such topic")
        yield

    async def close(self) -> None:
        """Nothing to close."""


def test_what_ends_the_thread_is_raised_where_it_is_waited_for() -> None:
    feed = Broken()
    with BlockingLiveBook(feed, LiveBook(feed, "pm")) as live:
        for _ in range(2):
            with pytest.raises(BadConfig, match="pm: no such topic"):
                live.wait_ready(SOON_S)
        assert live.last_problem == "run() has ended: BadConfig: pm: no such topic"
        assert size(live)[0] == "STALE"


class Down:
    """Feed of a broker that does not answer, and says that there is no need to ask again for an hour."""

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        raise Unavailable(f"{keys[0]}: no broker", retry_after_s=3_600.0)
        yield

    async def close(self) -> None:
        """Nothing to close."""


def told(live: BlockingLiveBook) -> str:
    """Its problem, once it has one."""
    until_s = time.monotonic() + SOON_S
    while live.last_problem is None and time.monotonic() < until_s:
        with suppress(Unavailable):
            live.wait_ready(0.01)
    return str(live.last_problem)


@contextmanager
def ending(live: BlockingLiveBook) -> Iterator[None]:
    """Open, and close: an end that does not come fails the test instead of holding it up."""
    live.__enter__()
    yield
    closing = threading.Thread(target=live.close, daemon=True)
    closing.start()
    closing.join(SOON_S)
    assert not closing.is_alive()


@pytest.mark.parametrize("topic", [None, "leverloop.other"])
def test_it_ends_while_the_log_or_its_topic_is_missing(tmp_path: Path, topic: str | None) -> None:
    path = tmp_path / "log.db"
    if topic is not None:
        with EmbeddedLog(path) as log:
            log.create_topic(topic, 1)
    before = threading.active_count()
    live = open_blocking_book(f"embedded://{path}", "pm")
    with ending(live):
        assert "leverloop topics create" in told(live) if topic else "not there" in told(live)
    assert threading.active_count() == before


def test_it_ends_while_it_waits_to_ask_again() -> None:
    feed = Down()
    live = BlockingLiveBook(feed, LiveBook(feed, "pm"))
    with ending(live):
        assert told(live) == "pm: no broker"


_FORK = """
import os, sys
from leverloop.blocking_book import open_blocking_book
from leverloop.emit.blocking import BlockingEmitter
from leverloop.errors import InvariantBroken
from leverloop.testing import MemoryEmitter

def asked(call):
    try:
        call()
    except InvariantBroken as error:
        return str(error)

with open_blocking_book(f"file://{sys.argv[1]}/none.json", "pm") as live, BlockingEmitter(MemoryEmitter()) as emitter:
    child = os.fork()
    if child == 0:
        said = [asked(lambda: live.wait_ready(3600.0)), asked(emitter.flush)]
        live.close()
        emitter.close()
        said += [asked(lambda: live.wait_ready(3600.0)), asked(emitter.flush)]
        os.write(1, "".join(f"{line}\\n" for line in said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    emitter.flush()
print("parent has ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_the_child_of_a_fork_waits_for_no_thread_of_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FORK, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.splitlines() == [
        "the live book was opened before a fork: open one in each process",
        "the emitter was opened before a fork: open an emitter in each process",
        "the live book is not open: use it with `with`",
        "the emitter is not open: use it with `with`",
        "parent has ended",
    ]


def test_it_is_used_with_with(tmp_path: Path) -> None:
    live = open_blocking_book(f"file://{tmp_path}/none.json", "pm")
    live.close()
    with pytest.raises(InvariantBroken, match="use it with `with`"):
        live.wait_ready(0.01)
    with live, pytest.raises(InvariantBroken, match="open already"):
        live.__enter__()


def test_what_cannot_be_configured_is_refused_at_once() -> None:
    with pytest.raises(BadConfig, match="feed URL"):
        open_blocking_book("carrier-pigeon://roof", "pm")
    with pytest.raises(BadConfig, match="holdout_share"):
        open_blocking_book("file:///none.json", "pm", holdout_share=2.0)
