"""From the fetch to the queues of the agents: every record once, in order, and none lost at a seek.

It replaces Faust's loop, which pays four tasks for a record, and has three ways to lose one:

1. A seek moves the position while a batch from before it is still being handed out; what the seek was for is then
   dropped as old. Here a seek waits for the batch, or cuts it short where all positions are moved.
2. What is handed over between the seek and the flow's resumption is swept out of the queues. Here nothing is.
3. A missing offset counts as handled, together with the record after it. Here deliveries are counted (`progress`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from faust.transport.consumer import Consumer, ensure_TP
from faust.types import TP

from app.transport.progress import Progress
from app.transport.schedule import Held

__all__ = ["DeliveringConsumer"]

_FETCH_S: Final = 0.25  # a seek waits for the fetch in flight: so long at most
_IDLE_S: Final = 0.05  # every partition is paused, or its queue is full: look again
_PATIENCE: Final = 4  # fetches that wait for a partition that seems to have more
_NOWHERE: Final = TP("", -1)
_BREATH: Final = 100  # records handed over before the loop may run the agents


class DeliveringConsumer(Consumer):
    """Consumer with a fetch loop of its own, between Faust's base class and a driver."""

    _known_ends: Callable[[set[TP]], dict[TP, int]]
    """Of the driver: ends of partitions, as the last fetch has shown them; none where a fetch brings all there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._progress: dict[TP, Progress] = {}
        self._held: Final = Held()
        self._next: dict[TP, int] = {}  # offset behind the last record fetched
        self._waited_for: dict[TP, int] = {}  # end of a partition that nothing came from
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
            self._held.clear()
            self._next.clear()
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
            held = self._held.next_offset(tp)
            return cast("int | None", await self.position(tp)) if held is None else held

    def _forget(self, tps: Iterable[TP]) -> None:
        tps = list(tps)
        self._held.forget(tps)
        for tp in tps:
            for state in (
                self._progress,
                self._next,
                self._waited_for,
                self._acked,
                self._acked_index,
                self._gap,
                self._read_offset,
            ):
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
        active = set(self._get_active_partitions())
        await self._fetch(active)
        if not self.flow_active or self.app.consumer_generation_id != generation:
            self._held.clear()  # the flow resumes after a seek only: what is dropped here is fetched again
            return
        delivering = asyncio.ensure_future(self._deliver(active, generation))
        suspended = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait((delivering, suspended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            suspended.cancel()
            delivering.cancel()  # it waits for room in a queue that nobody reads any more
            await asyncio.wait((delivering,))
        if delivering.cancelled():
            self._held.clear()
        else:
            delivering.result()

    async def _fetch(self, active: set[TP]) -> None:
        """Fetch from the partitions of which nothing is held; wait a while for those that have more."""
        wanted = self._held.without(active)
        timeout = _FETCH_S if wanted == active else 0.0
        for _ in range(_PATIENCE):
            if not wanted or not self.flow_active:
                return
            for found, records in (await self._getmany(active_partitions=wanted, timeout=timeout)).items():
                tp = ensure_TP(found)
                self._held.add(tp, records)
                self._next[tp] = records[-1].offset + 1
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp) or 0)
            ends = self._known_ends(self._held.without(wanted))
            wanted = {tp for tp, end in ends.items() if await self._is_behind(tp, end)}
            timeout = _FETCH_S
        self._waited_for.update({tp: ends[tp] for tp in wanted})

    async def _is_behind(self, tp: TP, end: int) -> bool:
        """Whether there are records of a partition that did not come with the last fetch."""
        if self._waited_for.get(tp) == end:
            return False
        if tp not in self._next and (position := await self.position(tp)) is not None:
            self._next[tp] = position
        return end > self._next.get(tp, end)

    async def _deliver(self, active: set[TP], generation: int) -> None:
        acking = self.app.topics.acking_topics
        for count, (tp, record) in enumerate(self._held.take(active)):
            message = self._to_message(tp, record)
            if message.topic in acking:
                self._progress_of(message.tp).deliver(message.offset)
            await self.callback(message)
            if not self.flow_active or self.app.consumer_generation_id != generation:
                self._held.clear()
                return
            if count % _BREATH == 0:
                await asyncio.sleep(0)

    def _progress_of(self, tp: TP) -> Progress:
        progress = self._progress.get(tp)
        if progress is None:
            progress = self._progress[tp] = Progress()
        return progress
