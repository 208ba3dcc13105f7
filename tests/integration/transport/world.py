"""A log seen from outside of the worker: what tests put in, what they find in it. One for each transport."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.topic_admin import Replication, create_topics
from leverloop.brokers import embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from streams.topics import TopicSpec

WITHIN_S = 60.0


class Seen(NamedTuple):
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Put(NamedTuple):
    topic: str
    partition: int
    key: bytes
    value: bytes


class World(Protocol):
    url: str

    async def append(self, records: Sequence[Put]) -> None: ...

    async def read(self, topic: str) -> list[Seen]: ...

    async def ends(self, topic: str) -> int: ...

    async def committed(self, group: str) -> dict[tuple[str, int], int]: ...


class EmbeddedWorld:
    def __init__(self, url: str) -> None:
        self.url = url
        path = embedded_path(url)
        assert path is not None
        self._path = path

    async def append(self, records: Sequence[Put]) -> None:
        with EmbeddedLog(self._path, create=False) as log:
            log.append([NewRecord(**record._asdict(), timestamp_ms=0) for record in records])

    async def read(self, topic: str) -> list[Seen]:
        with EmbeddedLog(self._path, create=False) as log:
            return [
                Seen(partition, record.offset, record.key, record.value)
                for partition in range(log.topics()[topic].partitions)
                for record in log.read(topic, partition, 0, 1_000_000, max_bytes=1 << 40)
            ]

    async def ends(self, topic: str) -> int:
        with EmbeddedLog(self._path, create=False) as log:
            return sum(log.end_offset(topic, partition) for partition in range(log.topics()[topic].partitions))

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        with EmbeddedLog(self._path, create=False) as log:
            return log.committed(group)


class KafkaWorld:
    def __init__(self, url: str) -> None:
        self.url = url
        self._address = url.removeprefix("kafka://")

    async def append(self, records: Sequence[Put]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._address, acks="all") as producer:
            sent = [await producer.send(r.topic, r.value, key=r.key, partition=r.partition) for r in records]
            await asyncio.gather(*sent)

    async def read(self, topic: str) -> list[Seen]:
        async with AIOKafkaConsumer(bootstrap_servers=self._address, auto_offset_reset="earliest") as consumer:
            tps = await self._partitions(consumer, topic)
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            found = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                    found += [Seen(tp.partition, r.offset, r.key, r.value) for r in records]
            return sorted(found)

    async def ends(self, topic: str) -> int:
        async with AIOKafkaConsumer(bootstrap_servers=self._address) as consumer:
            return sum((await consumer.end_offsets(await self._partitions(consumer, topic))).values())

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
        await consumer._client.add_topic(topic)  # in no group, it knows no topic until it is asked for one
        return [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items() if meta.offset >= 0}


def world_of(url: str) -> World:
    return EmbeddedWorld(url) if url.startswith("embedded:") else KafkaWorld(url)


async def make_topics(url: str, specs: Iterable[TopicSpec]) -> None:
    await create_topics(url, list(specs), replication=Replication(factor=1, min_insync=1))


def last_values(records: Iterable[Seen]) -> dict[bytes | None, bytes | None]:
    return {record.key: record.value for record in sorted(records)}


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float = WITHIN_S) -> None:
    """Ask again and again, from outside: there is no event of another process to wait for."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
