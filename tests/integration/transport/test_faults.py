"""Each fault point: what was not finished is not committed, and comes again."""

import asyncio
from typing import Any

import pytest

from app.transport import running
from tests.integration.transport.faults import Faults, faulty
from tests.integration.transport.pipeline import Pipeline, Worker, only_the_table
from tests.integration.transport.world import last_values, until

WHILE_S = 0.5  # for what must not happen meanwhile


@pytest.fixture
def faults() -> Faults:
    return Faults()


async def test_a_commit_waits_for_a_send_that_stalls(pipeline: Pipeline, faults: Faults) -> None:
    worker = _worker(pipeline, faults, body=only_the_table)
    async with running(worker.app):
        await pipeline.feed(100)
        await worker.handles(100)
        assert await worker.app.consumer.commit()
        before = await pipeline.world.committed(pipeline.app_id)
        faults.stall(pipeline.changelog)
        await pipeline.feed(100)
        await worker.handles(200)
        commit = asyncio.create_task(worker.app.consumer.commit())
        await asyncio.wait([commit], timeout=WHILE_S)
        assert faults.held
        assert not commit.done()
        assert await pipeline.world.committed(pipeline.app_id) == before
        faults.open.set()
        assert await commit
    assert await pipeline.finished()
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert worker.reasons == []


async def test_a_send_that_is_never_acknowledged_ends_the_process(pipeline: Pipeline, faults: Faults) -> None:
    worker = _worker(pipeline, faults, body=only_the_table)
    async with running(worker.app):
        faults.stall(pipeline.changelog)
        await pipeline.feed(40)
        await worker.handles(40)
        assert not await worker.app.producer.confirm(timeout_s=0.05)
        assert not await worker.app.consumer.commit()
        faults.open.set()
    assert "not acknowledged within 0.05 s" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == {}
    await _restart_catches_up(pipeline)


@pytest.mark.parametrize("what", ["changelog", "out"])
async def test_a_send_that_fails_ends_the_process(pipeline: Pipeline, faults: Faults, what: str) -> None:
    worker = _worker(pipeline, faults)
    async with running(worker.app):
        await pipeline.feed(40)
        await worker.handles(40)
        assert await worker.app.consumer.commit()
        before = await pipeline.world.committed(pipeline.app_id)
        faults.fail(getattr(pipeline, what), OSError("no disk"))
        await pipeline.feed(40)
        await worker.handles(80)
        assert not await worker.app.consumer.commit()
    assert len(worker.reasons) == 1
    assert "OSError('no disk')" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == before
    await _restart_catches_up(pipeline)


async def test_a_commit_that_is_refused_is_tried_again(pipeline: Pipeline, faults: Faults) -> None:
    worker = _worker(pipeline, faults)
    async with running(worker.app):
        await pipeline.feed(40)
        await worker.handles(40)
        faults.refused_commits = 2
        assert not await worker.app.consumer.commit()
        assert not await worker.app.consumer.commit()
        assert await pipeline.world.committed(pipeline.app_id) == {}
        assert await worker.app.consumer.commit()  # nothing new was handled, and still
        assert await pipeline.finished()
        assert not await worker.app.consumer.commit()
    assert worker.reasons == []


async def test_an_agent_that_raises_after_a_table_write_commits_nothing(pipeline: Pipeline) -> None:
    async def fails_once(event: Any, table: Any, out: Any) -> None:
        table[event.message.key] = event.message.value
        if event.message.value == b"%08d" % 60:
            raise ZeroDivisionError
        await out.send(key=event.message.key, value=event.message.value)

    worker = pipeline.worker(body=fails_once)
    async with running(worker.app):
        await pipeline.feed(60)
        await worker.handles(60)
        assert await worker.app.consumer.commit()
        before = await pipeline.world.committed(pipeline.app_id)
        await pipeline.feed(60)
        await _failed(worker)
        assert not await worker.app.consumer.commit()
    assert "ZeroDivisionError" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == before
    await _restart_catches_up(pipeline)


async def test_a_service_that_crashes_commits_nothing(pipeline: Pipeline) -> None:
    worker = pipeline.worker()

    async def crashes() -> None:
        await worker.handles(40)
        raise ZeroDivisionError

    worker.app.task(crashes)
    async with running(worker.app):
        await pipeline.feed(40)
        await _failed(worker)
        assert not await worker.app.consumer.commit()
    assert "a service crashed: ZeroDivisionError" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == {}
    await _restart_catches_up(pipeline)


async def test_an_event_that_is_cancelled_at_the_stop_is_not_committed(pipeline: Pipeline) -> None:
    begun = asyncio.Event()

    async def never_ends(event: Any, table: Any, out: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = pipeline.worker(body=never_ends)
    async with running(worker.app, stop_timeout_s=WHILE_S):
        await pipeline.feed(1)
        await begun.wait()
    assert "did not stop within 0.5 s" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == {}
    await _restart_catches_up(pipeline)


async def test_an_event_that_never_ends_ends_the_process(pipeline: Pipeline, faults: Faults) -> None:
    async def never_ends(event: Any, table: Any, out: Any) -> None:
        await asyncio.Event().wait()

    faults.stall_timeout_s = WHILE_S
    worker = _worker(pipeline, faults, body=never_ends, commit_interval_s=0.1)
    async with running(worker.app, stop_timeout_s=WHILE_S):
        await pipeline.feed(1)
        await _failed(worker)
    assert worker.reasons == [f"{pipeline.sources[0]}/0 has not moved for 0.5 s"]
    await _restart_catches_up(pipeline)


async def test_records_that_do_not_come_end_the_process(pipeline: Pipeline, faults: Faults) -> None:
    faults.stall_timeout_s, faults.deaf = WHILE_S, True
    worker = _worker(pipeline, faults)
    async with running(worker.app):
        await pipeline.feed(1)
        await _failed(worker)
    assert worker.reasons == [f"nothing comes from {pipeline.sources[0]}/0 at 0, its end is 1"]
    await _restart_catches_up(pipeline)


async def test_an_idle_worker_is_not_stuck(pipeline: Pipeline, faults: Faults) -> None:
    faults.stall_timeout_s = 2.0  # a busy machine needs longer than it should for what there is to do
    worker = _worker(pipeline, faults, commit_interval_s=0.05)
    async with running(worker.app):
        await pipeline.feed(40)
        await worker.handles(40)
        await until(pipeline.finished)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_failed(worker), 3.0)
    assert worker.reasons == []


async def test_a_handler_that_holds_up_a_rebalance_ends_the_process(pipeline: Pipeline) -> None:
    begun = asyncio.Event()

    async def never_ends(event: Any, table: Any, out: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = pipeline.worker(body=never_ends, broker_rebalance_timeout=1.0)
    async with running(worker.app, stop_timeout_s=WHILE_S):
        await pipeline.feed(1)
        await begun.wait()
        topics = {tp.topic for tp in worker.app.consumer.assignment()}
        resubscribing = asyncio.create_task(worker.app.consumer.subscribe(topics))
        await _failed(worker)
        await asyncio.wait([resubscribing])
    assert "handlers have not finished for the partitions to go" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == {}
    await _restart_catches_up(pipeline)


def _worker(pipeline: Pipeline, faults: Faults, **settings: Any) -> Worker:
    return pipeline.worker(transport_class=faulty(pipeline.world.url, faults), **settings)


async def _failed(worker: Worker) -> None:
    async def has_failed() -> bool:
        return bool(worker.reasons)

    await until(has_failed)


async def _restart_catches_up(pipeline: Pipeline) -> None:
    """Another worker finishes what the failed one has left."""
    committed = await pipeline.world.committed(pipeline.app_id)
    again = pipeline.worker()
    async with running(again.app):
        await again.handles(len(pipeline.fed) - sum(committed.values()))
    assert await pipeline.finished()
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    assert {seen.value for seen in await pipeline.world.read(pipeline.out)} >= set(again.handled)
    assert again.reasons == []
