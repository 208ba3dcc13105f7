"""What one trade writes, end to end: records and bytes by topic, on the embedded log.

python -m benchmarks.changelog [--trades 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.settings import Settings
from app.topic_admin import Replication, create_topics
from app.topics import deployment_topics
from app.worker import running_worker
from benchmarks.market import trades
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.events import encode
from leverloop.partitions import partition_of
from streams.topics import ACTIONS, OUTCOMES, TRADES

LOOK_S = 0.2
SLICE = 500


def events(n: int, partitions: int) -> list[NewRecord]:
    """Every event of n trades, in the order of their times."""
    found = []
    for actions, close in islice(trades(40 * n), n):
        for topic, event in [*((ACTIONS, action) for action in actions), (TRADES, close)]:
            key = event.trade_id.encode()
            record = NewRecord(
                topic=topic,
                partition=partition_of(key, partitions),
                key=key,
                value=encode(event),
                timestamp_ms=event.event_at_ms,
            )
            found.append(record)
    return sorted(found, key=lambda record: record.timestamp_ms)


async def run(settings: Settings, path: Path, records: list[NewRecord], at_once: int) -> None:
    """Let a worker take every event, so many at a time."""
    await create_topics(
        settings.broker_url, deployment_topics(settings), replication=Replication(factor=1, min_insync=1)
    )
    async with running_worker(settings):
        with EmbeddedLog(path) as log:
            for first in range(0, len(records), at_once):
                log.append(records[first : first + at_once])
                while not finished(log, settings):
                    await asyncio.sleep(LOOK_S)


def finished(log: EmbeddedLog, settings: Settings) -> bool:
    """Whether everything on the inputs, and what followed from it, is committed."""
    committed = log.committed(settings.app_id)
    return all(
        committed.get((topic, partition), 0) >= log.end_offset(topic, partition)
        for topic in (ACTIONS, TRADES, OUTCOMES)
        for partition in range(settings.partitions)
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=2_000)
    parser.add_argument("--backlog", action="store_true")
    options = parser.parse_args()
    n = options.trades
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        settings = Settings(broker_url=f"embedded://{path}", data_dir=Path(folder))
        records = events(n, settings.partitions)
        actions = sum(record.topic == ACTIONS for record in records)
        asyncio.run(run(settings, path, records, len(records) if options.backlog else SLICE))
        table = Table(title=f"{n:,} trades, {actions:,} actions")
        for name in ("topic", "records", "records per action", "bytes per trade"):
            table.add_column(name, justify="left" if name == "topic" else "right")
        total = 0
        with EmbeddedLog(path) as log:
            for topic in log.topics().values():
                sizes = []
                for partition in range(topic.partitions):
                    offset = 0
                    while page := log.read(topic.name, partition, offset):
                        sizes += [len(record.key or b"") + len(record.value or b"") for record in page]
                        offset = page[-1].offset + 1
                total += sum(sizes)
                table.add_row(topic.name, f"{len(sizes):,}", f"{len(sizes) / actions:.3f}", f"{sum(sizes) / n:,.0f}")
        table.add_row("all", "", "", f"{total / n:,.0f}")
        Console().print(table)


if __name__ == "__main__":
    main()
