"""The smallest app that can lose something: two topics, one agent, one table, one output."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from app.transport import LeverApp, create_app
from streams.topics import TopicSpec
from tables.catalogue import TableSpec
from tables.partitioned import PartitionedTable
from tables.state import ChangelogRecord, PartitionState
from tests.integration.transport.world import Put, World, make_topics

PARTITIONS = 3
LAST = TableSpec(name="last", key="key", value="bytes", version=0, scales=True, grows_with="keys")


class Pipeline:
    """Names and wiring; make as many apps of it as the test restarts workers."""

    def __init__(self, world: World, app_id: str, data_dir: Path, *, partitions: int = PARTITIONS) -> None:
        self.world = world
        self.partitions = partitions
        self.app_id = app_id
        self.sources = (f"{app_id}-a", f"{app_id}-b")
        self.out = f"{app_id}-out"
        self.changelog = f"{app_id}-last-changelog"
        self.fed: list[Put] = []
        self._data_dir = data_dir

    async def create(self, *, cleanup: Literal["compact", "delete"] = "compact") -> "Pipeline":
        await make_topics(
            self.world.url,
            [
                *(TopicSpec(name=name, partitions=self.partitions, cleanup="delete") for name in self.sources),
                TopicSpec(name=self.out, partitions=1, cleanup="delete"),
                TopicSpec(name=self.changelog, partitions=self.partitions, cleanup=cleanup),
            ],
        )
        return self

    async def feed(self, count: int, *, keys: int = 50) -> None:
        """Append records; a key is always on the same partition of the same topic, its values grow."""
        start = len(self.fed)
        records = [
            Put(
                topic=self.sources[i % keys % 2],
                partition=i % keys % self.partitions,
                key=b"k%04d" % (i % keys),
                value=b"%08d" % i,
            )
            for i in range(start, start + count)
        ]
        await self.world.append(records)
        self.fed += records

    def worker(
        self, *, body: Callable[[Any, Any, Any], Any] | None = None, bulk: bool = False, **settings: Any
    ) -> "Worker":
        """A worker; its table is recovered in bulk, or as Faust does it."""
        reasons: list[str] = []
        given = {"fail_stop": reasons.append, "commit_interval_s": 3600.0} | settings
        app = create_app(self.app_id, self.world.url, data_dir=self._data_dir, partitions=self.partitions, **given)
        if bulk:
            table = PartitionedTable(app, LAST, self.partitions, lambda _: Held())
        else:
            table = app.Table("last", partitions=self.partitions, key_type=bytes, value_type=bytes)
        out = app.topic(self.out)
        worker = Worker(app, table, reasons)

        async def run(stream: Any) -> None:
            async for event in stream.events():
                if body is not None:
                    await body(event, table, out)
                else:
                    table[event.message.key] = event.message.value
                    await out.send(key=event.message.key, value=event.message.value)
                worker.note(event)

        app.agent(app.topic(*self.sources), name="last")(app.guarded(run))
        return worker

    def expected(self) -> dict[bytes | None, bytes | None]:
        return {record.key: record.value for record in self.fed}

    async def finished(self) -> bool:
        """Everything fed is committed."""
        ends: dict[tuple[str, int], int] = {}
        for record in self.fed:
            where = (record.topic, record.partition)
            ends[where] = ends.get(where, 0) + 1
        return await self.world.committed(self.app_id) == ends


class Held(PartitionState):
    """Records of a partition, and how they came."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.applied = self.loaded = self.ends = 0

    def __len__(self) -> int:
        return len(self.records)

    def apply(self, key: bytes, value: bytes | None) -> None:
        self.applied += 1
        self._take(key, value)

    def load(self, records: Sequence[ChangelogRecord]) -> None:
        self.loaded += len(records)
        for key, value in records:
            self._take(key, value)

    def recovered(self) -> None:
        self.ends += 1

    def _take(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = value


class Worker:
    """A worker of this process, and what it has done so far."""

    def __init__(self, app: LeverApp, table: Any, reasons: list[str]) -> None:
        self.app = app
        self.table = table
        self.reasons = reasons
        self.handled: list[bytes] = []
        self._arrived = asyncio.Condition()

    @property
    def rows(self) -> dict[bytes, bytes]:
        """What a table that is recovered in bulk holds, of all partitions."""
        return {key: value for state in self.table.states().values() for key, value in state.records.items()}

    def count(self, name: str) -> int:
        """A counter of `Held`, over all partitions."""
        return sum(getattr(state, name) for state in self.table.states().values())

    def note(self, event: Any) -> None:
        self.handled.append(event.message.value)
        self.app.loop.call_soon(self.app.loop.create_task, self._tell())

    async def _tell(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()

    async def handles(self, count: int) -> None:
        """Wait until so many events are handled, redelivered ones counted again."""
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: len(self.handled) >= count)


async def only_the_table(event: Any, table: Any, out: Any) -> None:
    """Body without outputs: nothing in it waits."""
    table[event.message.key] = event.message.value
