"""The live book: follows a feed, keeps the last good snapshot, watches the local kill switch (spec section 12)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from leverloop.book import DEFAULT_HOLDOUT_SHARE, OverrideBook
from leverloop.clock import elapsed_ms, now_ms
from leverloop.errors import BadInput, InvariantBroken, Unavailable
from leverloop.feeds import Feed, FeedRecord
from leverloop.heartbeat import Heartbeat, decode_heartbeat, heartbeat_key
from leverloop.last_good import LastGood
from leverloop.loading import let_go, load_book, parts_of
from leverloop.matching import Profile
from leverloop.patterns import ActionCategory, Module
from leverloop.resolution import Resolution
from leverloop.snapshot import Snapshot

__all__ = ["KILL_VARIABLE", "LiveBook"]

_LOG: Final = logging.getLogger("leverloop.live")
KILL_VARIABLE: Final = "LEVERLOOP_KILL"
"""Environment variable of the kill switch: anything but nothing, ``0``, ``false`` and ``no`` kills."""
_NOT_KILLED: Final = frozenset({"", "0", "false", "no"})


class LiveBook:
    """The book that stands now. Run it beside the trader; ask it from any thread.

    Parameters
    ----------
    feed
        Where snapshots come from; the live book does not close it.
    module
        Whose snapshots: those of another module are refused.
    profile, holdout_share
        As in `OverrideBook`.
    last_good_file
        Where to keep the last good snapshot, and to begin with it: the trader then starts with the broker
        down. A file of this trader alone; None keeps nothing.
    kill_file
        While this file exists, everything is neutral with reason KILLED; so it is while the environment
        variable `KILL_VARIABLE` is set. Both work with the broker down.
    kill_poll_s
        How often to look at the kill switch, in seconds: a kill takes no longer than that.
    clock_ms
        Wall clock, to tell a stale snapshot.
    elapsed_ms
        Clock that nobody sets: where the wall clock is behind the time at which a snapshot was published,
        what has passed since it came tells whether it is stale.
    """

    def __init__(
        self,
        feed: Feed,
        module: Module,
        *,
        profile: Profile = "blended",
        holdout_share: float = DEFAULT_HOLDOUT_SHARE,
        last_good_file: Path | None = None,
        kill_file: Path | None = None,
        kill_poll_s: float = 0.2,
        clock_ms: Callable[[], int] = now_ms,
        elapsed_ms: Callable[[], int] = elapsed_ms,
    ) -> None:
        self._feed: Final = feed
        self._module: Final[Module] = module
        self._heartbeat_key: Final = heartbeat_key(module)
        self._profile: Final[Profile] = profile
        self._holdout_share: Final = holdout_share
        self._last_good: Final = None if last_good_file is None else LastGood(last_good_file)
        self._kill_file: Final = kill_file
        self._kill_poll_s: Final = kill_poll_s
        self._clock_ms: Final = clock_ms
        self._elapsed_ms: Final = elapsed_ms
        self._swapped: Final = asyncio.Condition()
        self._closing: Final = asyncio.Event()
        self._good = self._made(None, killed=False)
        self._book = self._made(None, killed=True) if self._kill_switch() else self._good
        self._published_at_zero_ms = 0  # the publisher's clock at the zero of elapsed_ms, as far as is known
        self._holds_for_ms = 0  # from the publishing of what stands, or from a heartbeat, to its end
        self._reader_pid: int | None = None
        self._no_reader: str | None = None
        self._ended_by: Exception | None = None
        self.last_problem: str | None = None
        """Why the last record was refused or the feed does not answer; None once a good one has come."""
        self.disk_problem: str | None = None
        """Why the last good snapshot could not be kept on disk; None once it could."""
        self._beat_problem: str | None = None

    @property
    def book(self) -> OverrideBook:
        """The book that stands now; it never changes, a new snapshot puts another in its place."""
        return self._book

    def resolve(
        self,
        pattern_key: str,
        action_category: ActionCategory,
        scope: Mapping[str, Any],
        trade_id: str,
        at_ms: int,
    ) -> Resolution:
        """Levers for an action by the book that stands now, with the wall clock to tell a stale one.

        STALE as well where nobody reads: in the child of a fork after `run` began, and after `run` has ended.
        """
        if self._reader_pid is not None and (self._no_reader or self._reader_pid != os.getpid()):
            return self._unread()
        published_ms = self._published_at_zero_ms + self._elapsed_ms()
        now_ms = max(self._clock_ms(), published_ms)
        return self._book.resolve(pattern_key, action_category, scope, trade_id, at_ms, now_ms=now_ms)

    def _unread(self) -> Resolution:
        problem = self._no_reader or f"forked from process {self._reader_pid}: run a LiveBook in this process"
        return Resolution(reason="STALE", snapshot_version=self._book.version, problem=problem)

    async def run(self) -> None:
        """Follow the feed until it is closed; an unavailable feed is asked again, everything else is raised.

        What is raised is logged as an error and told to those who wait: who runs it as a task need not look.
        """
        self._reader_pid, self._no_reader, self._ended_by = os.getpid(), None, None
        try:
            await self._begin()
            await self._read_on()
        except BaseException as error:
            self._no_reader = f"run() has ended: {type(error).__name__}: {error}"
            if isinstance(error, Exception):  # else somebody ended it
                self._ended_by, self.last_problem = error, self._no_reader
                _LOG.error("overrides_ended module=%s: %s", self._module, self._no_reader, exc_info=error)
            raise
        else:
            self._no_reader = "run() has ended: the feed was closed"
        finally:
            async with self._swapped:
                self._swapped.notify_all()

    def close(self) -> None:
        """End a `run` that waits to ask an unavailable feed again; one that reads ends when its feed is closed."""
        self._closing.set()

    async def _read_on(self) -> None:
        tasks = (asyncio.create_task(self._follow()), asyncio.create_task(self._watch_kill_switch()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when the first good snapshot stands.

        Raises
        ------
        Unavailable
            After `timeout_s` seconds, with the last problem; at once, where `run` has ended without an error.
        Exception
            What ended `run`, if something did.
        """
        await self.wait_until(lambda book: book.snapshot is not None, timeout_s)

    async def wait_until(self, holds: Callable[[OverrideBook], bool], timeout_s: float) -> OverrideBook:
        """Return the book that stands as soon as something holds of it; raises as `wait_ready`."""
        await asyncio.sleep(0)  # a second run() that was made a task just now has not begun yet
        try:
            async with asyncio.timeout(timeout_s), self._swapped:
                await self._swapped.wait_for(lambda: holds(self._book) or self._no_reader is not None)
        except TimeoutError as error:
            why = self.last_problem or "no record has come"
            raise Unavailable(
                f"override book of {self._module}: not as awaited within {timeout_s} s ({why})"
            ) from error
        book = self._book
        if holds(book):
            return book
        if self._ended_by is not None:
            raise self._ended_by
        raise Unavailable(f"override book of {self._module}: not as awaited, and {self._no_reader}")

    async def _follow(self) -> None:
        while not self._closing.is_set():
            records = self._feed.follow(self._module, self._heartbeat_key)
            try:
                async for record in records:
                    await self._take(record)
            except Unavailable as error:
                self._tell(str(error))
                await self._pause(error.retry_after_s)
            else:
                return
            finally:
                if isinstance(records, AsyncGenerator):  # cancelled in between two records, it would keep its file open
                    await records.aclose()

    async def _pause(self, pause_s: float) -> None:
        """Return after so many seconds, or as soon as the book is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    async def _begin(self) -> None:
        """Begin with what was kept on disk, if anything was."""
        if self._last_good is None:
            return
        try:
            kept = await asyncio.to_thread(self._last_good.snapshot)
            beat = await asyncio.to_thread(self._last_good.heartbeat)
        except Unavailable as error:
            self._tell(str(error))
            return
        if kept is not None:
            await self._stand(kept, f"{self._last_good.path}: ")
        if beat is not None:
            await self._beat(beat)

    async def _take(self, record: FeedRecord) -> None:
        if record.key == self._heartbeat_key:
            if await self._beat(record.value) and self._last_good is not None:
                await self._keep(self._last_good.keep_heartbeat, record.value)
        elif await self._stand(record.value) and self._last_good is not None:
            await self._keep(self._last_good.keep_snapshot, record.value)

    async def _keep(self, write: Callable[[bytes], None], value: bytes) -> None:
        try:
            await asyncio.to_thread(write, value)
            self.disk_problem = None
        except Unavailable as error:
            _LOG.warning("overrides_not_kept module=%s: %s", self._module, error)
            self.disk_problem = str(error)

    def _tell(self, problem: str | None) -> None:
        """Say what the problem is now, and log it where it is another."""
        if problem != self.last_problem and problem is not None:
            _LOG.warning("overrides_interrupted module=%s: %s", self._module, problem)
        elif problem != self.last_problem:
            _LOG.warning("overrides_resumed module=%s", self._module)
        self.last_problem = problem

    async def _stand(self, value: bytes, where: str = "") -> bool:
        """Put a snapshot in the place of the one that stands; whether it is another, or holds for longer."""
        try:
            book = await asyncio.to_thread(self._read, value)  # a quarter of a second for 20,000 overrides
        except (BadInput, InvariantBroken) as error:
            self._tell(f"{where}{error}")
            return False
        self._tell(None)
        if book is self._good:
            return False
        old_parts = await asyncio.to_thread(parts_of, self._good) if book.version != self._good.version else {}
        await self._replace(book)
        _LOG.info("overrides_stand module=%s version=%s until_ms=%s", self._module, book.version, book.valid_until_ms)
        del book
        await asyncio.to_thread(let_go, old_parts)
        return True

    async def _replace(self, book: OverrideBook) -> None:
        if book.snapshot is not None and book.version != self._good.version:
            self._published_at_zero_ms = book.snapshot.published_at_ms - self._elapsed_ms()
            self._holds_for_ms = max(0, book.snapshot.valid_until_ms - book.snapshot.published_at_ms)
        self._good = book
        await self._swap(killed=self._kill_switch())

    def _read(self, value: bytes) -> OverrideBook:
        book = load_book(value, profile=self._profile, holdout_share=self._holdout_share)
        snapshot, standing = book.snapshot, self._good.snapshot
        assert snapshot is not None
        if snapshot.module != self._module:
            raise BadInput("module", self._module, snapshot.module)
        if standing is not None and snapshot.version < standing.version:
            raise BadInput("version", f"at least {standing.version}, which stands", snapshot.version)
        if standing is not None and snapshot.version == standing.version:
            if snapshot.content_hash != standing.content_hash:
                raise BadInput(
                    "content_hash", f"that of version {standing.version}, which stands", snapshot.content_hash
                )
            if snapshot.valid_until_ms <= standing.valid_until_ms:
                return self._good  # delivered again
            return self._good.renewed(snapshot.valid_until_ms)
        return book

    async def _beat(self, value: bytes) -> bool:
        """Let the snapshot that stands hold for longer, if that is what the heartbeat is of; whether it does."""
        try:
            beat = decode_heartbeat(value)
            holds_longer = self._is_of_what_stands(beat)
        except BadInput as error:
            self._beat_problem = str(error)
            self._tell(self.last_problem or self._beat_problem)  # why a snapshot was refused says more
            return False
        if self._beat_problem is not None and self.last_problem == self._beat_problem:
            self._tell(None)
        if holds_longer:
            sent_ms = beat.valid_until_ms - self._holds_for_ms  # it cannot be earlier than that now
            self._published_at_zero_ms = max(self._published_at_zero_ms, sent_ms - self._elapsed_ms())
            await self._replace(self._good.renewed(beat.valid_until_ms))
        return holds_longer

    def _is_of_what_stands(self, beat: Heartbeat) -> bool:
        standing = self._good.snapshot
        if standing is None or beat.version < standing.version:
            return False
        if beat.version > standing.version:
            raise BadInput("heartbeat: version", f"{standing.version}, which stands", beat.version)
        if beat.content_hash != standing.content_hash:
            raise BadInput("heartbeat: hash", f"that of version {standing.version}, which stands", beat.content_hash)
        return beat.valid_until_ms > standing.valid_until_ms

    async def _watch_kill_switch(self) -> None:
        while True:
            killed = self._kill_switch()
            if killed != self._book.killed:
                await self._swap(killed=killed)
            await asyncio.sleep(self._kill_poll_s)

    def _kill_switch(self) -> bool:
        if os.environ.get(KILL_VARIABLE, "").strip().lower() not in _NOT_KILLED:
            return True
        return self._kill_file is not None and os.path.lexists(self._kill_file)

    async def _swap(self, *, killed: bool) -> None:
        self._book = self._made(self._good.snapshot, killed=True) if killed else self._good
        async with self._swapped:
            self._swapped.notify_all()

    def _made(self, snapshot: Snapshot | None, *, killed: bool) -> OverrideBook:
        return OverrideBook(snapshot, profile=self._profile, holdout_share=self._holdout_share, killed=killed)
