"""How long a snapshot takes from its announcement to a resolve that applies it, in another process.

python -m benchmarks.delivery [--kafka] [--overrides 200] [--snapshots 300] [--pause 0.1]

The clock runs from just before the record is handed to the log or the broker until the live book of the other
process has answered with the new version. Both processes read the system's monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from app.devbroker import DevBroker
from app.topic_admin import Replication, create_topics
from benchmarks.override_books import large_snapshot
from benchmarks.resolve import at_us
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.feeds import open_feed
from leverloop.live import LiveBook
from leverloop.snapshot import Snapshot, encode_snapshot, sealed
from streams.topics import OVERRIDES, layout

SOON_S = 60.0
FOREVER_MS = 2**50
MAX_BYTES = 32 * 1024 * 1024
Announce = Callable[[bytes], Awaitable[None]]


async def follow(url: str, last: int) -> None:
    """Be the PM: say for each version when the first resolve had it, until the last has come."""
    feed = open_feed(url)
    live = LiveBook(feed, "pm", holdout_share=0.0)
    running = asyncio.create_task(live.run())
    version = 0
    while version < last:
        seen = version
        book = await live.wait_until(lambda book, seen=seen: (book.version or 0) > seen, SOON_S)  # type: ignore[misc]
        resolution = live.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", 0)
        applied_ns = time.monotonic_ns()
        assert resolution.snapshot_version == book.version
        version = book.version or 0
        print(version, applied_ns, flush=True)
    await feed.close()
    await running


@asynccontextmanager
async def to_log(path: Path) -> AsyncIterator[Announce]:
    """Announce on an embedded log, as its writer does: a transaction and its fsync."""
    with EmbeddedLog(path) as log:

        async def announce(value: bytes) -> None:
            log.append([NewRecord(topic=OVERRIDES, partition=0, key=b"pm", value=value, timestamp_ms=0)])

        yield announce


@asynccontextmanager
async def to_kafka(address: str) -> AsyncIterator[Announce]:
    """Announce on Kafka, acknowledged by all replicas."""
    async with AIOKafkaProducer(
        bootstrap_servers=address, acks="all", max_request_size=MAX_BYTES, compression_type="zstd"
    ) as producer:

        async def announce(value: bytes) -> None:
            await producer.send_and_wait(OVERRIDES, value, key=b"pm")

        yield announce


async def measured(url: str, announce: Announce, snapshot: Snapshot, snapshots_count: int, pause_s: float) -> list[int]:
    """Announce versions at uneven times; for each its nanoseconds until it was applied, sorted."""
    values = [encode_snapshot(sealed(msgspec.structs.replace(snapshot, version=i + 1))) for i in range(snapshots_count)]
    command = [sys.executable, "-m", "benchmarks.delivery", "--follow", url, "--snapshots", str(snapshots_count)]
    chance, announced_ns = random.Random(1), {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pm:
        assert pm.stdout is not None
        await announce(values[0])
        first = await asyncio.to_thread(pm.stdout.readline)
        assert first, "the PM has ended"
        for i, value in enumerate(values[1:], start=2):
            await asyncio.sleep(chance.uniform(0.5, 1.5) * pause_s)
            announced_ns[i] = time.monotonic_ns()
            await announce(value)
        lines = (await asyncio.to_thread(pm.stdout.read)).split("\n")
    assert pm.returncode == 0
    applied_ns = dict(map(int, line.split()) for line in lines if line)
    assert len(applied_ns) >= snapshots_count * 0.9, f"only {len(applied_ns)} versions stood long enough to be seen"
    return sorted(applied_ns[i] - announced_ns[i] for i in applied_ns)


async def run(options: argparse.Namespace, folder: Path) -> list[int]:
    """Announce over what was asked for."""
    snapshot, _ = large_snapshot(options.overrides, matches=1, valid_until_ms=FOREVER_MS)
    topics = [spec for spec in layout(app_id="leverloop", partitions=1) if spec.name == OVERRIDES]
    once = Replication(factor=1, min_insync=1)
    if options.kafka:
        with await asyncio.to_thread(DevBroker().start, folder) as broker:
            await create_topics(broker.bootstrap, topics, replication=once)
            async with to_kafka(broker.bootstrap) as announce:
                return await measured(
                    f"kafka://{broker.bootstrap}", announce, snapshot, options.snapshots, options.pause
                )
    path = folder / "log.db"
    await create_topics(f"embedded://{path}", topics, replication=once)
    async with to_log(path) as announce:
        return await measured(f"embedded://{path}", announce, snapshot, options.snapshots, options.pause)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", action="store_true", help="over a broker of its own instead of the embedded log")
    parser.add_argument("--overrides", type=int, default=200)
    parser.add_argument("--snapshots", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.1, help="mean time between two snapshots, in seconds")
    parser.add_argument("--follow", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow:
        asyncio.run(follow(options.follow, options.snapshots))
        return
    with tempfile.TemporaryDirectory() as folder:
        taken = asyncio.run(run(options, Path(folder)))
    way = "Kafka" if options.kafka else "the embedded log"
    table = Table(title=f"over {way}: {len(taken)} snapshots of {options.overrides:,} overrides")
    for name in ("p50", "p99", "longest"):
        table.add_column(name, justify="right")
    table.add_row(*(f"{at_us(taken, share) / 1e3:.1f} ms" for share in (0.5, 0.99, 1.0)))
    Console().print(table)


if __name__ == "__main__":
    main()
