"""Kafka: Faust's aiokafka driver behind the commit barrier, with a producer that cannot reorder or half-acknowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka
from faust.types import TP
from mode import Service

from app.transport.barrier import BarrierConsumer, BarrierProducer
from app.transport.changelog import Changelogs
from app.transport.kafka_changelog import KafkaChangelogs

__all__ = ["Consumer", "IdempotentProducer", "Producer", "SeekingConsumer", "Transport"]


_FETCH_WAIT_MS: Final = 200  # five empty fetches a second cost nothing; a rebalance waits for one or two
_TICK_S: Final = 0.5
# Time that goes on while the machine sleeps, where the system has such a clock.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class IdempotentProducer(aiokafka.Producer):
    """Acknowledged by all in-sync replicas, retried until the broker has it exactly once and in order."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send a record, unless this process has slept: another may own its partitions and be further."""
        self.app.consumer.require_awake()
        return await super().send(*args, **kwargs)


class WakefulThread(aiokafka.AIOKafkaConsumerThread):
    """The thread that keeps the membership, and knows when it cannot have kept it."""

    awake_at: float | None = None

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hands over 1500 and has no setting for it; a fetch that waits holds up all that is sought meanwhile.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        return consumer

    @Service.task
    async def _stay_awake(self) -> None:
        while not self.should_stop:
            self.require_awake()
            self.awake_at = _now()
            if self.app.rebalancing and self._consumer is not None:
                # Tables are being recovered, for whatever time: aiokafka shuts out a member that does not fetch.
                with self._consumer._subscription.fetch_context():
                    pass
            await asyncio.sleep(_TICK_S)

    async def stop(self) -> None:
        """Stop; a thread that never ran leaves a loop behind."""
        await super().stop()
        if not self._thread_started.is_set():
            self.thread_loop.close()

    def require_awake(self) -> None:
        """End the process if it was stopped for so long that the group may have given its partitions away.

        A thread that ticks is heard by the broker; a busy event loop does not matter. Called from any thread.
        """
        conf = self.app.conf
        allowed_s = conf.broker_session_timeout - conf.broker_heartbeat_interval - _TICK_S
        if self.awake_at is not None and _now() - self.awake_at > allowed_s:
            self.app.fail(f"slept for {_now() - self.awake_at:.1f} s: its partitions may be another worker's")


class SeekingConsumer(aiokafka.Consumer):
    """Seeks every source partition: aiokafka leaves those alone where nothing, or offset 0, is committed."""

    def _new_consumer_thread(self) -> WakefulThread:
        return WakefulThread(self, loop=self.loop, beacon=self.beacon)

    def require_awake(self) -> None:
        """See the thread's."""
        self._thread.require_awake()

    def _known_ends(self, tps: set[TP]) -> dict[TP, int]:
        assigned = self.assignment()
        ends = {tp: self.highwater(tp) for tp in tps if tp in assigned}
        return {tp: end for tp, end in ends.items() if end is not None}

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe; a later subscription gives up all partitions at once, so they are finished before."""
        held = self.assignment()
        if held:
            await self.on_partitions_revoked(held)
        await super().subscribe(topics)

    async def seek_to_committed(self) -> dict[TP, int]:
        """Move source partitions to what is committed, or to the earliest record; changelogs stay where they are."""
        if not self.assignment():
            return {}
        committed = {
            ensure_TP(tp): offset
            for tp, offset in (await self._thread.seek_to_committed()).items()
            if not self._is_changelog_tp(tp)
        }
        untouched = [tp for tp, offset in committed.items() if not offset]
        if untouched:
            earliest = {ensure_TP(tp): offset for tp, offset in (await self.earliest_offsets(*untouched)).items()}
            await self._thread.seek_wait(earliest)
            committed |= earliest
        return committed


class Producer(BarrierProducer, IdempotentProducer):
    """Kafka producer behind the barrier."""


class Consumer(BarrierConsumer, SeekingConsumer):
    """Kafka consumer behind the barrier."""


class Transport(aiokafka.Transport):
    """Faust transport of ``kafka://``."""

    Consumer = Consumer
    Producer = Producer

    def changelogs(self) -> Changelogs:
        """Changelogs, to be read in bulk."""
        return KafkaChangelogs(self.app)


def _now() -> float:
    return time.clock_gettime(_CLOCK)
