"""Topics of these tests: created, written and read with plain aiokafka, so that our own code is not its own judge."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@asynccontextmanager
async def admin_of(address: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create(address: str, *topics: str, partitions: int = 1, **config: str) -> None:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    wanted = [NewTopic(topic, partitions, replication_factor=1, topic_configs=settings) for topic in topics]
    async with admin_of(address) as admin:
        answer = await admin.create_topics(wanted)
    assert [code for _, code, *_ in answer.topic_errors] == [0] * len(topics)


async def write(
    address: str, topic: str, values: Sequence[bytes | None], *, key: bytes | None = None, **options: Any
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all", **options) as producer:
        for sent in [await producer.send(topic, value, key=key) for value in values]:
            await sent


async def read(address: str, topic: str, *, partitions: int = 1) -> list[Any]:
    """Every record of a topic, partition after partition."""
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        records = [await consumer.getone() for _ in range(sum(ends.values()))]
    return sorted(records, key=lambda record: (record.partition, record.offset))
