"""A live book for a program without an event loop: it follows its feed in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from leverloop.book import DEFAULT_HOLDOUT_SHARE, OverrideBook
from leverloop.errors import InvariantBroken
from leverloop.feeds import Feed, open_feed
from leverloop.live import LiveBook
from leverloop.matching import Profile
from leverloop.patterns import ActionCategory, Module
from leverloop.resolution import Resolution

__all__ = ["BlockingLiveBook", "open_blocking_book"]


def open_blocking_book(
    url: str,
    module: Module,
    *,
    profile: Profile = "blended",
    holdout_share: float = DEFAULT_HOLDOUT_SHARE,
    last_good_file: Path | None = None,
    kill_file: Path | None = None,
    kill_poll_s: float = 0.2,
) -> BlockingLiveBook:
    """Live book of a URL (`open_feed`), to be used with ``with``; the options are those of `LiveBook`.

    Raises
    ------
    BadConfig
        For a URL or an option that does not exist.
    """
    feed = open_feed(url)
    live = LiveBook(
        feed,
        module,
        profile=profile,
        holdout_share=holdout_share,
        last_good_file=last_good_file,
        kill_file=kill_file,
        kill_poll_s=kill_poll_s,
    )
    return BlockingLiveBook(feed, live)


class BlockingLiveBook:
    """The calls of a `LiveBook` that runs in a thread; any thread may make them.

    Parameters
    ----------
    feed, live
        The feed, which is closed at the end, and its live book, which does not run yet.
    """

    def __init__(self, feed: Feed, live: LiveBook) -> None:
        self._feed: Final = feed
        self._live: Final = live
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def book(self) -> OverrideBook:
        """The book that stands now."""
        return self._live.book

    @property
    def last_problem(self) -> str | None:
        """Why the last record was refused or the feed does not answer; None once a good one has come."""
        return self._live.last_problem

    @property
    def disk_problem(self) -> str | None:
        """Why the last good snapshot could not be kept on disk; None once it could."""
        return self._live.disk_problem

    def resolve(
        self,
        pattern_key: str,
        action_category: ActionCategory,
        scope: Mapping[str, Any],
        trade_id: str,
        at_ms: int,
    ) -> Resolution:
        """Levers for an action, as `LiveBook.resolve`: never raises, waits for nothing."""
        return self._live.resolve(pattern_key, action_category, scope, trade_id, at_ms)

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the first good snapshot stands; raise Unavailable after so many seconds."""
        self.wait_until(lambda book: book.snapshot is not None, timeout_s)

    def wait_until(self, holds: Callable[[OverrideBook], bool], timeout_s: float) -> OverrideBook:
        """Return the book that stands as soon as something holds of it.

        Raises
        ------
        Unavailable
            After `timeout_s` seconds, with the last problem.
        Exception
            What ended the following, if something did.
        InvariantBroken
            When it is not open, or was opened before a fork: the thread is not in the child.
        """
        if self._loop is None:
            raise InvariantBroken("the live book is not open: use it with `with`")
        if self._pid != os.getpid():
            raise InvariantBroken("the live book was opened before a fork: open one in each process")
        return asyncio.run_coroutine_threadsafe(self._live.wait_until(holds, timeout_s), self._loop).result()

    def close(self) -> None:
        """End the thread; from then on every answer is STALE. In the child of a fork there is none to end."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(self._feed.close(), loop).result()
        loop.call_soon_threadsafe(self._live.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def __enter__(self) -> Self:
        """Start to follow."""
        if self._loop is not None:
            raise InvariantBroken("the live book is open already")
        loop = self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        # A daemon: a program that ends without closing must not hang.
        self._thread = threading.Thread(target=self._serve, args=(loop,), name="leverloop live book", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        running = loop.create_task(self._live.run())
        running.add_done_callback(_seen)
        try:
            loop.run_forever()
            loop.run_until_complete(asyncio.wait([running]))  # the feed is closed: it ends by itself
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def _seen(running: asyncio.Task[None]) -> None:
    """Take note of how it ended: the live book has logged it, and tells those who wait."""
    if not running.cancelled():
        running.exception()
