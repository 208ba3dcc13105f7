"""Topics are read to their present end, whole or one partition of them, on both logs."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from app.devbroker import DevBroker
from app.topic_admin import Replication, create_topics
from app.topic_reader import end_offset, follow_partition, partitions_of, read_record, read_topic
from leverloop.brokers import embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import BadConfig, Unavailable
from streams.topics import TopicSpec
from tests.integration.kafka import topics as kafka

PARTITIONS = 3
RECORDS = [(number % 2, f"k{number}".encode(), b"" if number == 4 else str(number).encode()) for number in range(7)]
"""Of partitions 0 and 1; partition 2 stays empty, and record 4 is a tombstone."""


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, tmp_path: Path, unique_id: str) -> tuple[str, str]:
    """URL of a log, and a topic on it."""
    kind = request.param
    url = (
        f"embedded://{tmp_path}/log.db" if kind == "embedded" else f"kafka://{request.getfixturevalue('kafka_broker')}"
    )
    spec = TopicSpec(name=unique_id, partitions=PARTITIONS, cleanup="compact")
    await create_topics(url, [spec], replication=Replication(factor=1, min_insync=1))
    await written(url, unique_id)
    return url, unique_id


async def written(url: str, topic: str) -> None:
    path = embedded_path(url)
    if path is None:
        address = url.removeprefix("kafka://")
        for partition, key, value in RECORDS:
            await kafka.write(address, topic, [value or None], key=key, partitioner=lambda *_, at=partition: at)
        return
    with EmbeddedLog(path) as file:
        file.append(
            [
                NewRecord(topic=topic, partition=partition, key=key, value=value or None, timestamp_ms=1)
                for partition, key, value in RECORDS
            ]
        )


async def found(url: str, topic: str, partition: int | None) -> list[tuple[int, bytes | None, bytes]]:
    records = [record async for record in read_topic(url, topic, partition=partition)]
    return sorted((r.partition, r.offset, r.key, r.value or b"") for r in records)  # type: ignore[return-value]


async def test_all_of_it_or_one_partition(log: tuple[str, str]) -> None:
    url, topic = log
    assert await partitions_of(url, topic) == PARTITIONS
    wanted = {
        number: [(number, offset, *record[1:]) for offset, record in enumerate(r for r in RECORDS if r[0] == number)]
        for number in range(PARTITIONS)
    }
    for number in range(PARTITIONS):
        assert await found(url, topic, number) == wanted[number]
    assert await found(url, topic, None) == wanted[0] + wanted[1]


async def test_a_partition_that_is_not_there(log: tuple[str, str]) -> None:
    url, topic = log
    with pytest.raises(BadConfig, match=f"{topic}: has partitions 0 to 2, asked for was 3"):
        await found(url, topic, 3)


async def test_a_topic_that_is_not_there(log: tuple[str, str]) -> None:
    url, topic = log
    for asked in (
        found(url, f"{topic}-other", None),
        found(url, f"{topic}-other", 0),
        partitions_of(url, f"{topic}-other"),
    ):
        with pytest.raises(BadConfig, match=f"{topic}-other: no such topic.*topics create"):
            await asked


async def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="it is not there"):
        await partitions_of(f"embedded://{tmp_path}/none.db", "any")


async def test_one_record_is_read_back_while_it_is_there(log: tuple[str, str]) -> None:
    url, topic = log
    wanted = [value or None for number, _, value in RECORDS if number == 0]
    found = [await read_record(url, topic, 0, offset) for offset in range(len(wanted) + 1)]
    assert found == [*wanted, None]
    assert await read_record(url, topic, 2, 0) is None


async def test_a_partition_is_followed_past_its_end(log: tuple[str, str]) -> None:
    url, topic = log
    before = await end_offset(url, topic, 0)
    assert (before, await end_offset(url, topic, 2)) == (sum(number == 0 for number, *_ in RECORDS), 0)
    await written(url, topic)
    wanted = [(key, value or None) for number, key, value in RECORDS if number == 0]
    found: list[tuple[bytes | None, bytes | None]] = []
    async with asyncio.timeout(20), aclosing(follow_partition(url, topic, 0, before)) as records:
        async for record in records:
            assert record.offset == before + len(found)
            found.append((record.key, record.value))
            if len(found) == len(wanted):
                break
    assert found == wanted


@pytest.mark.kafka
async def test_a_log_that_falls_silent_is_unavailable(own_kafka_broker: DevBroker) -> None:
    """A fetch brings one segment at most: the broker dies with most of them unread."""
    address, count = own_kafka_broker.bootstrap, 20
    await kafka.create(address, "long", segment_bytes=str(1024 * 1024))
    await kafka.write(address, "long", [bytes(600 * 1024)] * count)
    read: list[int] = []

    async def read_all() -> None:
        async for record in read_topic(f"kafka://{address}", "long", patience_s=2.0):
            read.append(record.offset)
            if len(read) == 1:
                await asyncio.to_thread(own_kafka_broker.kill)

    with pytest.raises(Unavailable, match=r"nothing more of long came for 2 s, after \d+ records and before its end"):
        await asyncio.wait_for(read_all(), 60)
    assert 0 < len(read) < count
