"""The embedded log against a model of lists, and its refusals."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leverloop.embedded_log import EmbeddedLog, NewRecord, Record
from leverloop.errors import BadConfig, InvariantBroken, Unavailable

TOPIC, PARTITIONS = "leverloop.actions", 2
keys = st.none() | st.sampled_from([b"", b"a", b"b", b"c"])
values = st.none() | st.binary(max_size=8)
headers = st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=2).map(tuple)
new_records = st.builds(
    NewRecord,
    topic=st.just(TOPIC),
    partition=st.integers(0, PARTITIONS - 1),
    key=keys,
    value=values,
    timestamp_ms=st.integers(0, 100),
    headers=headers,
)
Model = dict[int, list[Record]]


class AgainstModel(RuleBasedStateMachine):
    """Whatever is appended, compacted, trimmed and reopened: what a reader sees is what the model says."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "log.db"
        self.log = EmbeddedLog(self.path)
        self.log.create_topic(TOPIC, PARTITIONS)
        self.other = EmbeddedLog(self.path, create=False)
        self.model: Model = {partition: [] for partition in range(PARTITIONS)}
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.commits: dict[tuple[str, int], int] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.log.close()
            self.other.close()
            self.folder.cleanup()

    @rule(batch=st.lists(new_records, max_size=6), by_other=st.booleans(), committed=st.none() | st.integers(0, 9))
    def append(self, batch: list[NewRecord], by_other: bool, committed: int | None) -> None:
        commits = {} if committed is None else {(TOPIC, 0): committed}
        offsets = (self.other if by_other else self.log).append(batch, group="g", commits=commits)
        self.commits |= commits
        for record, offset in zip(batch, offsets, strict=True):
            assert offset == self.ends[record.partition]
            self.ends[record.partition] += 1
            self.model[record.partition].append(
                Record(offset, record.timestamp_ms, record.key, record.value, record.headers)
            )

    @rule()
    def compact(self) -> None:
        gone = self.log.compact(TOPIC)
        before = sum(map(len, self.model.values()))
        self.model = {partition: compacted(records) for partition, records in self.model.items()}
        assert gone == before - sum(map(len, self.model.values()))

    @rule(before_ms=st.integers(0, 101))
    def trim(self, before_ms: int) -> None:
        self.log.trim(TOPIC, before_ms)
        for records in self.model.values():
            while len(records) > 1 and records[0].timestamp_ms < before_ms:
                del records[0]

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = EmbeddedLog(self.path)

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def readers_see_the_model(self) -> None:
        for log in (self.log, self.other):
            for partition, records in self.model.items():
                assert log.read(TOPIC, partition, 0) == records
                assert log.end_offset(TOPIC, partition) == self.ends[partition]
                assert log.earliest_offset(TOPIC, partition) == (records[0].offset if records else 0)
            assert log.committed("g") == self.commits


TestAgainstModel = AgainstModel.TestCase


def compacted(records: list[Record]) -> list[Record]:
    last = {record.key: record.offset for record in records}
    return [
        record
        for record in records
        if record is records[-1]
        or record.key is None
        or (last[record.key] == record.offset and record.value is not None)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(path) as log:
        log.create_topic(TOPIC, PARTITIONS)
        yield log


@given(start=st.integers(0, 12), limit=st.integers(1, 5), max_bytes=st.integers(1, 40))
def test_a_page_is_a_prefix_of_what_follows(start: int, limit: int, max_bytes: int) -> None:
    with TemporaryDirectory() as folder, EmbeddedLog(Path(folder) / "log.db") as log:
        log.create_topic(TOPIC, PARTITIONS)
        log.append([_record(b"%09d" % i) for i in range(10)])
        page = log.read(TOPIC, 0, start, limit, max_bytes=max_bytes)
        rest = log.read(TOPIC, 0, start)
        assert page == rest[: len(page)]
        assert len(page) == min(len(rest), limit, 1 + (max_bytes - 1) // 9)


def test_a_batch_is_there_as_a_whole_or_not_at_all(log: EmbeddedLog) -> None:
    with pytest.raises(BadConfig, match=r"partitions 0 to 1, asked for was 7"):
        log.append([_record(b"one"), _record(b"two", partition=7)], group="g", commits={(TOPIC, 0): 1})
    assert log.read(TOPIC, 0, 0) == []
    assert log.committed("g") == {}


def test_version_of_the_data_changes_with_appends_of_others_only(log: EmbeddedLog, path: Path) -> None:
    before = log.data_version()
    log.append([_record(b"mine")])
    assert log.data_version() == before
    with EmbeddedLog(path) as other:
        other.append([_record(b"theirs")])
    assert log.data_version() != before


def test_topics_are_kept_with_their_configuration(log: EmbeddedLog, path: Path) -> None:
    assert log.create_topic("x", 3, {"cleanup.policy": "compact"})
    with EmbeddedLog(path) as other:
        assert {name: (t.partitions, t.config) for name, t in other.topics().items()} == {
            TOPIC: (PARTITIONS, {}),
            "x": (3, {"cleanup.policy": "compact"}),
        }
        assert not other.create_topic("x", 3, {"cleanup.policy": "compact"})


@pytest.mark.parametrize(("partitions", "config"), [(3, {}), (2, {"retention.ms": "1"})])
def test_a_topic_is_not_changed(log: EmbeddedLog, partitions: int, config: dict[str, str]) -> None:
    with pytest.raises(BadConfig, match=r"has 2 partitions and \{\}, asked for were"):
        log.create_topic(TOPIC, partitions, config)


def test_an_unknown_topic_is_refused(log: EmbeddedLog) -> None:
    with pytest.raises(BadConfig, match=r"topic nobody does not exist .* create it first"):
        log.read("nobody", 0, 0)
    with pytest.raises(BadConfig, match=r"topic nobody: expected at least one partition, was 0"):
        log.create_topic("nobody", 0)


def test_a_topic_of_another_process_is_found(log: EmbeddedLog, path: Path) -> None:
    with EmbeddedLog(path) as other:
        other.create_topic("later", 1)
    assert log.append([NewRecord(topic="later", partition=0, key=None, value=b"", timestamp_ms=0)]) == [0]


def test_another_version_is_refused_with_the_way_out(log: EmbeddedLog, path: Path) -> None:
    log.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(BadConfig, match=r"version 2, this release works on version 1: use the release that made it"):
        EmbeddedLog(path)


def test_another_database_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE x (y)")
    db.close()
    with pytest.raises(BadConfig, match=r"is no embedded log: name another file"):
        EmbeddedLog(path)


def test_another_kind_of_file_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to look like one" * 100)
    with pytest.raises(BadConfig, match=r"is no embedded log: name another file"):
        EmbeddedLog(path)


def test_a_missing_file_may_yet_come(path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"it is not there, or may not be opened; create it with `leverloop topics create`"
    ):
        EmbeddedLog(path, create=False)
    assert not path.exists()


def test_a_locked_log_is_unavailable_and_then_goes_on(log: EmbeddedLog, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with EmbeddedLog(path, busy_timeout_s=0.02) as hasty:
        with pytest.raises(Unavailable, match=r"another process keeps it locked"):
            hasty.append([_record(b"x")])
        assert hasty.read(TOPIC, 0, 0) == []  # reading goes on
        other.execute("ROLLBACK")
        assert hasty.append([_record(b"x")]) == [0]
    other.close()


def test_a_full_disk_is_unavailable_and_takes_nothing(log: EmbeddedLog) -> None:
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match=r"the disk is full"):
        log.append([_record(b"x" * 100_000)])
    assert log.read(TOPIC, 0, 0) == []
    log._db.execute("PRAGMA max_page_count = 1000000")
    assert log.append([_record(b"x")]) == [0]


def test_another_thread_needs_a_log_of_its_own(log: EmbeddedLog) -> None:
    raised: list[BaseException] = []

    def use() -> None:
        try:
            log.append([_record(b"x")])
        except InvariantBroken as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "can only be used in that same thread" in str(raised[0])


def test_processes_append_at_the_same_time(log: EmbeddedLog, path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(path, b"p%d" % i)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    records = log.read(TOPIC, 0, 0)
    assert [record.offset for record in records] == list(range(3 * 200))
    for i in range(3):
        assert [r.value for r in records if r.key == b"p%d" % i] == [b"%d" % n for n in range(200)]


def test_processes_create_the_same_log_at_the_same_time(path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert sum(pool.map(_create, [path] * 6)) == 1


def _create(path: Path) -> bool:
    with EmbeddedLog(path) as log:
        return log.create_topic(TOPIC, PARTITIONS)


def _append_many(path: Path, key: bytes) -> None:
    with EmbeddedLog(path, create=False) as log:
        for n in range(200):
            log.append([_record(b"%d" % n, key=key)])


def _record(value: bytes | None, *, key: bytes | None = None, partition: int = 0) -> NewRecord:
    return NewRecord(topic=TOPIC, partition=partition, key=key, value=value, timestamp_ms=0)
