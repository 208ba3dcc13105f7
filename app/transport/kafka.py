"""Kafka: Faust's aiokafka driver behind the commit barrier, with a producer that cannot reorder or half-acknowledge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka
from faust.types import TP

from app.transport.barrier import BarrierConsumer, BarrierProducer

__all__ = ["Consumer", "IdempotentProducer", "Producer", "SeekingConsumer", "Transport"]


_FETCH_WAIT_MS: Final = 200  # five empty fetches a second cost nothing; a rebalance waits for one or two


class IdempotentProducer(aiokafka.Producer):
    """Acknowledged by all in-sync replicas, retried until the broker has it exactly once and in order."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class PromptThread(aiokafka.AIOKafkaConsumerThread):
    """Asks the broker to answer an empty fetch soon: one that is waiting holds up all that is sought meanwhile."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # Faust hands over 1500, and has no setting for it
        return consumer


class SeekingConsumer(aiokafka.Consumer):
    """Seeks every source partition: aiokafka leaves those alone where nothing, or offset 0, is committed."""

    def _new_consumer_thread(self) -> PromptThread:
        return PromptThread(self, loop=self.loop, beacon=self.beacon)

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
