"""The queue to the embedded log: order, atomicity, and what happens when the log breaks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.transport.outbox import Outbox
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import LeverloopError, Unavailable

TOPIC, PARTITIONS = "t", 2


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path / "log.db") as log:
        log.create_topic(TOPIC, PARTITIONS)
        yield log


class Box:
    """An outbox and what it told."""

    def __init__(self, log: EmbeddedLog, *, linger_s: float = 0.001) -> None:
        self.log = log
        self.written: list[set[TP]] = []
        self.failed: list[LeverloopError] = []
        self.outbox = Outbox(log, linger_s=linger_s, on_written=self.written.append, on_failed=self.failed.append)

    def send(self, value: bytes, partition: int = 0) -> asyncio.Future[object]:
        promise = asyncio.get_running_loop().create_future()
        self.outbox.send(_record(value, partition), promise)
        return promise


@given(steps=st.lists(st.sampled_from(["send", "commit", "write"]), max_size=12))
def test_a_commit_never_overtakes_a_record(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A commit of n is on disk only if the n records put before it are."""

    async def run() -> None:
        with EmbeddedLog(tmp_path_factory.mktemp("outbox") / "log.db") as log:
            log.create_topic(TOPIC, PARTITIONS)
            box = Box(log, linger_s=60.0)
            sent = 0
            for step in steps:
                if step == "send":
                    box.send(b"%d" % sent)
                    sent += 1
                elif step == "commit":
                    box.outbox.commit("g", {TP(TOPIC, 0): sent})
                else:
                    box.outbox.write()
                assert log.committed("g").get((TOPIC, 0), 0) <= log.end_offset(TOPIC, 0)
            box.outbox.write()
            assert [record.value for record in log.read(TOPIC, 0, 0)] == [b"%d" % i for i in range(sent)]

    asyncio.run(run())


async def test_records_wait_for_company_and_are_written_together(log: EmbeddedLog) -> None:
    box = Box(log)
    promises = [box.send(b"a"), box.send(b"b", 1), box.send(b"c")]
    assert log.end_offset(TOPIC, 0) == 0
    written = await asyncio.gather(*promises)
    assert [(meta.partition, meta.offset) for meta in written] == [(0, 0), (1, 0), (0, 1)]
    assert box.written == [{TP(TOPIC, 0), TP(TOPIC, 1)}]


async def test_a_full_outbox_does_not_wait(log: EmbeddedLog) -> None:
    box = Box(log, linger_s=60.0)
    promises = [box.send(b"x") for _ in range(500)]
    async with asyncio.timeout(20):
        await asyncio.gather(*promises)
    assert log.end_offset(TOPIC, 0) == 500


async def test_a_log_that_cannot_be_written_breaks_every_promise_and_says_so_once(log: EmbeddedLog) -> None:
    box = Box(log)
    log._db.execute("PRAGMA max_page_count = 1")
    promises = [box.send(b"x" * 100_000), box.send(b"y")]
    done = box.outbox.commit("g", {TP(TOPIC, 0): 1})
    for promise in (*promises, done):
        with pytest.raises(Unavailable, match=r"the disk is full"):
            await promise
    assert len(box.failed) == 1
    assert log.committed("g") == {}
    assert box.written == []


def _record(value: bytes, partition: int) -> NewRecord:
    return NewRecord(topic=TOPIC, partition=partition, key=None, value=value, timestamp_ms=0)
