"""Recovery of tables from their changelogs: in bulk, then as Faust does it, without the ways in which that goes wrong.

What `bulk` has read is not read again; Faust's way remains for what has come since, and for tables of other kinds:

1. An error while a record is applied ends the process. Faust logs a warning and goes on with half a table.
2. A record of a partition that is not ours any more is dropped. Faust applies it to the table it saw last.
3. Recovery ends when the position has passed the end, too: the last record may have been compacted away, and then
   Faust waits for it for ever. One that does not move at all ends the process.
4. Records are applied as many at a time as have arrived, not each with a timer of its own.
"""

from __future__ import annotations

from itertools import groupby
from time import monotonic
from typing import Any, Final

from aiokafka.errors import IllegalStateError
from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from app.transport.bulk import BulkRecovery

__all__ = ["PromptTableManager", "StrictRecovery"]

STALL_TIMEOUT_S: Final = 300.0
_LOOK_S: Final = 1.0


class StrictRecovery(Recovery):
    """Applies what comes from the changelogs, and says when it is all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moved_at = 0.0
        self._bulk: Final = BulkRecovery(self.app)

    async def on_stop(self) -> None:
        """Stop when nothing is open any more."""
        await super().on_stop()
        await self._bulk.wait_closed()

    @Service.task
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):
            self.signal_recovery_start.clear()
            try:
                await self._recover(self._generation_id)
            except (RebalanceAgain, IllegalStateError):  # the next one begins, or has begun
                continue
            except ServiceStopped:
                break

    async def _recover(self, generation: int) -> None:
        if not self.tables:
            await self._resume_streams(generation)
            return
        consumer, step_s = self.app.consumer, self.app.conf.broker_request_timeout
        await self._wait(self.app.producer.flush(), timeout=step_s)
        await self._wait(self._read_in_bulk(generation))
        self._set_recovery_started()
        await self._wait(
            self._build_highwaters(consumer, self.active_tps, self.active_highwaters, "active"), timeout=step_s
        )
        await self._wait(self._build_offsets(consumer, self.active_tps, self.active_offsets, "active"), timeout=step_s)
        self._require_consistency()
        await self._wait(self._seek_offsets(consumer, self.active_tps, self.active_offsets, "active"), timeout=step_s)
        behind = self.need_recovery()
        if behind:
            consumer.resume_partitions(self.active_tps)
        self.app.flow_control.resume()
        consumer.resume_flow()
        if behind:
            await self.app._fetcher.maybe_start()
            await self._wait(self.signal_recovery_end.wait())
            consumer.pause_partitions(self.active_tps)
        self._set_recovery_ended()
        await self._wait(self.on_recovery_completed(generation))

    async def _read_in_bulk(self, generation: int) -> None:
        done = await self._bulk.run({tp: self.tp_to_table[tp] for tp in self.active_tps}, generation)
        if self.app.consumer_generation_id != generation:
            raise RebalanceAgain
        for tp in done:
            self.active_offsets[tp] = self.tp_to_table[tp].persisted_offset(tp)

    def _require_consistency(self) -> None:
        for tp, have in self.active_offsets.items():
            last = self.active_highwaters[tp]
            if have > last:
                raise ConsistencyError(
                    f"{tp.topic}/{tp.partition} ends at {last}, and {have} was read from it: the log has lost records"
                )

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.clear()
        self._moved_at = monotonic()

    async def _wait(self, coro: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109 - Faust's signature
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:  # Faust's word for a timeout, too: it then goes on without tables and without events
            if not self.should_stop:
                self.app.fail(f"a step of the recovery was not done within {timeout} s")
            raise

    @Service.task
    async def _slurp_changelogs(self) -> None:
        queue = self.tables.changelog_queue
        while not self.should_stop:
            events = [await queue.get()]
            while not queue.empty():
                events.append(queue.get_nowait())
            for table, group in groupby(
                filter(self._is_news, events), key=lambda event: self.tp_to_table[event.message.tp]
            ):
                table.apply_changelog_batch(list(group))
            self._end_if_complete()

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(_LOOK_S)
            if self.in_recovery and self.tables.changelog_queue.empty():
                await self.wait_first(self._look_past_the_last_record())  # the consumer may stop before it answers
                if monotonic() - self._moved_at > STALL_TIMEOUT_S:
                    self.app.fail(f"recovery has not moved for {STALL_TIMEOUT_S:g} s: {self.active_stats()}")

    def _is_news(self, event: Any) -> bool:
        tp, offset = event.message.tp, event.message.offset
        seen = self.active_offsets.get(tp)
        if tp not in self.active_tps or (seen is not None and offset <= seen):
            return False
        self.active_offsets[tp] = offset
        self._moved_at = monotonic()
        return True

    async def _look_past_the_last_record(self) -> None:
        for tp, last in list(self.active_highwaters.items()):
            have = self.active_offsets.get(tp)
            if have is not None and have < last:
                position = await self.app.consumer.position_handed_over(tp)
                queued = not self.tables.changelog_queue.empty()
                if position is not None and position > last and not queued and self.active_offsets.get(tp) == have:
                    self.active_offsets[tp] = last
        self._end_if_complete()

    def _end_if_complete(self) -> None:
        if self.in_recovery and not self.need_recovery():
            self._set_recovery_ended()
            self.signal_recovery_end.set()


class PromptTableManager(TableManager):
    """Starts recovery at once: Faust waits a second for tables declared late, ours are all there."""

    _recovery: StrictRecovery | None

    @property
    def recovery(self) -> StrictRecovery:
        """Recovery of all tables."""
        recovery: StrictRecovery | None = self._recovery
        if recovery is None:
            self._recovery = recovery = StrictRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return recovery

    async def on_start(self) -> None:
        """Start recovery."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
