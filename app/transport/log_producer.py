"""Faust producer that writes to the embedded log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from faust.transport import base
from faust.types import TP

from leverloop.embedded_log import NewRecord
from leverloop.errors import BadConfig
from leverloop.partitions import partition_of

__all__ = ["LogProducer"]


class LogProducer(base.Producer):
    """Writes to the log, straight through: Faust's buffer would only add a task and a queue."""

    async def on_start(self) -> None:
        """Open the log for this worker alone."""
        await super().on_start()
        self.transport.open()

    async def on_stop(self) -> None:
        """Write what waits and close the log: the producer is the last to stop."""
        await super().on_stop()
        self.transport.close()

    def send_soon(self, fut: Any) -> None:
        """Put a changelog record."""
        message = fut.message
        topic = message.channel.get_topic_name()
        self._put(topic, message.key, message.value, message.partition, message.timestamp, message.headers, fut)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,  # noqa: ARG002 - Faust's signature
    ) -> asyncio.Future[Any]:
        """Put a record; the future returned is done when it is on disk."""
        promise = asyncio.get_running_loop().create_future()
        self._put(topic, key, value, partition, timestamp, headers, promise)
        return promise

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> Any:
        """Put a record and wait for it."""
        return await (await self.send(*args, **kwargs))

    async def flush(self) -> None:
        """Write what waits."""
        self.transport.write()

    async def create_topic(self, topic: str, *_: Any, **__: Any) -> None:
        """Faust declares internal topics; here they are created beforehand, with all others."""
        self.transport.require_partitions(topic)

    def key_partition(self, topic: str, key: bytes | None) -> TP:
        """Partition of a key: the same function as the client's."""
        return TP(topic, partition_of(key or b"", self.transport.require_partitions(topic)))

    def supports_headers(self) -> bool:
        """Headers are kept."""
        return True

    def _put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        promise: asyncio.Future[Any],
    ) -> None:
        if partition is None:
            partition = self.key_partition(topic, key).partition
        elif not 0 <= partition < self.transport.require_partitions(topic):
            raise BadConfig(f"topic {topic} has no partition {partition}")
        record = NewRecord(
            topic=topic,
            partition=partition,
            key=key,
            value=value,
            timestamp_ms=int((timestamp or time.time()) * 1000),
            headers=tuple(headers.items() if isinstance(headers, Mapping) else headers or ()),
        )
        self.transport.outbox.send(record, promise)
