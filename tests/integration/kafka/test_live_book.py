"""The live book on real Kafka: a broker that is down at the start, one that is lost, heartbeats beside snapshots."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.devbroker import DevBroker
from leverloop.feeds import open_feed
from leverloop.heartbeat import Heartbeat, encode_heartbeat, heartbeat_key
from leverloop.live import LiveBook
from leverloop.snapshot import Snapshot, encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.topics import OVERRIDES
from tests.integration.kafka.topics import create, write

pytestmark = pytest.mark.kafka
SOON_S = 30.0


@asynccontextmanager
async def running(address: str, **how: Any) -> AsyncIterator[LiveBook]:
    feed = open_feed(f"kafka://{address}")
    live = LiveBook(feed, "pm", holdout_share=0.0, **how)
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        await feed.close()
        await task


def v(version: int, size_mult: float = 1.2, **fields: Any) -> Snapshot:
    return make_snapshot(make_override({"size_mult": size_mult}, {"bucket": "micro"}), version=version, **fields)


def size(live: LiveBook) -> tuple[str, float]:
    resolution = live.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)
    return resolution.reason, resolution.lever("size_mult")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def beat(snapshot: Snapshot, valid_until_ms: int) -> bytes:
    return encode_heartbeat(
        Heartbeat(version=snapshot.version, content_hash=snapshot.content_hash, valid_until_ms=valid_until_ms)
    )


async def test_a_lost_broker_leaves_the_last_good_snapshot_until_it_is_stale(own_kafka_broker: DevBroker) -> None:
    address, now = own_kafka_broker.bootstrap, [AT_MS]
    await create(address, OVERRIDES, cleanup_policy="compact")
    await write(address, OVERRIDES, [encode_snapshot(v(7, valid_until_ms=AT_MS + 1_000))], key=b"pm")
    async with running(address, clock_ms=lambda: now[0]) as live:
        await live.wait_ready(SOON_S)
        await asyncio.to_thread(own_kafka_broker.kill)
        assert size(live) == ("MATCHED", 1.2)
        now[0] = AT_MS + 1_001
        assert size(live) == ("STALE", 1.0)
        await asyncio.to_thread(own_kafka_broker.restart)
        await write(address, OVERRIDES, [beat(v(7), AT_MS + 10_000)], key=heartbeat_key("pm").encode())
        await until(lambda: size(live) == ("MATCHED", 1.2))
        await write(address, OVERRIDES, [encode_snapshot(v(8, 0.9))], key=b"pm")
        await until(lambda: size(live) == ("MATCHED", 0.9))


async def test_a_broker_that_is_down_at_the_start_is_asked_again_and_the_disk_stands_in(tmp_path: Path) -> None:
    path = tmp_path / "pm.json"
    path.write_bytes(encode_snapshot(v(7)))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with running(address, last_good_file=path, clock_ms=lambda: AT_MS) as live:
            await until(lambda: "cannot be read" in str(live.last_problem))
            assert size(live) == ("MATCHED", 1.2)
            assert address in str(live.last_problem)
        async with running(address, clock_ms=lambda: AT_MS) as live:
            await until(lambda: live.last_problem is not None)
            assert size(live) == ("NOT_READY", 1.0)
