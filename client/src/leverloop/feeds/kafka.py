"""Snapshots from Kafka: the compacted topic, read from its beginning without a consumer group.

Every PM and DM reads all of it, so there is nothing to share and no offset to keep: after a restart the
newest snapshot is found again by reading, and compaction keeps that short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Coroutine
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from leverloop.brokers import broker_addresses
from leverloop.clock import now_ms
from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord

__all__ = ["KafkaFeed"]

_RETRY_AFTER_S: Final = 2.0
_SILENT_MS: Final = 5_000  # ten fetches that bring nothing: what is missing to the end will not come

Answer = TypeVar("Answer")


class _Closed(Exception):
    """The feed was closed while a follower waited."""


class KafkaFeed:
    """Feed from the override topic.

    Parameters
    ----------
    bootstrap
        ``kafka://host:port`` or ``host:port``, several parted by semicolons.
    topic
        The compacted topic.
    timeout_s
        How long a broker may take to answer, and a topic to be there, in seconds; a snapshot of 32 MiB
        has to pass in that time.
    clock_ms
        Wall clock, for the time a record arrived.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        topic: str = "leverloop.overrides",
        timeout_s: float = 15.0,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._addresses: Final = broker_addresses(bootstrap)
        self._topic: Final = topic
        self._timeout_ms: Final = int(timeout_s * 1000)
        self._clock_ms: Final = clock_ms
        self._consumers: Final[set[Any]] = set()
        self._steps: Final[set[asyncio.Task[Any]]] = set()
        self._closed: Final = asyncio.Event()

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        """Yield the newest record of each key, in their order, then each newer one, until the feed is closed.

        Parameters
        ----------
        keys
            A module for its snapshots, ``<module>/heartbeat`` for its heartbeats.

        Raises
        ------
        Unavailable
            When no broker answers at the start, or the topic does not exist. Once it follows, a broker
            that goes away is waited for: nothing comes, and the snapshot grows stale by its own clock.
        """
        if self._closed.is_set():
            return
        wanted = {key.encode(): key for key in keys}
        consumer = self._consumer()
        self._consumers.add(consumer)
        try:
            await self._step(consumer.start())
            newest = await self._step(_newest(consumer, wanted))
            for encoded, key in wanted.items():
                if encoded in newest:
                    yield self._arrived(key, newest[encoded])
            while True:
                record = await self._step(consumer.getone())
                if record.key in wanted and record.value is not None:
                    yield self._arrived(wanted[record.key], record)
        except _Closed:
            return
        except UnknownTopicOrPartitionError as error:
            raise Unavailable(
                f"topic {self._topic} does not exist at {self._place()}: leverloop topics create",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        except KafkaError as error:
            raise Unavailable(
                f"{self._topic} at {self._place()} cannot be read: {error!r}", retry_after_s=_RETRY_AFTER_S
            ) from error
        finally:
            self._consumers.discard(consumer)
            await consumer.stop()

    async def close(self) -> None:
        """End every `follow` and give up connections."""
        self._closed.set()
        for step in list(self._steps):
            step.cancel()
        for consumer in list(self._consumers):  # also those whose follower nobody asks for the next record
            await consumer.stop()

    def _consumer(self) -> Any:
        return AIOKafkaConsumer(
            self._topic,
            bootstrap_servers=self._addresses,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=self._timeout_ms,
        )

    async def _step(self, step: Coroutine[Any, Any, Answer]) -> Answer:
        """Await something that `close` can interrupt: aiokafka's own calls go on waiting on a stopped consumer."""
        if self._closed.is_set():
            step.close()
            raise _Closed
        task = asyncio.create_task(step)
        self._steps.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._closed.is_set() and task.cancelled():
                raise _Closed from None
            raise
        finally:
            self._steps.discard(task)

    def _arrived(self, key: str, record: Any) -> FeedRecord:
        return FeedRecord(key=key, value=record.value, offset=record.offset, received_at_ms=self._clock_ms())

    def _place(self) -> str:
        return ", ".join(self._addresses)


async def _newest(consumer: Any, wanted: Container[bytes]) -> dict[bytes, Any]:
    """Read to where the topic ends now; the newest record of each key, none if there is none or it was deleted."""
    newest: dict[bytes, Any] = {}
    ends = await consumer.end_offsets(consumer.assignment())
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        batches = await consumer.getmany(timeout_ms=_SILENT_MS)
        if not batches:
            break
        for record in (record for records in batches.values() for record in records if record.key in wanted):
            newest.pop(record.key, None)
            if record.value is not None:
                newest[record.key] = record
    return newest
