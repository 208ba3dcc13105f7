"""Partitioned tables: a partition's state follows its changelog, and goes with it (docs: design of the stores)."""

import asyncio
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.streams import _current_event
from faust.types import TP

from tables.catalogue import TRADES
from tables.partitioned import PartitionedTable
from tables.state import PartitionState

CHANGELOG = "lever-trades-changelog"


class Words(PartitionState):
    """State of a partition: its records, as they came."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.records: dict[bytes, bytes] = {}
        self.ends = 0
        self.threads: set[int] = set()
        self.gate: threading.Event | None = None

    def load(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.threads.add(threading.get_ident())
        super().load(records)

    def recovered(self) -> None:
        self.ends += 1

    def apply(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = value

    def __len__(self) -> int:
        return len(self.records)


@pytest.fixture
def table() -> PartitionedTable[Words]:
    app = faust.App("lever", broker="memory://", store="memory://", autodiscover=False)
    return PartitionedTable(app, TRADES, 4, Words)


def recovered(partition: int, offset: int, key: bytes, value: bytes | None) -> Any:
    """An event of the changelog."""
    tp = TP(CHANGELOG, partition)
    return SimpleNamespace(
        message=SimpleNamespace(tp=tp, partition=partition, offset=offset, key=key, value=value, topic=CHANGELOG)
    )


class InStream:
    """What a stage sees while it works on an event of a partition."""

    def __init__(self, partition: int) -> None:
        self._event = SimpleNamespace(message=SimpleNamespace(partition=partition))

    def __enter__(self) -> None:
        self._token = _current_event.set(lambda: self._event)  # Faust keeps a weak reference there

    def __exit__(self, *_: object) -> None:
        _current_event.reset(self._token)


def test_it_is_named_and_laid_out_as_the_catalogue_says(table: PartitionedTable[Words]) -> None:
    assert (table.name, table.partitions, table.changelog_topic_name) == ("trades", 4, CHANGELOG)


def test_recovery_gives_each_partition_its_records_in_order(table: PartitionedTable[Words]) -> None:
    store = table.data
    batch = [
        recovered(1, 0, b"a", b"1"),
        recovered(2, 0, b"a", b"2"),
        recovered(1, 1, b"a", b"3"),
        recovered(1, 2, b"b", b"4"),
        recovered(1, 3, b"b", None),
    ]
    store.apply_changelog_batch(batch, None, None)
    assert {p: state.records for p, state in table.states().items()} == {1: {b"a": b"3"}, 2: {b"a": b"2"}}
    assert len(store) == 2
    assert store.persisted_offset(TP(CHANGELOG, 1)) == 3
    assert store.persisted_offset(TP(CHANGELOG, 3)) is None


def test_a_write_goes_to_the_partition_of_the_event(table: PartitionedTable[Words]) -> None:
    store = table.data
    with InStream(3):
        store[b"a"] = b"1"
        store[b"b"] = b"2"
        del store[b"a"]
    assert table.state(3).records == {b"b": b"2"}
    assert table.state(3).partition == 3


def test_nobody_writes_outside_a_stream(table: PartitionedTable[Words]) -> None:
    with pytest.raises(RuntimeError, match="inside its stream only"):
        table.data[b"a"] = b"1"


def test_offsets_of_own_writes_never_go_back(table: PartitionedTable[Words]) -> None:
    store, tp = table.data, TP(CHANGELOG, 1)
    for offset in (4, 9, 7):
        store.set_persisted_offset(tp, offset)
    assert store.persisted_offset(tp) == 9


async def test_a_partition_that_is_lost_goes_with_all_it_holds(table: PartitionedTable[Words]) -> None:
    store = table.data
    store.apply_changelog_batch([recovered(1, 5, b"a", b"1"), recovered(2, 6, b"b", b"2")], None, None)
    kept, other = TP(CHANGELOG, 2), TP("another-changelog", 1)
    await store.on_rebalance({kept, other}, {TP(CHANGELOG, 1)}, set())
    assert sorted(table.states()) == [2]
    assert store.persisted_offset(TP(CHANGELOG, 1)) is None, "recovery starts from the beginning, not where it was"
    assert store.persisted_offset(kept) == 6
    store.reset_state()
    assert len(store) == 0
    assert store.persisted_offset(kept) is None


def test_it_is_read_by_partition_only(table: PartitionedTable[Words]) -> None:
    store = table.data
    for read in (lambda: store[b"a"], lambda: b"a" in store, lambda: list(store)):
        with pytest.raises(NotImplementedError, match="read state"):
            read()


async def test_what_is_loaded_is_in_the_state_and_its_offset_is_known(table: PartitionedTable[Words]) -> None:
    tp = TP(CHANGELOG, 1)
    await table.load(tp, [(b"a", b"1"), (b"b", b"2"), (b"a", None)], 9)
    assert table.state(1).records == {b"b": b"2"}
    assert table.data.persisted_offset(tp) == 8, "what is missing between the offsets was compacted away"
    await table.load(tp, [], 12)
    assert table.data.persisted_offset(tp) == 11


async def test_a_state_is_told_once_that_its_changelog_has_ended(table: PartitionedTable[Words]) -> None:
    tp = TP(CHANGELOG, 1)
    table.recovered(tp)
    assert table.states() == {}, "of an empty changelog there is nothing to tell"
    await table.load(tp, [(b"a", b"1")], 1)
    await table.load(tp, [(b"b", b"2")], 2)
    table.recovered(tp)
    table.recovered(tp)
    assert table.state(1).ends == 1
    await table.load(tp, [(b"a", b"3")], 3)
    table.recovered(tp)
    assert table.state(1).ends == 2


async def test_what_comes_late_for_a_lost_partition_does_not_begin_it_anew(table: PartitionedTable[Words]) -> None:
    store, tp = table.data, TP(CHANGELOG, 1)
    await table.load(tp, [(b"a", b"1")], 6)
    await store.on_rebalance({TP(CHANGELOG, 2)}, {tp}, set())
    await table.load(tp, [(b"b", b"2")], 7)
    table.recovered(tp)
    store.apply_changelog_batch([recovered(1, 7, b"c", b"3")], None, None)
    store.set_persisted_offset(tp, 8)
    assert table.states() == {}
    assert store.persisted_offset(tp) is None
    await store.on_rebalance({tp}, set(), {tp})
    await table.load(tp, [(b"d", b"4")], 1)
    assert table.state(1).records == {b"d": b"4"}


async def test_a_state_in_use_takes_a_page_on_the_event_loop_a_new_one_in_a_thread(
    table: PartitionedTable[Words],
) -> None:
    tp, here = TP(CHANGELOG, 1), threading.get_ident()
    await table.load(tp, [(b"a", b"1")], 1)
    await table.load(tp, [(b"b", b"2")], 2)
    assert here not in table.state(1).threads
    table.recovered(tp)
    table.state(1).threads.clear()
    await table.load(tp, [(b"c", b"3")], 3)
    assert table.state(1).threads == {here}


async def test_a_partition_that_is_lost_and_regained_during_a_page_begins_anew(table: PartitionedTable[Words]) -> None:
    store, tp = table.data, TP(CHANGELOG, 1)
    gate = table.state(1).gate = threading.Event()
    loading = asyncio.ensure_future(table.load(tp, [(b"a", b"1")], 6))
    await asyncio.sleep(0)
    await store.on_rebalance({TP(CHANGELOG, 2)}, {tp}, set())
    await store.on_rebalance({tp, TP(CHANGELOG, 2)}, set(), {tp})
    assert len(table.state(1)) == 0
    gate.set()
    await loading
    assert table.state(1).records == {}
    assert store.persisted_offset(tp) is None, "the next reading begins at the beginning"
