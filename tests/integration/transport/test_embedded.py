"""What only the embedded transport does: one worker, compaction at the start, a disk that fills up."""

from pathlib import Path
from typing import Any

import pytest

from app.transport import running
from leverloop.brokers import embedded_path
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig
from tests.integration.transport.pipeline import Pipeline, only_the_table
from tests.integration.transport.world import last_values


@pytest.fixture
def transport_url(tmp_path: Path) -> str:
    return f"embedded://{tmp_path}/log.db"


async def test_a_second_worker_is_refused_and_the_first_goes_on(pipeline: Pipeline) -> None:
    first, second = pipeline.worker(), pipeline.worker()
    async with running(first.app):
        with pytest.raises(BadConfig, match=r"another worker .* works on this embedded log"):
            async with running(second.app):
                pass
        await pipeline.feed(10)
        await first.handles(10)
    assert await pipeline.finished()
    assert first.reasons == second.reasons == []


async def test_a_topic_that_does_not_exist_ends_the_worker(pipeline: Pipeline) -> None:
    worker = pipeline.worker()
    worker.app.agent(worker.app.topic("nowhere"), name="nowhere")(worker.app.guarded(_ignore))
    async with running(worker.app):
        pass
    assert "topic nowhere does not exist" in worker.reasons[0]


async def test_compaction_at_the_start_keeps_what_the_table_holds(pipeline: Pipeline) -> None:
    async def forget_odd(event: Any, table: Any, out: Any) -> None:
        table[event.message.key] = event.message.value
        if int(event.message.key[1:]) % 2:
            del table[event.message.key]

    worker = pipeline.worker(body=forget_odd)
    async with running(worker.app):
        await pipeline.feed(600)
        await worker.handles(600)
    before = await pipeline.world.read(pipeline.changelog)
    again = pipeline.worker()
    async with running(again.app):
        assert dict(again.table) == {k: v for k, v in pipeline.expected().items() if not int(k[1:]) % 2}
    after = await pipeline.world.read(pipeline.changelog)
    assert len(after) < len(before) / 4
    living = {k: v for k, v in last_values(after).items() if v is not None}
    assert living == {k: v for k, v in last_values(before).items() if v is not None}
    for partition in {seen.partition for seen in before}:
        assert max(s for s in after if s.partition == partition) == max(s for s in before if s.partition == partition)


async def test_what_little_was_written_since_the_last_compaction_waits_for_the_next(pipeline: Pipeline) -> None:
    async def restart(feed: int) -> int:
        worker = pipeline.worker(body=only_the_table, bulk=True)
        async with running(worker.app):
            found = len(await pipeline.world.read(pipeline.changelog))
            await pipeline.feed(feed, keys=600)
            await worker.handles(feed)
        return found

    assert [await restart(feed) for feed in (600, 60, 1, 0, 0)] == [0, 600, 660, 600, 600]
    again = pipeline.worker(bulk=True)
    async with running(again.app):
        assert again.rows == pipeline.expected()


async def test_a_full_disk_ends_the_worker_without_a_commit(pipeline: Pipeline) -> None:
    worker = pipeline.worker(body=only_the_table)
    async with running(worker.app):
        await pipeline.feed(40)
        await worker.handles(40)
        assert await worker.app.consumer.commit()
        before = await pipeline.world.committed(pipeline.app_id)
        worker.app.transport.log._db.execute("PRAGMA max_page_count = 1")
        await pipeline.feed(2000)
        await worker.handles(1000)
        worker.app.producer.transport.outbox.write()
        assert not await worker.app.consumer.commit()
    assert "the disk is full" in worker.reasons[0]
    assert await pipeline.world.committed(pipeline.app_id) == before
    again = pipeline.worker()
    async with running(again.app):
        await again.handles(2000)
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()


async def test_retention_by_age_is_applied_at_the_start(pipeline: Pipeline) -> None:
    path = embedded_path(pipeline.world.url)
    assert path is not None
    with EmbeddedLog(path) as log:
        log.create_topic("short", 1, {"cleanup.policy": "delete", "retention.ms": "1000"})
    await pipeline.feed(100)  # with the timestamp 0
    worker = pipeline.worker()
    async with running(worker.app):
        await (await worker.app.topic("short").send(key=b"k", value=b"old", timestamp=1.0))
        await (await worker.app.topic("short").send(key=b"k", value=b"new"))
        await worker.handles(100)
    async with running(pipeline.worker().app):
        pass
    assert [seen.value for seen in await pipeline.world.read("short")] == [b"new"]
    assert len(await pipeline.world.read(pipeline.sources[0])) == 50  # kept for ever, whatever their age


async def _ignore(stream: Any) -> None:
    async for _ in stream.events():
        pass
