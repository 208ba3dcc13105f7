"""Partitions come and go: what was finished before is committed before, and nothing is handled twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.transport import running
from tests.integration.transport.pipeline import Pipeline, Worker
from tests.integration.transport.world import World, last_values, until

REBALANCES = 5
RECORDS = 3000


ON_KAFKA = pytest.mark.parametrize("transport_url", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)


async def test_new_subscriptions_under_load_lose_nothing_and_repeat_nothing(pipeline: Pipeline) -> None:
    await _rebalances_under_load(pipeline, "subscription")


@ON_KAFKA
async def test_rejoins_under_load_lose_nothing_and_repeat_nothing(pipeline: Pipeline) -> None:
    await _rebalances_under_load(pipeline, "membership")


@ON_KAFKA
async def test_a_second_worker_takes_its_share_and_gives_it_back(pipeline: Pipeline) -> None:
    first, second = pipeline.worker(), pipeline.worker()
    async with running(first.app):
        await pipeline.feed(RECORDS // 3)
        await first.handles(RECORDS // 6)
        async with running(second.app):
            await pipeline.feed(RECORDS // 3)
            await second.handles(1)
            assert first.app.consumer.assignment()
            assert second.app.consumer.assignment()
            assert not first.app.consumer.assignment() & second.app.consumer.assignment()
            await _handled(RECORDS * 2 // 3, first, second)
        await pipeline.feed(RECORDS // 3)
        await _handled(RECORDS, first, second)
    assert sorted(first.handled + second.handled) == [record.value for record in pipeline.fed]
    assert await pipeline.finished()
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert first.reasons == second.reasons == []


@ON_KAFKA
async def test_a_worker_without_partitions_takes_over_later(world: World, unique_id: str, tmp_path: Path) -> None:
    """aiokafka shuts out a member that has not fetched for a while, and one without partitions has no need to."""
    pipeline = await Pipeline(world, unique_id, tmp_path / "faust", partitions=1).create()
    first, spare = (pipeline.worker(broker_max_poll_interval=1.0) for _ in range(2))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running(spare.app))
        async with running(first.app):
            await pipeline.feed(10)
            await _handled(10, first, spare)
            idle, busy = (first, spare) if spare.handled else (spare, first)
            assert not idle.app.consumer.assignment()
            with pytest.raises(TimeoutError):  # past the interval, and still nothing to do
                await asyncio.wait_for(idle.handles(1), 2.5)
            assert busy.app.consumer.assignment()
            if busy is spare:
                await stack.aclose()
                await pipeline.feed(100)
                await idle.handles(100)
        if busy is first:
            await pipeline.feed(100)
            await idle.handles(100)
    assert await pipeline.finished()
    assert first.reasons == spare.reasons == []


@ON_KAFKA
async def test_a_stop_in_the_middle_of_a_rebalance_commits_and_leaves(pipeline: Pipeline) -> None:
    worker = pipeline.worker()
    async with running(worker.app):
        await pipeline.feed(RECORDS // 3)
        await worker.handles(RECORDS // 3)
        consumer = worker.app.consumer
        consumer._thread.thread_loop.call_soon_threadsafe(consumer._thread._consumer._coordinator.request_rejoin)
        await until(_flag(worker.app, "rebalancing"))
    assert await pipeline.finished()
    assert worker.reasons == []


def _flag(app: Any, name: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(getattr(app, name))

    return holds


async def _rebalances_under_load(pipeline: Pipeline, how: str) -> None:
    worker = pipeline.worker()
    async with running(worker.app):
        feeding = asyncio.create_task(_feed(pipeline))
        for round_ in range(1, REBALANCES + 1):
            await worker.handles(round_ * RECORDS // (REBALANCES + 2))
            await _rebalance(worker, how)
        await feeding
        await worker.handles(RECORDS)
    assert sorted(worker.handled) == [record.value for record in pipeline.fed]
    assert await pipeline.finished()
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert len(await pipeline.world.read(pipeline.changelog)) == RECORDS
    assert worker.reasons == []


async def _feed(pipeline: Pipeline) -> None:
    for _ in range(10):
        await pipeline.feed(RECORDS // 10)


async def _rebalance(worker: Worker, how: str) -> None:
    done = asyncio.Event()

    async def note(*_: object, **__: object) -> None:
        done.set()

    consumer = worker.app.consumer
    worker.app.on_partitions_assigned.connect(note, weak=False)
    if how == "subscription":
        await consumer.subscribe({tp.topic for tp in consumer.assignment()})
    else:
        consumer._thread.thread_loop.call_soon_threadsafe(consumer._thread._consumer._coordinator.request_rejoin)
    async with asyncio.timeout(30):
        await done.wait()
    worker.app.on_partitions_assigned.disconnect(note)


async def _handled(count: int, *workers: Worker) -> None:
    async def all_handled() -> bool:
        return sum(len(worker.handled) for worker in workers) >= count

    await until(all_handled)
