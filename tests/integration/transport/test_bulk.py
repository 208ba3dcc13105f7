"""Recovery in bulk: the same as record by record, whatever happens while it reads."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from app.transport import embedded, kafka, running
from app.transport.changelog import ChangelogReader, Page, Span
from tests.integration.transport.pipeline import PARTITIONS, Held, Pipeline, only_the_table
from tests.integration.transport.test_recovery import ON_KAFKA
from tests.integration.transport.world import Put, last_values, until

RECORDS = 1000


class Gate:
    """Stands before every page: tests hold it shut, or have it raise."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()
        self.error: Exception | None = None
        self.pages = 0

    async def pass_through(self) -> None:
        self.waiting.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.pages += 1


class GatedReader:
    def __init__(self, reader: ChangelogReader, gate: Gate) -> None:
        self._reader = reader
        self._gate = gate

    async def spans(self, tps: Iterable[TP]) -> dict[TP, Span]:
        return await self._reader.spans(tps)

    async def pages(self, wanted: Mapping[TP, Span]) -> AsyncIterator[Page]:
        async for page in self._reader.pages(wanted):
            await self._gate.pass_through()
            yield page


def gated(url: str, gate: Gate) -> type:
    """Transport for a URL whose changelogs are behind a gate."""
    driver: Any = embedded if url.startswith("embedded:") else kafka

    class Gated:
        def __init__(self, changelogs: Any) -> None:
            self._changelogs = changelogs

        @asynccontextmanager
        async def open(self) -> AsyncIterator[ChangelogReader]:
            async with self._changelogs.open() as reader:
                yield GatedReader(reader, gate)

    class Transport(driver.Transport):  # type: ignore[misc]
        def changelogs(self) -> Any:
            return Gated(super().changelogs())

    return Transport


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_a_restarted_worker_holds_every_record_and_has_applied_none_singly(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    await _fill(pipeline, RECORDS, keys=RECORDS // 3)
    again = pipeline.worker(bulk=True)
    with caplog.at_level(logging.INFO, "leverloop.transport"):
        async with running(again.app):
            assert again.rows == pipeline.expected()
            there = len(await pipeline.world.read(pipeline.changelog))  # the embedded log is compacted at a start
            assert (again.count("loaded"), again.count("applied")) == (there, 0)
            assert again.count("ends") == PARTITIONS
    told = [record.message for record in caplog.records if "recovery_" in record.message]
    assert len(told) == 1, "a short one is told in one line"
    assert told[0].startswith(f"recovery_finished tables=1 records={there} offsets=")
    assert again.reasons == []


async def test_tombstones_and_rewrites_in_one_page(pipeline: Pipeline) -> None:
    puts = [(b"a", b"1"), (b"a", None), (b"b", b"2"), (b"b", b"3"), (b"c", b"4"), (b"c", None), (b"c", b"5")]
    await pipeline.world.append([Put(pipeline.changelog, 0, key, value) for key, value in puts])
    worker = pipeline.worker(bulk=True)
    async with running(worker.app):
        assert worker.rows == {b"b": b"3", b"c": b"5"}
    assert worker.reasons == []


async def test_empty_changelogs_are_recovered_at_once_and_written_after(pipeline: Pipeline) -> None:
    worker = pipeline.worker(bulk=True)
    async with running(worker.app):
        assert worker.table.states() == {}
        await pipeline.feed(30)
        await worker.handles(30)
    again = pipeline.worker(bulk=True)
    async with running(again.app):
        assert again.rows == pipeline.expected()
    assert worker.reasons == again.reasons == []


@ON_KAFKA
async def test_a_changelog_whose_last_offset_is_no_record(pipeline: Pipeline) -> None:
    await _fill(pipeline, 60)
    address = pipeline.world.url.removeprefix("kafka://")
    async with (
        AIOKafkaProducer(bootstrap_servers=address, transactional_id=pipeline.app_id) as producer,
        producer.transaction(),
    ):
        for partition in range(PARTITIONS):
            await producer.send(pipeline.changelog, b"last", key=b"k%d" % partition, partition=partition)
    again = pipeline.worker(bulk=True)
    async with running(again.app):
        assert again.rows == pipeline.expected() | {b"k%d" % p: b"last" for p in range(PARTITIONS)}
        assert again.count("applied") == 0
    assert again.reasons == []


async def test_a_rebalance_while_it_reads_begins_where_it_was(pipeline: Pipeline, gate: Gate) -> None:
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    again.app.on_partitions_assigned.connect(rebalanced := Signal(2), weak=False)
    async with _starting(again.app) as ready:
        await gate.waiting.wait()
        await again.app.consumer.subscribe({tp.topic for tp in again.app.consumer.assignment()})
        await rebalanced.arrived()
        assert not ready.done()
        gate.open.set()
        await ready
        assert again.rows == pipeline.expected()
        assert again.count("loaded") == RECORDS, "nothing was read twice into a table"
        await pipeline.feed(10)
        await again.handles(10)
    assert again.reasons == []


@ON_KAFKA
async def test_partitions_lost_while_it_reads_are_not_filled(pipeline: Pipeline, gate: Gate) -> None:
    await _fill(pipeline, RECORDS)
    first = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    second = pipeline.worker(bulk=True)
    async with _starting(first.app) as ready:
        await gate.waiting.wait()
        async with running(second.app):
            gate.open.set()
            await ready

            async def shared() -> bool:
                return len(first.rows) + len(second.rows) == RECORDS

            await until(shared)
            for worker in (first, second):
                held = {tp.partition for tp in worker.app.consumer.assignment() if tp.topic == pipeline.changelog}
                assert set(worker.table.states()) == held != set()
            assert first.rows | second.rows == pipeline.expected()
    assert first.reasons == second.reasons == []


@ON_KAFKA
async def test_a_long_reading_keeps_the_membership(pipeline: Pipeline, gate: Gate) -> None:
    """Three sessions long, and longer than a member may go without a fetch."""
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(
        bulk=True,
        transport_class=gated(pipeline.world.url, gate),
        broker_session_timeout=2.0,
        broker_heartbeat_interval=0.4,
        broker_max_poll_interval=1.0,
    )
    async with _starting(again.app) as ready:
        await gate.waiting.wait()
        generation = again.app.consumer_generation_id
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ready), 6.5)
        assert again.app.consumer._thread._consumer._coordinator.generation == generation
        gate.open.set()
        await ready
        assert again.app.consumer_generation_id == generation
        assert again.rows == pipeline.expected()
        await pipeline.feed(10)
        await again.handles(10)
    assert await pipeline.finished()
    assert again.reasons == []


async def test_a_stop_while_it_reads(pipeline: Pipeline, gate: Gate) -> None:
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    async with _starting(again.app):
        await gate.waiting.wait()
    assert again.reasons == []
    assert gate.pages == 0


async def test_a_log_that_cannot_be_read_ends_the_worker(pipeline: Pipeline, gate: Gate) -> None:
    await _fill(pipeline, RECORDS)
    gate.error = OSError("the disk has gone")
    gate.open.set()
    again = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    async with running(again.app):
        pass
    assert "the disk has gone" in again.reasons[0]
    assert "leverloop topics verify" in again.reasons[0]
    assert again.handled == []


async def test_a_record_that_cannot_be_taken_ends_the_worker(pipeline: Pipeline) -> None:
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(bulk=True)
    again.table.data._new_state = lambda _: Refusing()
    async with running(again.app):
        pass
    assert f"table last: a record of {pipeline.changelog}/" in again.reasons[0]
    assert "ZeroDivisionError" in again.reasons[0]
    assert again.handled == []


async def test_a_reading_that_is_stuck_ends_the_worker(pipeline: Pipeline, gate: Gate) -> None:
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    again.app.tables.recovery._bulk.stall_timeout_s = 0.3
    async with running(again.app):
        pass
    assert "nothing has come for 0.3 s" in again.reasons[0]
    assert again.handled == []


async def test_records_that_come_after_the_reading_are_applied_singly(pipeline: Pipeline, gate: Gate) -> None:
    """A worker that was shut out may still have sent them."""
    await _fill(pipeline, RECORDS)
    again = pipeline.worker(bulk=True, transport_class=gated(pipeline.world.url, gate))
    async with _starting(again.app) as ready:
        await gate.waiting.wait()
        await pipeline.world.append([Put(pipeline.changelog, p, b"late%d" % p, b"x") for p in range(PARTITIONS)])
        gate.open.set()
        await ready
        assert again.rows == last_values(await pipeline.world.read(pipeline.changelog))
        assert again.count("applied") + again.count("loaded") == RECORDS + PARTITIONS
    assert again.reasons == []


class Refusing(Held):
    def load(self, records: Any) -> None:
        raise ZeroDivisionError


class Signal:
    """A receiver of a signal of Faust's, to be waited for."""

    def __init__(self, times: int) -> None:
        self._left = times
        self._done = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.set()

    async def arrived(self) -> None:
        async with asyncio.timeout(30):
            await self._done.wait()


@asynccontextmanager
async def _starting(app: Any) -> AsyncIterator["asyncio.Future[None]"]:
    """A worker that is not ready yet; the future is done when it is."""
    ready = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def run() -> None:
        async with running(app):
            if not ready.done():
                ready.set_result(None)
            await over.wait()

    task = asyncio.create_task(run())
    try:
        yield ready
    finally:
        over.set()
        if not ready.done():
            await app.stop()
        async with asyncio.timeout(60):
            await task


async def _fill(pipeline: Pipeline, count: int, *, keys: int | None = None) -> None:
    worker = pipeline.worker(body=only_the_table, bulk=True)
    await pipeline.feed(count, keys=keys or count)
    async with running(worker.app):
        await worker.handles(count)
