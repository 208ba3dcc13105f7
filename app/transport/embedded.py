"""The embedded log as a Faust transport: no broker, one worker, the same agents and tables."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.assignor.client_assignment import ClientAssignment
from faust.transport import base
from faust.types import TP, ConsumerMessage
from yarl import URL

from app.transport.barrier import BarrierConsumer, BarrierProducer
from app.transport.outbox import Outbox
from app.transport.worker_lock import WorkerLock
from leverloop.embedded_log import EmbeddedLog, NewRecord, Record
from leverloop.errors import BadConfig, LeverloopError
from leverloop.partitions import partition_of

__all__ = ["Consumer", "LogConsumer", "LogProducer", "Producer", "Transport"]

_LINGER_S: Final = 0.007  # a transaction costs one fsync, 0.2 to 2 ms: a tenth of the loop's time at most
_POLL_S: Final = 0.005  # for records of other processes: 3 us each time
_PAGE: Final = 500  # records read of a partition before the next has its turn


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
        self.transport.outbox.write()

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:  # noqa: ARG002
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


class LogConsumer(base.Consumer):
    """Reads the log. All partitions of all topics are this worker's; a rebalance is a change of subscription."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned: set[TP] = set()
        self._positions: dict[TP, int] = {}
        self._unread: set[TP] = set()  # what may hold records from its position on
        self._seen_version = -1
        self._changed: Final = asyncio.Event()
        self._rebalance: Final = asyncio.Lock()
        self.transport.on_written = self._on_written

    @property
    def _log(self) -> EmbeddedLog:
        return self.transport.log

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions of the topics: a rebalance, as on Kafka, and as there not awaited.

        Its callbacks wait for the conductor, which waits for this method.
        """
        self.add_future(self._assign(frozenset(topics)))

    async def _assign(self, topics: frozenset[str]) -> None:
        async with self._rebalance:
            self.app.on_rebalance_start()
            if self._assigned:
                await self.on_partitions_revoked(set(self._assigned))
            self.app.consumer_generation_id += 1
            actives = {topic: list(range(self.transport.require_partitions(topic))) for topic in sorted(topics)}
            self._assigned = {TP(topic, partition) for topic, numbers in actives.items() for partition in numbers}
            self._unread = set(self._assigned)
            await self.seek_to_committed()
            # Recovery asks the assignor which changelogs are ours; on Kafka the group protocol fills it.
            assignor = self.app.assignor
            assignor._assignment = ClientAssignment(actives=actives, standbys={})
            assignor._active_tps, assignor._standby_tps = set(self._assigned), set()
            await self.on_partitions_assigned(set(self._assigned), self.app.consumer_generation_id)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Record]]:  # noqa: ASYNC109
        deadline = self.loop.time() + timeout
        while self.flow_active and not self.should_stop:
            version = self._log.data_version()
            if version != self._seen_version:  # another process has appended, nobody knows where
                self._seen_version = version
                self._unread = set(self._assigned)
            found = self._read(self._unread if active_partitions is None else self._unread & active_partitions)
            if found or self.loop.time() >= deadline:
                return found
            poll = self.loop.call_later(_POLL_S, self._changed.set)
            await self._changed.wait()
            poll.cancel()
            self._changed.clear()
        return {}

    def _read(self, tps: set[TP]) -> dict[TP, list[Record]]:
        found = {}
        for tp in tps:
            page = self._log.read(tp.topic, tp.partition, self._positions[tp], _PAGE)
            if page:
                found[tp] = page
                self._positions[tp] = page[-1].offset + 1
            else:
                self._unread.discard(tp)
        return found

    def _on_written(self, tps: set[TP]) -> None:
        written = tps & self._assigned
        if written:
            self._unread |= written
            self._changed.set()

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
            timestamp=record.timestamp_ms / 1000,
            timestamp_type=0,
            headers=list(record.headers),
            key=record.key,
            value=record.value,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def assignment(self) -> set[TP]:
        """Return all partitions subscribed to."""
        return self._assigned

    async def seek_to_committed(self) -> dict[TP, int]:
        """Move source partitions to what is committed, or to the earliest record; changelogs stay where they are."""
        committed = self._log.committed(self.app.conf.id)
        found = {}
        for tp in self._assigned:
            if not self._is_changelog_tp(tp):
                offset = committed.get((tp.topic, tp.partition), 0)
                found[tp] = max(offset, self._log.earliest_offset(*tp))
            self._move(tp, found.get(tp, self._positions.get(tp, 0)))
        return found

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Move partitions."""
        for tp, offset in partitions.items():
            self._move(tp, offset)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._move(partition, offset)

    def _move(self, tp: TP, offset: int) -> None:
        self._positions[tp] = offset
        self._unread.add(tp)

    async def position(self, tp: TP) -> int | None:
        """Offset of the next record to be read."""
        return self._positions.get(tp)

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """Offset of the first record of each partition."""
        return {tp: self._log.earliest_offset(*tp) for tp in partitions}

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Offset that the next record of each partition will have."""
        return {tp: self._log.end_offset(*tp) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        """Offset that the next record of a partition will have."""
        return self._log.end_offset(*tp)

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, None if it does not exist."""
        return self.transport.partitions(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Partition of a key."""
        return self.app.producer.key_partition(topic, key).partition if partition is None else partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """See the producer's."""
        await self.app.producer.create_topic(topic, *args, **kwargs)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self.transport.outbox.commit(self.app.conf.id, offsets)
        return True


class Producer(BarrierProducer, LogProducer):
    """Embedded producer behind the barrier."""


class Consumer(BarrierConsumer, LogConsumer):
    """Embedded consumer behind the barrier."""


class Transport(base.Transport):
    """Faust transport of ``embedded://``: one log, open from the producer's start to its stop."""

    Consumer = Consumer
    Producer = Producer

    default_port = 0
    driver_version = "embedded log"

    def __init__(self, url: list[URL], app: Any, loop: Any = None) -> None:
        super().__init__(url, app, loop)
        if not hasattr(app, "log_path"):
            raise BadConfig("the embedded transport needs an app made by app.transport.create_app")
        self.log: EmbeddedLog
        self.outbox: Outbox
        self._lock: Final = WorkerLock(app.log_path)
        self._partitions: dict[str, int] = {}
        self.on_written: Any = lambda _: None

    def open(self) -> None:
        """Lock the log for this worker, open it, and tidy it up."""
        self._lock.acquire()
        try:
            self.log = EmbeddedLog(self.app.log_path)
            tidy(self.log)
        except LeverloopError:
            self._lock.release()
            raise
        self.outbox = Outbox(
            self.log,
            linger_s=_LINGER_S,
            on_written=lambda tps: self.on_written(tps),  # noqa: PLW0108 - the consumer comes later
            on_failed=lambda error: self.app.fail(f"the embedded log cannot be written: {error}", error),
        )

    def close(self) -> None:
        """Write what waits, close the log, let go of the lock."""
        self.outbox.write()
        self.log.close()
        self._lock.release()

    def partitions(self, topic: str) -> int | None:
        """Partitions of a topic, None if it does not exist; never changes once there."""
        known = self._partitions.get(topic)
        if known is None:
            found = self.log.topics().get(topic)
            if found is not None:
                known = self._partitions[topic] = found.partitions
        return known

    def require_partitions(self, topic: str) -> int:
        """Partitions of a topic; BadConfig if it does not exist."""
        found = self.partitions(topic)
        if found is None:
            raise BadConfig(f"topic {topic} does not exist in {self.app.log_path}: leverloop topics create")
        return found


def tidy(log: EmbeddedLog) -> None:
    """Compact the compacted topics and drop what is past its retention, as a broker would all the time."""
    now_ms = int(time.time() * 1000)
    for topic in log.topics().values():
        if "compact" in topic.config.get("cleanup.policy", "delete"):
            log.compact(topic.name)
        elif (retention_ms := int(topic.config.get("retention.ms", "-1"))) >= 0:
            log.trim(topic.name, now_ms - retention_ms)
