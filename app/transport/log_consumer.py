"""Faust consumer that reads the embedded log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.assignor.client_assignment import ClientAssignment
from faust.transport import base
from faust.types import TP, ConsumerMessage

from leverloop.embedded_log import EmbeddedLog, Record

__all__ = ["LogConsumer"]

_POLL_S: Final = 0.005  # for records of other processes: 3 us each time
_PAGE: Final = 500  # records read of a partition before the next has its turn


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

    def _known_ends(self, tps: set[TP]) -> dict[TP, int]:  # noqa: ARG002
        return {}

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
