"""Recovery where Faust's own waits for ever, goes on with half a table, or reads what is not there."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.transport import running
from tests.integration.transport.pipeline import PARTITIONS, Pipeline, only_the_table
from tests.integration.transport.world import World, last_values

ON_KAFKA = pytest.mark.parametrize("transport_url", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)


@ON_KAFKA
async def test_a_changelog_whose_last_offset_is_no_record(pipeline: Pipeline) -> None:
    """A transaction's end takes an offset that no reader ever sees; compaction can leave the same."""
    await _fill(pipeline, 60)
    address = pipeline.world.url.removeprefix("kafka://")
    async with (
        AIOKafkaProducer(bootstrap_servers=address, transactional_id=pipeline.app_id) as producer,
        producer.transaction(),
    ):
        for partition in range(PARTITIONS):
            await producer.send(pipeline.changelog, b"last", key=b"k%d" % partition, partition=partition)
    again = pipeline.worker()
    async with running(again.app):
        assert dict(again.table) == pipeline.expected() | {b"k%d" % p: b"last" for p in range(PARTITIONS)}
    assert again.reasons == []


@ON_KAFKA
async def test_a_changelog_whose_start_has_moved(world: World, unique_id: str, tmp_path: Path) -> None:
    pipeline = await Pipeline(world, unique_id, tmp_path / "faust").create(cleanup="delete")
    await _fill(pipeline, 60)
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.world.url.removeprefix("kafka://"))
    await admin.start()
    try:
        moved = {TopicPartition(pipeline.changelog, p): RecordsToDelete(before_offset=5) for p in range(PARTITIONS)}
        await admin.delete_records(moved)
    finally:
        await admin.close()
    left = await pipeline.world.read(pipeline.changelog)
    assert min(seen.offset for seen in left) == 5
    again = pipeline.worker()
    async with running(again.app):
        assert dict(again.table) == last_values(left)
    assert again.reasons == []


async def test_a_record_that_cannot_be_applied_ends_the_worker(pipeline: Pipeline) -> None:
    await _fill(pipeline, 60)
    again = pipeline.worker()
    again.app.tables["last"].data.apply_changelog_batch = _breaks
    async with running(again.app):
        pass
    assert "ZeroDivisionError" in again.reasons[0]
    assert again.handled == []


async def test_recovery_of_many_records_holds_every_one(pipeline: Pipeline) -> None:
    await _fill(pipeline, 5000)
    again = pipeline.worker()
    async with running(again.app):
        assert dict(again.table) == pipeline.expected()


async def _fill(pipeline: Pipeline, count: int) -> None:
    worker = pipeline.worker(body=only_the_table)
    await pipeline.feed(count, keys=count)
    async with running(worker.app):
        await worker.handles(count)


def _breaks(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError
