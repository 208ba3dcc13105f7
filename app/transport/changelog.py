"""Reading changelogs in bulk: what recovery asks of a log, and the same on the embedded one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from faust.types import TP

from leverloop.embedded_log import EmbeddedLog

__all__ = ["ChangelogReader", "Changelogs", "EmbeddedChangelogs", "Page", "Span"]

_PAGE: Final = 4_000  # records: a few megabytes, which stay in the cache while they are read into columns


class Span(NamedTuple):
    """Offsets of a partition that hold, or held, records: from `begin` on, and `end` is the first that has none yet."""

    begin: int
    end: int


class Page(NamedTuple):
    """What was read of a partition at a time."""

    tp: TP
    records: list[tuple[bytes, bytes | None]]
    """Key and value, in the order of their offsets; none where only the position has moved."""
    next_offset: int
    """Everything before it was read; past the end that was asked for, if more has come meanwhile."""


class ChangelogReader(Protocol):
    """Changelogs, open for reading; belongs to one task at a time."""

    async def spans(self, tps: Iterable[TP]) -> dict[TP, Span]:
        """Where partitions begin and end now."""

    def pages(self, wanted: Mapping[TP, Span]) -> AsyncGenerator[Page, None]:
        """Yield what stands in the spans; the last page of each partition reaches its end, whatever is missing.

        A page that brings nothing new may come at any time: nothing has arrived, and somebody may want to know.
        """


class Changelogs(Protocol):
    """Where changelogs are: one for each transport."""

    def open(self) -> AbstractAsyncContextManager[ChangelogReader]:
        """Open for reading, beside the worker's own consumer and in no group."""


class EmbeddedChangelogs:
    """Changelogs of an embedded log, through a connection and a thread of their own: a slow disk holds up nobody.

    Parameters
    ----------
    path
        File of the log.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ChangelogReader]:
        """See the protocol."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, "changelog")  # SQLite's connections stay with the thread that made them
        try:
            log = await loop.run_in_executor(thread, lambda: EmbeddedLog(self._path, create=False))
            try:
                yield _EmbeddedReader(log, thread)
            finally:
                thread.submit(log.close)
        finally:
            thread.shutdown(wait=False)


class _EmbeddedReader:
    def __init__(self, log: EmbeddedLog, thread: ThreadPoolExecutor) -> None:
        self._log = log
        self._thread = thread

    async def spans(self, tps: Iterable[TP]) -> dict[TP, Span]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._spans, list(tps))

    async def pages(self, wanted: Mapping[TP, Span]) -> AsyncGenerator[Page, None]:
        loop = asyncio.get_running_loop()
        left = {tp: span for tp, span in wanted.items() if span.begin < span.end}
        while left:  # in turn: pages of different partitions can be loaded side by side
            for tp, (begin, end) in list(left.items()):
                page = await loop.run_in_executor(self._thread, self._page, tp, begin, end)
                yield page
                left[tp] = Span(page.next_offset, end)
                if page.next_offset >= end:
                    del left[tp]

    def _spans(self, tps: list[TP]) -> dict[TP, Span]:
        return {tp: Span(self._log.earliest_offset(*tp), self._log.end_offset(*tp)) for tp in tps}

    def _page(self, tp: TP, offset: int, end: int) -> Page:
        found = self._log.read(tp.topic, tp.partition, offset, _PAGE)
        next_offset = found[-1].offset + 1 if found else end
        return Page(tp, [(record.key or b"", record.value) for record in found], next_offset)
