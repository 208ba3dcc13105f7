"""How long a worker with many outcomes takes to be ready after a restart, and how much memory they take.

    python -m benchmarks.recovery [--outcomes 1000000] [--kafka] [--starts 3]

Writes the outcomes into the changelog of the outcome table, starts `leverloop worker` on it, and waits
until it says that it is ready. Then the same with an empty log: what is left is the price of the outcomes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer

from app.devbroker import DevBroker
from app.settings import Settings
from app.topic_admin import Replication, create_topics
from app.topics import deployment_topics
from benchmarks.market import outcomes
from learning.rows import row_of
from leverloop.brokers import broker_addresses, embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.partitions import partition_of
from leverloop.scope import DEFAULT_SCHEMA
from tables.outcomes import stored_outcome

BATCH = 20_000
MB = 1024 * 1024
Records = list[tuple[int, bytes, bytes]]


def records(n: int, partitions: int) -> Iterator[Records]:
    """(partition, key, value) of every outcome, in batches."""
    source = outcomes(n)
    while batch := list(islice(source, BATCH)):
        rows = [(o.group, row_of(o, o.closed_at_ms, DEFAULT_SCHEMA)) for o in batch]
        yield [(partition_of(g.encode(), partitions), row.outcome_id, stored_outcome(row)) for g, row in rows]


async def filled(settings: Settings, n: int) -> int:
    """Make the topics and write n outcomes into the changelog; return the bytes of their values."""
    await create_topics(
        settings.broker_url, deployment_topics(settings), replication=Replication(factor=1, min_insync=1)
    )
    topic, size, done = f"{settings.app_id}-outcomes-changelog", 0, 0
    path = embedded_path(settings.broker_url)
    producer = None if path else AIOKafkaProducer(
        bootstrap_servers=broker_addresses(settings.broker_url), compression_type="lz4", linger_ms=20,
        max_batch_size=256 * 1024,
    )  # fmt: skip
    log = EmbeddedLog(path) if path else None
    if producer:
        await producer.start()
    for batch in records(n, settings.partitions) if n else ():
        if log:
            log.append([NewRecord(topic=topic, partition=p, key=k, value=v, timestamp_ms=1) for p, k, v in batch])
        if producer:
            sent = [await producer.send(topic, key=k, value=v, partition=p) for p, k, v in batch]
            await asyncio.gather(*sent)
        size += sum(len(v) for _, _, v in batch)
        done += len(batch)
        print(f"\r{done:,} outcomes written", end="", file=sys.stderr, flush=True)
    if producer:
        await producer.stop()
    if log:
        log.close()
    print(file=sys.stderr)
    return size


def started(settings: Settings) -> tuple[float, float, float, list[str]]:
    """Start a worker; return seconds until it was ready, its memory then and at its peak in MB, and its lines."""
    environment = os.environ | {
        "LEVERLOOP_BROKER_URL": settings.broker_url,
        "LEVERLOOP_DATA_DIR": str(settings.data_dir),
        "LEVERLOOP_LOG_FORMAT": "json",
    }
    begun = time.perf_counter()
    command = [str(Path(sys.executable).parent / "leverloop"), "worker"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        lines = []
        for line in worker.stdout:
            lines.append(line)
            if "worker_started" in line:
                break
        seconds = time.perf_counter() - begun
        process = psutil.Process(worker.pid)
        rss = process.memory_info().rss / MB
        peak = int(
            next(x for x in Path(f"/proc/{worker.pid}/status").read_text().splitlines() if "VmHWM" in x).split()[1]
        )
        worker.send_signal(signal.SIGTERM)
        worker.stdout.read()
    return seconds, rss, peak / 1024, lines


@contextmanager
def broker(kafka: bool, folder: Path) -> Iterator[str]:
    """URL of a log of its own."""
    with DevBroker().start(folder / "kafka") if kafka else nullcontext() as started_broker:
        yield f"kafka://{started_broker.bootstrap}" if started_broker else f"embedded://{folder}/log.db"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    base = []
    for n in (0, options.outcomes):
        with tempfile.TemporaryDirectory() as name, broker(options.kafka, Path(name)) as url:
            settings = Settings(broker_url=url, data_dir=Path(name))
            size = asyncio.run(filled(settings, n))
            found = [started(settings) for _ in range(options.starts)]
        seconds, rss, peak = (statistics.median(each[i] for each in found) for i in range(3))
        print(f"{n:>9,} outcomes: ready after {seconds:.2f} s; {rss:.0f} MB, at most {peak:.0f} MB", flush=True)
        if n:
            more = f"{seconds - base[0]:.2f} s, {rss - base[1]:.0f} MB, at most {peak - base[2]:.0f} MB"
            print(f"{'':9} beyond an empty worker: {more}")
            print(f"{'':9} {size / n:.0f} bytes an outcome in the changelog")
            print("".join(line for line in found[-1][3] if "recover" in line))
        base = [seconds, rss, peak]


if __name__ == "__main__":
    main()
