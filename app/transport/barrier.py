"""The commit barrier: offsets are committed only when nothing that follows from their events can be lost.

One Producer mixin and one Consumer mixin for both transports, over Faust 0.15.3 (versions are asserted at start).
The order of a commit, and what a crash after each step costs:

1. Choose the offsets: per partition the one after the last event before which none is unfinished (`progress`).
   Crash: all of it is delivered again.
2. Wait until every changelog record and output registered so far is acknowledged. The ledger is read after the
   choice, so it holds at least what the chosen events have sent. Crash: delivered again, with effects that are
   keyed and overwrite themselves.
3. Commit. Crash before the answer: delivered again, or not; both are right.
4. Note the committed offsets, on success only; a commit that was refused is tried again with the next.

A send that fails, one that is not acknowledged in time, an agent that raises, a service that crashes, an event that
stays unfinished: the process ends without a further commit (`App.fail`). So does the second chance of Faust to
commit: agents are cancelled at shutdown, and a cancelled agent acknowledges its event, therefore nothing is committed
after `seal`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

from aiokafka.errors import IllegalStateError
from faust.transport.producer import Producer
from faust.types import TP
from mode import Service

from app.transport.delivery import DeliveringConsumer

__all__ = ["BarrierConsumer", "BarrierProducer"]

CONFIRM_TIMEOUT_S: Final = 30.0  # half of the rebalance timeout: a revocation waits for the barrier, too
_PATIENCE: Final = 0.75  # of the time after which the group goes on without this worker
_LOOK_S: Final = 0.1  # whether the worker has failed meanwhile


class BarrierProducer(Producer):
    """Registers every send; `confirm` waits for what is registered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unconfirmed: Final[deque[asyncio.Future[Any]]] = deque()
        self.buffer.max_messages = 1000  # of Faust's 100 an agent with a table is always short, and says so

    def send_soon(self, fut: Any) -> None:
        """Send a changelog record."""
        self._unconfirmed.append(fut)
        super().send_soon(fut)

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        """Send an output; a failure now or later ends the process."""
        try:
            delivery = await super().send(topic, *args, **kwargs)
        except Exception as error:
            self.app.fail(f"a record for {topic} could not be sent: {error!r}")
            raise
        self._unconfirmed.append(delivery)
        delivery.add_done_callback(self._on_delivery)
        return delivery

    async def confirm(self, timeout_s: float = CONFIRM_TIMEOUT_S) -> bool:
        """Wait until all sends registered by now are acknowledged; False (after `App.fail`) if one is not."""
        deadline = monotonic() + timeout_s
        for _ in range(len(self._unconfirmed)):
            delivery = self._unconfirmed[0]
            if not delivery.done():
                await asyncio.wait([delivery], timeout=deadline - monotonic())
            if not delivery.done():
                self.app.fail(f"{len(self._unconfirmed)} sends were not acknowledged within {timeout_s:g} s")
                return False
            self._on_delivery(delivery)
            if self.app.failed is not None:
                return False
            # Last: if this wait is cancelled, the next one asks for the same delivery again.
            self._unconfirmed.popleft()
        return True

    def _on_delivery(self, delivery: asyncio.Future[Any]) -> None:
        if delivery.cancelled():
            self.app.fail("a send was cancelled: nobody knows whether it arrived")
        elif delivery.exception() is not None:
            self.app.fail(f"a send failed: {delivery.exception()!r}")


class BarrierConsumer(DeliveringConsumer):
    """Commits behind the barrier.

    The class it is mixed into gives `assignment`, `_getmany`, `_to_message`, `_commit`, `_seek`, `seek_wait` and
    `seek_to_committed`, which must move every source partition: to an explicit earliest where nothing is
    committed. `_commit` is called with partitions of the current assignment, one call at a time.
    """

    stall_timeout_s: float = 300.0
    """Ten times what a send may take: an event, or a fetch, that is this late is stuck and not slow; seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._fetched_to: dict[TP, tuple[int, float]] = {}
        self._committing: Final = asyncio.Lock()
        self._sealed = False
        super().__init__(*args, **kwargs)

    def seal(self) -> None:
        """Commit nothing from now on: what is acknowledged after this may have been cancelled, not finished."""
        self._sealed = True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished, after any commit that is in flight: at a revocation each counts."""
        if self.app.client_only:
            return False
        async with self._committing:
            self._require_movement()
            return bool(await self.force_commit(topics, start_new_transaction=start_new_transaction))

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:  # noqa: ARG002
        wanted = self._committable()
        if self._sealed or self.app.failed is not None:
            return False
        if not await self.app.producer.confirm() or not wanted or self._sealed:
            return False
        held = self.assignment()
        offsets = {tp: offset for tp, offset in wanted.items() if tp in held}
        if not offsets or not await self._commit_in_time(offsets):
            self.log.warning("commit_refused offsets=%r", wanted)
            return False
        self._committed_offset.update(offsets)
        self.app.tables.on_commit(offsets)
        self.app.monitor.on_tp_commit(offsets)
        return True

    async def _commit_in_time(self, offsets: dict[TP, int]) -> bool:
        try:
            return bool(await asyncio.wait_for(self._commit(offsets), CONFIRM_TIMEOUT_S))
        except TimeoutError:
            self.app.fail(f"a commit was not answered within {CONFIRM_TIMEOUT_S:g} s")
            return False

    def _committable(self) -> dict[TP, int]:
        found = {}
        for tp, progress in self._progress.items():
            committed = self._committed_offset[tp]
            self._acked[tp].clear()  # Faust's list of the same offsets; nobody else empties it
            offset = progress.advance(self._acked_index[tp], committed)
            if offset is not None and (committed is None or offset > committed):
                found[tp] = offset
        return found

    def _require_movement(self) -> None:
        if self.app.rebalancing or not self.flow_active:
            return
        late = monotonic() - self.stall_timeout_s
        for tp, progress in self._progress.items():
            if progress.moved_at < late and progress.waits(self._committed_offset[tp]):
                self.app.fail(f"{tp.topic}/{tp.partition} has not moved for {self.stall_timeout_s:g} s")

    @Service.task
    async def _require_fetching(self) -> None:
        """End the process if records that are there do not come: a driver can get stuck without an error."""
        while not self.should_stop:
            await self.sleep(self.stall_timeout_s / 5)
            if self.app.rebalancing or not self.flow_active:
                self._fetched_to.clear()
                continue
            try:
                await self._look_at_positions()
            except IllegalStateError:
                if not self.app.rebalancing:  # a partition has gone while we looked at it
                    raise

    async def _look_at_positions(self) -> None:
        idle = [tp for tp in self._active_partitions if not self._progress_of(tp).waits(self._committed_offset[tp])]
        for tp, end in (await self.highwaters(*idle) if idle else {}).items():
            position, now = await self.position(tp), monotonic()
            before, since = self._fetched_to.get(tp, (None, now))
            if position is None or position >= end or position != before:
                self._fetched_to[tp] = (position or 0, now)
            elif now - since > self.stall_timeout_s:
                self.app.fail(f"nothing comes from {tp.topic}/{tp.partition} at {position}, its end is {end}")

    async def perform_seek(self) -> None:
        """Move every source partition to its committed offset, after a commit that is in flight."""
        async with self._committing:
            await super().perform_seek()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in work, commit it, and only then forget it: Faust has it the other way round."""
        await self._on_partitions_revoked(revoked)
        if self.app.should_stop:
            await self.wait_empty()  # the app has left that to its stop, which finds nothing any more
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        self._forget(revoked)
        for tp in revoked:
            self._committed_offset.pop(tp, None)

    async def wait_empty(self) -> None:
        """Wait for the handlers that have begun, and commit; a failed worker waits for nobody."""
        deadline = monotonic() + self.app.conf.broker_rebalance_timeout * _PATIENCE
        while self._unacked_messages and not self.should_stop and self.app.failed is None:
            if monotonic() > deadline:
                self.app.fail(f"handlers have not finished for the partitions to go: {self._unacked_messages!r}")
            self._waiting_for_ack = acknowledged = asyncio.get_running_loop().create_future()
            await asyncio.wait([acknowledged], timeout=_LOOK_S)
            self._clean_unacked_messages()
        await self.commit()

    async def on_task_error(self, exc: BaseException) -> None:
        """End the process: an agent has raised, and its event is about to be acknowledged."""
        self.app.fail(f"an agent failed: {exc!r}", exc)

    async def on_stop(self) -> None:
        """Stop without a commit: the last one was made while the agents still ran."""
        self.seal()
        await super().on_stop()
