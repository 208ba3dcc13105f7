"""Read topics from their beginning to where they end now, on whatever log a broker URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from leverloop.brokers import broker_addresses, embedded_path
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig, Unavailable

__all__ = ["ReadRecord", "read_topic"]

_POLL_MS: Final = 1_000
_FETCH_BYTES: Final = 64 * 1024 * 1024


class ReadRecord(msgspec.Struct, frozen=True, gc=False):
    """A record and where it stands."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


async def read_topic(broker_url: str, topic: str) -> AsyncIterator[ReadRecord]:
    """Yield every record of a topic up to its present end, partition by partition or as they come.

    Raises
    ------
    BadConfig
        If there is no such topic.
    Unavailable
        If the log does not answer.
    """
    path = embedded_path(broker_url)
    reader = _kafka(broker_addresses(broker_url), topic) if path is None else _embedded(path, topic)
    async for record in reader:
        yield record


async def _embedded(path: Any, topic: str) -> AsyncIterator[ReadRecord]:
    with EmbeddedLog(path, create=False) as log:
        found = log.topics().get(topic)
        if found is None:
            raise BadConfig(f"{topic}: no such topic in {path}; `leverloop topics create` makes it")
        for partition in range(found.partitions):
            offset, end = 0, log.end_offset(topic, partition)
            while offset < end:
                page = log.read(topic, partition, offset)
                if not page:
                    break
                for r in page:
                    yield ReadRecord(partition, r.offset, r.timestamp_ms, r.key, r.value)
                offset = page[-1].offset + 1


async def _kafka(addresses: list[str], topic: str) -> AsyncIterator[ReadRecord]:
    where = ",".join(addresses)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=addresses,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        tps = sorted(consumer.assignment())
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, page in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                for r in page:
                    if r.offset < ends[tp]:
                        yield ReadRecord(tp.partition, r.offset, r.timestamp, r.key, r.value)
    except UnknownTopicOrPartitionError as error:
        raise BadConfig(f"{topic}: no such topic on {where}; `leverloop topics create` makes it") from error
    except KafkaError as error:
        raise Unavailable(f"Kafka at {where}: {error}") from error
    finally:
        await consumer.stop()
