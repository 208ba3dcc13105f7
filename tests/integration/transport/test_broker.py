"""A broker that dies and comes back, a record that it refuses: nothing is lost, whether or not the worker goes on."""

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from app.devbroker import DevBroker
from app.transport import EXIT_CODE, create_app, running
from tests.integration.transport.pipeline import Pipeline
from tests.integration.transport.processes import started_worker
from tests.integration.transport.world import last_values, until, world_of

pytestmark = pytest.mark.kafka
RECORDS = 3000


async def test_a_broker_is_killed_under_load(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    pipeline = await Pipeline(world_of(f"kafka://{own_kafka_broker.bootstrap}"), "x", tmp_path / "faust").create()
    await pipeline.feed(RECORDS, keys=RECORDS)
    worker = pipeline.worker(commit_interval_s=0.1)
    async with running(worker.app):
        await worker.handles(RECORDS // 3)
        await asyncio.to_thread(own_kafka_broker.kill)
        await asyncio.to_thread(own_kafka_broker.restart)

        async def through() -> bool:
            return bool(worker.reasons) or await pipeline.finished()

        await until(through)
    if worker.reasons:
        again = pipeline.worker(commit_interval_s=0.1)
        async with running(again.app):
            await until(pipeline.finished)
        assert again.reasons == []
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert {s.value for s in await pipeline.world.read(pipeline.out)} == {record.value for record in pipeline.fed}


async def test_a_broker_that_does_not_answer_keeps_the_worker_from_starting(tmp_path: Path) -> None:
    app = create_app("x", "kafka://127.0.0.1:1", data_dir=tmp_path, partitions=1, fail_stop=(reasons := []).append)
    with pytest.raises(KafkaConnectionError, match=r"Unable to bootstrap"):
        async with running(app):
            pass
    assert reasons == []


async def test_a_record_that_is_too_large_ends_the_worker(pipeline: Pipeline) -> None:
    async def too_large(event: Any, table: Any, out: Any) -> None:
        table[event.message.key] = random.Random(0).randbytes(
            2_000_000
        )  # compressed, too, above the 1 MiB of the broker

    worker = pipeline.worker(body=too_large)
    async with running(worker.app):
        await pipeline.feed(1)
        await worker.handles(1)
        assert not await worker.app.consumer.commit()
    assert "MessageSizeTooLargeError" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == {}


async def test_a_worker_that_sleeps_past_its_session_ends_when_it_wakes(pipeline: Pipeline, tmp_path: Path) -> None:
    """Its partitions are another's by now: what it still sends would be older than what that one has sent."""
    await pipeline.feed(RECORDS)
    async with started_worker(pipeline, tmp_path) as sleeper:

        async def some() -> bool:
            return await pipeline.world.ends(pipeline.out) > RECORDS // 10

        await until(some)
        sleeper.send_signal(signal.SIGSTOP)
        other = pipeline.worker(commit_interval_s=0.1)
        async with running(other.app):
            await until(pipeline.finished)
            sleeper.send_signal(signal.SIGCONT)
            async with asyncio.timeout(20):
                assert await sleeper.wait() == EXIT_CODE
    assert other.reasons == []
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert {s.value for s in await pipeline.world.read(pipeline.out)} == {record.value for record in pipeline.fed}


@pytest.fixture
def transport_url(kafka_broker: str) -> str:
    return f"kafka://{kafka_broker}"
