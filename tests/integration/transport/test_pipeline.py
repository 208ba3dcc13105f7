"""What a worker does when nothing goes wrong."""

import asyncio
from typing import Any

from app.transport import running
from leverloop.partitions import partition_of
from tests.integration.transport.pipeline import PARTITIONS, Pipeline
from tests.integration.transport.world import last_values, until


async def test_everything_is_handled_once_committed_and_recovered(pipeline: Pipeline) -> None:
    await pipeline.feed(600)
    worker = pipeline.worker()
    async with running(worker.app):
        await worker.handles(600)
    assert sorted(worker.handled) == [record.value for record in pipeline.fed]
    assert await pipeline.finished()
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert sorted(seen.value for seen in await pipeline.world.read(pipeline.out)) == sorted(worker.handled)

    again = pipeline.worker()
    async with running(again.app):
        assert dict(again.table) == pipeline.expected()
        await pipeline.feed(30)
        await again.handles(30)
    assert sorted(again.handled) == [record.value for record in pipeline.fed[600:]]
    assert worker.reasons == again.reasons == []


async def test_order_of_a_partition_is_kept(pipeline: Pipeline) -> None:
    await pipeline.feed(600, keys=6)
    worker = pipeline.worker()
    async with running(worker.app):
        await worker.handles(600)
    for key in range(6):
        of_key = [record.value for record in pipeline.fed if record.key == b"k%04d" % key]
        assert [value for value in worker.handled if value in set(of_key)] == of_key


async def test_a_commit_that_nobody_waits_for_comes_with_the_interval(pipeline: Pipeline) -> None:
    await pipeline.feed(60)
    worker = pipeline.worker(commit_interval_s=0.05)
    async with running(worker.app):
        await worker.handles(60)
        await until(pipeline.finished, within_s=20)


async def test_keys_go_where_the_client_would_send_them(pipeline: Pipeline) -> None:
    worker = pipeline.worker()
    async with running(worker.app):
        topic = worker.app.topic(pipeline.sources[0])
        keys = [b"t%06d" % i for i in range(20)]
        sent = [await (await topic.send(key=key, value=b"v")) for key in keys]
        await worker.handles(20)
    assert [meta.partition for meta in sent] == [partition_of(key, PARTITIONS) for key in keys]


async def test_agents_in_a_chain_hand_over_within_one_worker(pipeline: Pipeline) -> None:
    """What one agent sends is another's input, on a topic with another number of partitions."""
    worker = pipeline.worker()
    seen: list[bytes] = []
    complete = asyncio.Event()

    async def count(stream: Any) -> None:
        async for event in stream.events():
            seen.append(event.message.value)
            if len(seen) == len(pipeline.fed):
                complete.set()

    worker.app.agent(worker.app.topic(pipeline.out), name="count")(worker.app.guarded(count))
    await pipeline.feed(300)
    async with running(worker.app):
        async with asyncio.timeout(30):
            await complete.wait()
    assert sorted(seen) == [record.value for record in pipeline.fed]
    assert (await pipeline.world.committed(pipeline.app_id))[pipeline.out, 0] == 300
