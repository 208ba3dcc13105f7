"""Read topics from their beginning to where they end now, on whatever log a broker URL names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from leverloop.brokers import broker_addresses, embedded_path
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig, Unavailable

__all__ = ["ReadRecord", "end_offset", "follow_partition", "partitions_of", "read_record", "read_topic"]

_POLL_MS: Final = 1_000
_PATIENCE_S: Final = 20.0  # for one record that is there, of up to 32 MiB
_LOOK_S: Final = 0.05  # between two looks at a log that has nothing new
_FETCH_BYTES: Final = 64 * 1024 * 1024


class ReadRecord(msgspec.Struct, frozen=True, gc=False):
    """A record and where it stands."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


async def read_topic(
    broker_url: str, topic: str, *, partition: int | None = None, patience_s: float = _PATIENCE_S
) -> AsyncIterator[ReadRecord]:
    """Yield every record of a topic, or of one of its partitions, up to its present end.

    Partition by partition or as they come; in the order of offsets within a partition.

    Raises
    ------
    BadConfig
        If there is no such topic, or no such partition.
    Unavailable
        If the log does not answer, or no record comes for so many seconds although there are some.
    """
    path = embedded_path(broker_url)
    if path is None:
        reader = _kafka(broker_addresses(broker_url), topic, partition, patience_s)
    else:
        reader = _embedded(path, topic, partition)
    async for record in reader:
        yield record


async def end_offset(broker_url: str, topic: str, partition: int) -> int:
    """Offset that the next record of a partition will have; raises as `read_topic` does."""
    path = embedded_path(broker_url)
    if path is None:
        return await _kafka_end(broker_addresses(broker_url), TopicPartition(topic, partition))
    with EmbeddedLog(path, create=False) as log:
        _asked(_embedded_partitions(log, topic), topic, partition)
        return log.end_offset(topic, partition)


async def follow_partition(
    broker_url: str, topic: str, partition: int, from_offset: int
) -> AsyncGenerator[ReadRecord, None]:
    """Yield the records of a partition from an offset on, and then each as it comes, for ever.

    Raises as `read_topic` does. Close it when you have heard enough.
    """
    path = embedded_path(broker_url)
    if path is None:
        followed = _kafka_followed(broker_addresses(broker_url), TopicPartition(topic, partition), from_offset)
    else:
        followed = _embedded_followed(path, topic, partition, from_offset)
    async with aclosing(followed):
        async for record in followed:
            yield record


async def read_record(broker_url: str, topic: str, partition: int, offset: int) -> bytes | None:
    """Return the value of one record; None if it is not there any more, or never was.

    Raises
    ------
    BadConfig, Unavailable
        As `read_topic` does.
    """
    path = embedded_path(broker_url)
    if path is None:
        return await _kafka_record(broker_addresses(broker_url), TopicPartition(topic, partition), offset)
    with EmbeddedLog(path, create=False) as log:
        page = log.read(topic, partition, offset, limit=1)
        return page[0].value if page and page[0].offset == offset else None


async def partitions_of(broker_url: str, topic: str) -> int:
    """How many partitions a topic has; raises as `read_topic` does."""
    path = embedded_path(broker_url)
    if path is not None:
        with EmbeddedLog(path, create=False) as log:
            return _embedded_partitions(log, topic)
    return await _kafka_partitions(broker_addresses(broker_url), topic)


async def _embedded(path: Path, topic: str, partition: int | None) -> AsyncIterator[ReadRecord]:
    with EmbeddedLog(path, create=False) as log:
        for number in _asked(_embedded_partitions(log, topic), topic, partition):
            offset, end = 0, log.end_offset(topic, number)
            while offset < end:
                page = log.read(topic, number, offset)
                if not page:
                    break
                for r in page:
                    yield ReadRecord(number, r.offset, r.timestamp_ms, r.key, r.value)
                offset = page[-1].offset + 1


def _embedded_partitions(log: EmbeddedLog, topic: str) -> int:
    found = log.topics().get(topic)
    if found is None:
        raise BadConfig(f"{topic}: no such topic in {log.path}; `leverloop topics create` makes it")
    return found.partitions


def _asked(partitions: int, topic: str, partition: int | None) -> range:
    """Partitions to read, of those that are there."""
    if partition is None:
        return range(partitions)
    if not 0 <= partition < partitions:
        raise BadConfig(f"{topic}: has partitions 0 to {partitions - 1}, asked for was {partition}")
    return range(partition, partition + 1)


async def _embedded_followed(
    path: Path, topic: str, partition: int, from_offset: int
) -> AsyncGenerator[ReadRecord, None]:
    with EmbeddedLog(path, create=False) as log:
        offset = from_offset
        while True:
            for r in log.read(topic, partition, offset):
                yield ReadRecord(partition, r.offset, r.timestamp_ms, r.key, r.value)
                offset = r.offset + 1
            await asyncio.sleep(_LOOK_S)


async def _kafka(
    addresses: list[str], topic: str, partition: int | None, patience_s: float
) -> AsyncIterator[ReadRecord]:
    asked = _asked(await _kafka_partitions(addresses, topic), topic, partition)
    tps = [TopicPartition(topic, number) for number in asked]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=addresses,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    read = 0
    try:
        await consumer.start()
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        while pages := await _pages(consumer, ends, patience_s):
            for tp, page in pages.items():
                for r in page:
                    if r.offset < ends[tp]:
                        yield ReadRecord(tp.partition, r.offset, r.timestamp, r.key, r.value)
                        read += 1
    except TimeoutError as error:
        wanted = topic if partition is None else f"{topic}/{partition}"
        raise Unavailable(
            f"Kafka at {', '.join(addresses)}: nothing more of {wanted} came for {patience_s:g} s, after {read:,} "
            "records and before its end: are all brokers up, and has each partition a leader? Then ask again"
        ) from error
    except KafkaError as error:
        raise _unavailable(addresses, error) from error
    finally:
        await _stop(consumer)


async def _pages(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], patience_s: float
) -> dict[TopicPartition, list[Any]]:
    """Records that come next; none once all up to the ends were read; TimeoutError if they do not come."""
    async with asyncio.timeout(patience_s):
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            pages: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=_POLL_MS)
            if pages:
                return pages
    return {}


async def _kafka_end(addresses: list[str], tp: TopicPartition) -> int:
    _asked(await _kafka_partitions(addresses, tp.topic), tp.topic, tp.partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=addresses, group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        ends = await consumer.end_offsets([tp])
    except KafkaError as error:
        raise _unavailable(addresses, error) from error
    finally:
        await _stop(consumer)
    return int(ends[tp])


async def _kafka_followed(
    addresses: list[str], tp: TopicPartition, from_offset: int
) -> AsyncGenerator[ReadRecord, None]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=addresses, group_id=None, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, from_offset)
        while True:
            r = await consumer.getone(tp)
            yield ReadRecord(tp.partition, r.offset, r.timestamp, r.key, r.value)
    except KafkaError as error:
        raise _unavailable(addresses, error) from error
    finally:
        await _stop(consumer)


async def _kafka_record(addresses: list[str], tp: TopicPartition, offset: int) -> bytes | None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=addresses,
        group_id=None,
        enable_auto_commit=False,
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        begin = (await consumer.beginning_offsets([tp]))[tp]
        if not begin <= offset < (await consumer.end_offsets([tp]))[tp]:
            return None
        consumer.seek(tp, offset)
        record = await asyncio.wait_for(consumer.getone(tp), _PATIENCE_S)
    except TimeoutError as error:
        raise Unavailable(
            f"Kafka at {', '.join(addresses)}: {tp.topic}/{tp.partition} at {offset} did not come"
        ) from error
    except KafkaError as error:
        raise _unavailable(addresses, error) from error
    finally:
        await _stop(consumer)
    return record.value if record.offset == offset else None


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever its brokers do."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # aiokafka 0.14 lets the cancellation of its own fetch out, where that waits to try again, and stops no more
        await consumer._client.close()  # noqa: SLF001
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


async def _kafka_partitions(addresses: list[str], topic: str) -> int:
    """Ask first: a consumer of a topic that is not there waits for it for 40 s."""
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses)
    try:
        await admin.start()
        (found,) = await admin.describe_topics([topic])
    except KafkaError as error:
        raise _unavailable(addresses, error) from error
    finally:
        await admin.close()
    if found["error_code"] == UnknownTopicOrPartitionError.errno:
        raise BadConfig(f"{topic}: no such topic on {', '.join(addresses)}; `leverloop topics create` makes it")
    return len(found["partitions"])


def _unavailable(addresses: list[str], error: KafkaError) -> Unavailable:
    return Unavailable(f"Kafka at {', '.join(addresses)}: {error}")
