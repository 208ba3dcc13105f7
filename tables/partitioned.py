"""A Faust table whose state is one object per partition, fed by every write and by the changelog.

The object is what the stage works on: an index, columns, a book. Faust's own stores know only keys, and
the memory store forgets which partition a key belongs to. Here a lost partition goes with all it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import faust
from faust.stores import base
from faust.streams import current_event
from faust.types import TP

from tables.catalogue import TableSpec
from tables.state import ChangelogRecord, PartitionState

__all__ = ["PartitionedTable"]

State = TypeVar("State", bound=PartitionState)


class PartitionedTable(faust.Table, Generic[State]):
    """A changelog-backed table of bytes with one state object per partition.

    Write with ``table[key] = value`` and ``del table[key]`` inside the stream, read `state(partition)`.
    Keys and values are bytes; a value is never empty.
    """

    def __init__(self, app: faust.App, spec: TableSpec, partitions: int, new_state: Callable[[int], State]) -> None:
        self._new_state = new_state
        super().__init__(
            app,
            name=spec.name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            help=spec.value,
            beacon=app.tables.beacon,
        )
        app.tables.add(self)

    def __eq__(self, other: object) -> bool:
        # A mapping compares by its items; recovery groups records by table, and means the object.
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def state(self, partition: int) -> State:
        """State of a partition this worker owns."""
        return self.data.state(partition)

    def states(self) -> dict[int, State]:
        """State of every partition this worker owns."""
        return dict(self.data.states)

    def recovered_states(self) -> dict[int, State]:
        """State of every partition this worker owns whose changelog it has read to the end."""
        return {partition: state for partition, state in self.data.states.items() if self.data.is_recovered(partition)}

    async def load(self, tp: TP, records: Sequence[ChangelogRecord], next_offset: int) -> None:
        """Take many records of a changelog partition, in their order.

        Recovery calls it, before any agent runs, and waits before it calls again for the same partition. The state
        takes them in a thread, unless the partition was recovered before and may be in somebody's hands.

        Parameters
        ----------
        tp
            Partition of the changelog; one that was lost meanwhile is left alone.
        records
            What stands there from the persisted offset on.
        next_offset
            Everything before this offset is in `records`, or was loaded before.
        """
        await self.data.load(tp, records, next_offset)

    def recovered(self, tp: TP) -> None:
        """Note that a changelog partition has been read to its end: in a thread, once nothing loads it any more."""
        self.data.recovered(tp)

    def _new_store(self) -> PartitionedStore[State]:
        return PartitionedStore("partitioned://memory", self.app, self, new_state=self._new_state, loop=self.loop)


class PartitionedStore(base.Store, Generic[State]):
    """Store of a PartitionedTable: rows of a partition live and go together."""

    def __init__(self, url: str, app: faust.App, table: Any, *, new_state: Callable[[int], State], **rest: Any) -> None:
        super().__init__(url, app, table, key_type=bytes, value_type=bytes, **rest)
        self.states: dict[int, State] = {}
        self._new_state = new_state
        self._offsets: dict[TP, int] = {}
        self._held: set[int] | None = None  # None: no rebalance yet
        self._unsettled: set[int] = set()  # loaded, and not told that this was all
        self._recovered: set[int] = set()  # told so once: agents use them

    def state(self, partition: int) -> State:
        """State of a partition, new if nothing was heard of it."""
        state = self.states.get(partition)
        if state is None:
            state = self.states[partition] = self._new_state(partition)
        return state

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.state(_partition()).apply(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.state(_partition()).apply(key, None)

    def __len__(self) -> int:
        return sum(len(state) for state in self.states.values())

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError("read state(partition), not the table")

    def __getitem__(self, key: bytes) -> bytes:
        raise NotImplementedError("read state(partition), not the table")

    def __contains__(self, key: object) -> bool:
        raise NotImplementedError("read state(partition), not the table")

    async def load(self, tp: TP, records: Sequence[ChangelogRecord], next_offset: int) -> None:
        """See the table's."""
        if not self._holds(tp):
            return
        if records and not await self._loaded(tp.partition, records):
            return
        self._offsets[tp] = next_offset - 1

    def recovered(self, tp: TP) -> None:
        """See the table's."""
        state = self.states.get(tp.partition)
        if state is not None and tp.partition in self._unsettled:
            self._unsettled.discard(tp.partition)
            state.recovered()
        if self._holds(tp):
            self._recovered.add(tp.partition)

    def is_recovered(self, partition: int) -> bool:
        """Whether a partition that is ours has been read to its end, and is not being read again."""
        return partition in self._recovered and partition not in self._unsettled

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:  # noqa: ARG002
        """Apply what has come to the changelog since it was loaded, in its order."""
        for event in batch:
            message = event.message
            if self._holds(message.tp):
                self.state(message.partition).apply(message.key, message.value)
                self._offsets[message.tp] = message.offset

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset up to which the state in memory holds the changelog; None for a partition not held."""
        return self._offsets.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Remember that a write of ours has become a record."""
        if self._holds(tp):
            self._offsets[tp] = max(offset, self._offsets.get(tp, -1))

    async def _loaded(self, partition: int, records: Sequence[ChangelogRecord]) -> bool:
        """Let the state take a page; False if the partition was lost meanwhile."""
        state = self.state(partition)
        self._unsettled.add(partition)
        if partition in self._recovered:
            state.load(records)
        else:
            await asyncio.to_thread(state.load, records)
        return self.states.get(partition) is state

    def _holds(self, tp: TP) -> bool:
        # What comes late for a lost partition must not begin it anew: the rest would be taken for known.
        return self._held is None or tp.partition in self._held

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002  (Faust's signature)
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Let go of the partitions that are no longer ours, at once and with all they hold."""
        topic = self.table.changelog_topic_name
        kept = {tp.partition for tp in assigned if tp.topic == topic}
        for partition in [p for p in self.states if p not in kept]:
            del self.states[partition]
        self._held = kept
        self._unsettled &= kept
        self._recovered &= kept
        self._offsets = {tp: offset for tp, offset in self._offsets.items() if tp.partition in kept}

    def reset_state(self) -> None:
        """Forget everything: there is nothing on disk."""
        self.clear()

    def clear(self) -> None:
        """Forget everything in memory."""
        self.states.clear()
        self._offsets.clear()
        self._unsettled.clear()
        self._recovered.clear()

    async def backup_partition(self, *_: Any, **__: Any) -> None:
        """Nothing to back up: the changelog is the truth."""

    def restore_backup(self, *_: Any, **__: Any) -> None:
        """Nothing to restore: the changelog is the truth."""


def _partition() -> int:
    event = current_event()
    if event is None:
        raise RuntimeError("a table is written inside its stream only")
    return int(event.message.partition)
