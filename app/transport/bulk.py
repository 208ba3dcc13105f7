"""Recovery in bulk: what a table has missed, read from its changelog in pages of thousands of records.

Faust's way costs a record 15 to 85 us of event loop, this one its decoding. It runs before Faust's recovery, in the
same task, and not in the callback of a rebalance: during that aiokafka sends no heartbeats, and after a session
timeout the group goes on without this worker.

1. Pages are loaded in threads, one at a time of a partition and as many as there are cores, while the next ones are
   read; none is begun once the generation is outdated. A rebalance ends the reading; the next one goes on from where
   each partition has come to. What a table builds of a partition that is complete, it builds in a thread too.
2. A table is never used half-filled: who cannot read or load ends the process.
3. One reading at a time: the next waits until the last has closed what it had open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Any, Final

from faust.types import TP

from app.transport.changelog import ChangelogReader, Page, Span
from app.transport.recovery_report import RecoveryReport
from leverloop.errors import InvariantBroken, Unavailable
from tables.partitioned import PartitionedTable

__all__ = ["BulkRecovery"]

_LOOK_S: Final = 0.25


class BulkRecovery:
    """Fills the tables that can load many records at a time (`tables.partitioned`).

    Parameters
    ----------
    app
        The worker's app; its transport says where the changelogs are.
    """

    stall_timeout_s: float = 300.0
    """A reading that brings nothing for so long is stuck and not slow; seconds."""

    def __init__(self, app: Any) -> None:
        self._app: Final = app
        self._reading: Final = asyncio.Lock()

    async def run(self, tables: Mapping[TP, Any], generation: int) -> set[TP]:
        """Read changelog partitions to their ends; return those that were, none of an outdated generation.

        Parameters
        ----------
        tables
            Changelog partition -> its table, for every partition assigned. Tables of other kinds are left alone.
        generation
            Of the assignment.
        """
        mine = {tp: table for tp, table in sorted(tables.items()) if isinstance(table, PartitionedTable)}
        if not mine:
            return set()
        async with self._reading:
            try:
                async with self._app.transport.changelogs().open() as reader:
                    return set(mine) if await self._read(reader, mine, generation) else set()
            except Exception as error:
                self._app.fail(
                    f"the tables could not be read from their changelogs: {error!r}; nothing is lost: see that the "
                    "log answers and its topics are whole (leverloop topics verify), then start again",
                    error,
                )
                raise

    async def wait_closed(self) -> None:
        """Wait until nothing is open any more."""
        async with self._reading:
            pass

    async def _read(self, reader: ChangelogReader, tables: Mapping[TP, Any], generation: int) -> bool:
        spans = await asyncio.wait_for(reader.spans(tables), self.stall_timeout_s)
        missed: dict[Any, dict[TP, Span]] = {}
        for tp, table in tables.items():
            missed.setdefault(table, {})[tp] = _missed(spans[tp], table.persisted_offset(tp))
        report = RecoveryReport(
            {table.name: sum(end - begin for begin, end in of_table.values()) for table, of_table in missed.items()},
            self._app.on_recovery,
        )
        try:
            for table, of_table in missed.items():
                report.begin(table.name)
                async with aclosing(reader.pages(of_table)) as pages:
                    if not await self._load(table, of_table, pages, report, generation):
                        return False
        finally:
            report.end()
        return True

    async def _load(
        self, table: Any, missed: Mapping[TP, Span], pages: AsyncIterator[Page], report: RecoveryReport, generation: int
    ) -> bool:
        filling = _Filling(table, missed, report)
        asking = asyncio.ensure_future(_first(pages))
        try:
            async with asyncio.TaskGroup() as at_work:
                while (page := await self._next(asking, report)) is not None:
                    if self._app.consumer_generation_id != generation:
                        return False
                    asking = asyncio.ensure_future(_first(pages))  # read while the ones before are loaded
                    await filling.begin(page, at_work)
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait((asking,))
        for tp, (begin, end) in missed.items():
            if begin == end:
                await table.load(tp, [], begin)
            table.recovered(tp)
        return True

    async def _next(self, asking: asyncio.Future[Page | None], report: RecoveryReport) -> Page | None:
        while not asking.done():
            await asyncio.wait((asking,), timeout=_LOOK_S)
            report.look()
            if monotonic() - report.moved_at > self.stall_timeout_s:
                raise Unavailable(f"nothing has come for {self.stall_timeout_s:g} s")
        return asking.result()


class _Filling:
    """A table that is being filled: pages of a partition one after another, those of different ones side by side."""

    def __init__(self, table: Any, missed: Mapping[TP, Span], report: RecoveryReport) -> None:
        self._table = table
        self._ends = {tp: span.end for tp, span in missed.items()}
        self._reached = {tp: span.begin for tp, span in missed.items()}
        self._report = report
        self._order = {tp: asyncio.Lock() for tp in missed}
        self._cores = asyncio.Semaphore(os.cpu_count() or 1)

    async def begin(self, page: Page, at_work: asyncio.TaskGroup) -> None:
        """Begin to load a page, as soon as a core is free: no more pages than that are held."""
        await self._cores.acquire()
        at_work.create_task(self._take(page))

    async def _take(self, page: Page) -> None:
        tp, end = page.tp, self._ends[page.tp]
        try:
            async with self._order[tp]:  # whose waiters come in their order
                await self._load(page)
                reached, self._reached[tp] = self._reached[tp], page.next_offset
                self._report.add(len(page.records), max(0, min(page.next_offset, end) - reached))
                if reached < end <= page.next_offset:
                    await asyncio.to_thread(self._table.recovered, tp)
        finally:
            self._cores.release()

    async def _load(self, page: Page) -> None:
        try:
            await self._table.load(page.tp, page.records, page.next_offset)
        except Exception as error:
            raise InvariantBroken(
                f"table {self._table.name}: a record of {page.tp.topic}/{page.tp.partition} before offset "
                f"{page.next_offset} cannot be taken ({error!r}): use the release that wrote it"
            ) from error


async def _first(pages: AsyncIterator[Page]) -> Page | None:
    return await anext(pages, None)


def _missed(there: Span, persisted: int | None) -> Span:
    """What stands after the last offset that is known; a changelog that ends before it is left to Faust to refuse."""
    begin = max(there.begin, 0 if persisted is None else persisted + 1)
    return Span(begin, max(begin, there.end))
