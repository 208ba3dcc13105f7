"""From the fetch to the queues of the agents: every record once, in order, and none lost at a seek.

It replaces Faust's loop, which pays four tasks for a record, and has three ways to lose one:

1. A seek moves the position while a batch from before it is still being handed out; what the seek was for is then
   dropped as old. Here a seek waits for the batch, or cuts it short where all positions are moved.
2. What is handed over between the seek and the flow's resumption is swept out of the queues. Here nothing is.
3. A missing offset counts as handled, together with the record after it. Here deliveries are counted (`progress`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from faust.transport.consumer import Consumer, ensure_TP
from faust.types import TP

from app.transport.progress import Progress

__all__ = ["DeliveringConsumer"]

_FETCH_S: Final = 0.25  # a seek waits for the fetch in flight: so long at most
_IDLE_S: Final = 0.05  # every partition is paused, or its queue is full: look again
_NOWHERE: Final = TP("", -1)
_BREATH: Final = 100  # records handed over before the loop may run the agents


class DeliveringConsumer(Consumer):
    """Consumer with a fetch loop of its own, between Faust's base class and a driver."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._progress: dict[TP, Progress] = {}
        self._fetching: Final = asyncio.Lock()
        super().__init__(*args, **kwargs)

    async def perform_seek(self) -> None:
        """Move every source partition to its committed offset, and hand over nothing until the flow resumes.

        Whoever calls this resumes the flow next, and empties the queues of the agents as he does: what was
        handed over in between would be gone for good.
        """
        self.stop_flow()
        async with self._fetching:
            committed = await self.seek_to_committed()
            self._forget(list(self._progress))
            self._committed_offset.update({ensure_TP(tp): offset for tp, offset in committed.items()})

    async def seek(self, partition: TP, offset: int) -> None:
        """Move one partition, when what was fetched from its old position has been handed over."""
        async with self._fetching:
            await self._seek(partition, offset)
            self._forget([ensure_TP(partition)])

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Move partitions; recovery uses it for changelogs."""
        async with self._fetching:
            await super().seek_wait(partitions)
            self._forget([ensure_TP(tp) for tp in partitions])

    async def position_handed_over(self, tp: TP) -> int | None:
        """Position of a partition; every record before it has been handed over."""
        async with self._fetching:
            return cast("int | None", await self.position(tp))

    def _forget(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            for state in (self._progress, self._acked, self._acked_index, self._gap, self._read_offset):
                state.pop(tp, None)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait_first(self.can_resume_flow, fetcher._stopped)
                elif not self._get_active_partitions():
                    # aiokafka never lets a member join again that has not fetched for max_poll_interval.
                    await self._getmany(active_partitions={_NOWHERE}, timeout=_IDLE_S)
                else:
                    await asyncio.sleep(0)
                    async with self._fetching:
                        await self._deliver_next()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _deliver_next(self) -> None:
        generation = self.app.consumer_generation_id
        records = await self._getmany(active_partitions=self._get_active_partitions(), timeout=_FETCH_S)
        if not records or not self.flow_active:
            return  # the flow resumes after a seek only: what was fetched and dropped here is fetched again
        for tp in records:
            self.app.monitor.track_tp_end_offset(ensure_TP(tp), self.highwater(tp) or 0)
        delivering = asyncio.ensure_future(self._deliver(records, generation))
        suspended = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait((delivering, suspended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            suspended.cancel()
            delivering.cancel()  # it waits for room in a queue that nobody reads any more
            await asyncio.wait((delivering,))
        if not delivering.cancelled():
            delivering.result()

    async def _deliver(self, records: Mapping[Any, list[Any]], generation: int) -> None:
        active = self._get_active_partitions()
        acking = self.app.topics.acking_topics
        for count, (tp, record) in enumerate(self.scheduler.iterate(records)):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if tp not in active and tp not in self._buffered_partitions:
                continue
            message = self._to_message(tp, record)
            if message.topic in acking:
                self._progress_of(message.tp).deliver(message.offset)
            await self.callback(message)
            if count % _BREATH == 0:
                await asyncio.sleep(0)

    def _progress_of(self, tp: TP) -> Progress:
        progress = self._progress.get(tp)
        if progress is None:
            progress = self._progress[tp] = Progress()
        return progress
