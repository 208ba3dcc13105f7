"""The live book: follows a feed, keeps the last good snapshot, watches the local kill switch (spec section 12)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from leverloop.book import DEFAULT_HOLDOUT_SHARE, OverrideBook
from leverloop.clock import now_ms
from leverloop.errors import BadInput, InvariantBroken, Unavailable
from leverloop.feeds import Feed
from leverloop.matching import Profile
from leverloop.patterns import ActionCategory, Module
from leverloop.resolution import Resolution
from leverloop.snapshot import Snapshot, decode_snapshot

__all__ = ["KILL_VARIABLE", "LiveBook"]

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
    kill_file
        While this file exists, everything is neutral with reason KILLED; so it is while the environment
        variable `KILL_VARIABLE` is set. Both work with the broker down.
    kill_poll_s
        How often to look at the kill switch, in seconds: a kill takes no longer than that.
    clock_ms
        Wall clock, to tell a stale snapshot.
    """

    def __init__(
        self,
        feed: Feed,
        module: Module,
        *,
        profile: Profile = "blended",
        holdout_share: float = DEFAULT_HOLDOUT_SHARE,
        kill_file: Path | None = None,
        kill_poll_s: float = 0.2,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._feed: Final = feed
        self._module: Final[Module] = module
        self._profile: Final[Profile] = profile
        self._holdout_share: Final = holdout_share
        self._kill_file: Final = kill_file
        self._kill_poll_s: Final = kill_poll_s
        self._clock_ms: Final = clock_ms
        self._swapped: Final = asyncio.Condition()
        self._good = self._made(None, killed=False)
        self._book = self._made(None, killed=True) if self._kill_switch() else self._good
        self.last_problem: str | None = None
        """Why the last record was refused or the feed does not answer; None once a good one has come."""

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
        """Levers for an action by the book that stands now, with the wall clock to tell a stale one."""
        return self._book.resolve(pattern_key, action_category, scope, trade_id, at_ms, now_ms=self._clock_ms())

    async def run(self) -> None:
        """Follow the feed until it is closed; an unavailable feed is asked again, everything else is raised."""
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
            After `timeout_s` seconds, with the last problem.
        """
        await self.wait_until(lambda book: book.snapshot is not None, timeout_s)

    async def wait_until(self, holds: Callable[[OverrideBook], bool], timeout_s: float) -> OverrideBook:
        """Return the book that stands as soon as something holds of it; Unavailable after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s), self._swapped:
                await self._swapped.wait_for(lambda: holds(self._book))
                return self._book
        except TimeoutError as error:
            why = self.last_problem or "no record has come"
            raise Unavailable(
                f"override book of {self._module}: not as awaited within {timeout_s} s ({why})"
            ) from error

    async def _follow(self) -> None:
        while True:
            records = self._feed.follow(self._module)
            try:
                async for record in records:
                    await self._take(record.value)
            except Unavailable as error:
                self.last_problem = str(error)
                await asyncio.sleep(error.retry_after_s)
            else:
                return
            finally:
                if isinstance(records, AsyncGenerator):  # cancelled in between two records, it would keep its file open
                    await records.aclose()

    async def _take(self, value: bytes) -> None:
        try:
            book = await asyncio.to_thread(self._read, value)  # 0.5 s for 20,000 overrides: the trader's loop goes on
        except (BadInput, InvariantBroken) as error:
            self.last_problem = str(error)
            return
        self.last_problem = None
        self._good = book
        await self._swap(killed=self._kill_switch())

    def _read(self, value: bytes) -> OverrideBook:
        snapshot = decode_snapshot(value)
        standing = self._good.snapshot
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
        return self._made(snapshot, killed=False)

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
