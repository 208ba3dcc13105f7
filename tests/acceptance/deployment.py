"""A deployment as an operator has one: topics on a log, and workers that are processes of their own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiokafka import AIOKafkaProducer

from app.settings import Settings
from app.topic_admin import create_topics
from app.topic_reader import ReadRecord, read_topic
from app.topics import deployment_topics, replication
from leverloop.brokers import broker_addresses, embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.partitions import partition_of

LEVERLOOP = str(Path(sys.executable).with_name("leverloop"))
PATIENCE_S = 60.0


class Deployment:
    """Topics on a log, and the means to write, to read, and to run workers on them."""

    def __init__(self, broker_url: str, folder: Path, partitions: int = 4) -> None:
        self.settings = Settings(
            broker_url=broker_url, data_dir=folder, partitions=partitions, quiet_market_s=1.0, heartbeat_s=0.5
        )
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    async def create(self) -> "Deployment":
        await create_topics(self.url, deployment_topics(self.settings), replication=replication(self.settings))
        return self

    @property
    def url(self) -> str:
        return self.settings.broker_url

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as log:
            worker = subprocess.Popen([LEVERLOOP, "worker"], env=self.environment(), stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def environment(self) -> dict[str, str]:
        mine = {
            "LEVERLOOP_BROKER_URL": self.url,
            "LEVERLOOP_DATA_DIR": str(self.folder),
            "LEVERLOOP_PARTITIONS": str(self.settings.partitions),
            "LEVERLOOP_QUIET_MARKET_S": str(self.settings.quiet_market_s),
            "LEVERLOOP_HEARTBEAT_S": str(self.settings.heartbeat_s),
            "LEVERLOOP_LOG_LEVEL": "warning",
        }
        return {**{k: v for k, v in os.environ.items() if not k.startswith("LEVERLOOP_")}, **mine}

    async def leverloop(self, *words: str) -> tuple[int, str, str]:
        """Run the command; return its exit code and what it printed to standard output and standard error."""
        running = await asyncio.create_subprocess_exec(
            LEVERLOOP, *words, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(running.communicate(), PATIENCE_S)
        assert running.returncode is not None
        return running.returncode, out.decode(), err.decode()

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    async def write(self, topic: str, records: list[tuple[str, bytes]]) -> None:
        """Append raw records, keyed, in their order."""
        path = embedded_path(self.url)
        if path is None:
            async with AIOKafkaProducer(bootstrap_servers=broker_addresses(self.url), acks="all") as producer:
                for key, value in records:
                    partition = partition_of(key.encode(), self.settings.partitions)
                    await producer.send(topic, value, key=key.encode(), partition=partition)
            return
        with EmbeddedLog(path, create=False) as log:
            log.append(
                [
                    NewRecord(
                        topic=topic,
                        partition=partition_of(key.encode(), self.settings.partitions),
                        key=key.encode(),
                        value=value,
                        timestamp_ms=1_800_000_000_000,
                    )
                    for key, value in records
                ]
            )

    async def read(self, topic: str) -> list[ReadRecord]:
        return [record async for record in read_topic(self.url, topic)]

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Return when something holds of the topics; fail with the workers' logs after a minute."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                pause = asyncio.Event()
                while not await holds():
                    assert all(w.poll() in (None, 0, -signal.SIGKILL) for w in self.workers), self.logs()
                    try:
                        await asyncio.wait_for(pause.wait(), 0.1)
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}\n{self.logs()}") from None

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("worker-*.log")))
