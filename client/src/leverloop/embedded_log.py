"""The embedded log: topics, partitions and offsets in one SQLite file, for one machine without a broker.

What it promises:

1. A record is on disk when `append` returns (WAL, ``synchronous=FULL``); a batch is there as a whole or not at all.
2. Offsets of a partition grow by one from record to record, whoever appends; none is ever given out twice.
3. Reading is in the order of offsets. Offsets may be missing (compaction, retention), the last record never is: the
   end of a partition is the offset after it, and a reader that waits for that record gets it.
4. Any number of processes may append and read at a time; SQLite serialises the appends.

An `EmbeddedLog` belongs to the thread that made it (SQLite raises otherwise, here as InvariantBroken) and does not
survive a fork: every thread and process opens its own. Calls block: an append for one fsync, and for up to
`busy_timeout_s` while another process appends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from leverloop.errors import BadConfig, InvariantBroken, Unavailable

__all__ = ["EmbeddedLog", "NewRecord", "Record", "Topic"]

VERSION: Final = 1
_APPLICATION_ID: Final = 0x4C56524C  # "LVRL", in the header of the file
_READ_BYTES: Final = 16 * 1024 * 1024  # a page of snapshots of 32 MiB each must not fill the memory
_WAL_BYTES: Final = 64 * 1024 * 1024  # what the write-ahead log is cut back to after a long transaction

_SCHEMA: Final = """
CREATE TABLE topics (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, config TEXT NOT NULL);
CREATE TABLE records (
  topic INTEGER NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
  key BLOB, value BLOB, headers TEXT, PRIMARY KEY (topic, partition, "offset")) WITHOUT ROWID;
CREATE TABLE commits (
  consumer_group TEXT NOT NULL, topic INTEGER NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)) WITHOUT ROWID;
"""

_TOPICS: Final = "SELECT id, name, partitions, config FROM topics"

Headers = tuple[tuple[str, bytes | None], ...]


class NewRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record to append. No key: it survives every compaction; no value: a tombstone."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of a partition."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic. `config` takes Kafka's names, such as ``cleanup.policy`` and ``retention.ms``; the log only keeps it."""

    id: int
    name: str
    partitions: int
    config: dict[str, str]


class EmbeddedLog:
    """One open log.

    Parameters
    ----------
    path
        The file. Its directory must exist.
    create
        Make the file if it is not there; otherwise Unavailable is raised, for whoever makes it may yet come.
    busy_timeout_s
        How long to wait for another process that appends, in seconds, before Unavailable is raised.

    Raises
    ------
    BadConfig
        For a file of another version, or one that is no log.
    Unavailable
        When the file cannot be opened now: missing, locked, disk full.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with EmbeddedLog(Path(folder.name) / "log.db") as log:
    ...     _ = log.create_topic("leverloop.actions", 2)
    ...     log.append([NewRecord(topic="leverloop.actions", partition=1, key=b"t1", value=b"{}", timestamp_ms=0)])
    ...     log.read("leverloop.actions", 1, 0)
    [0]
    [Record(offset=0, timestamp_ms=0, key=b't1', value=b'{}', headers=())]
    >>> folder.cleanup()
    """

    def __init__(self, path: str | Path, *, create: bool = True, busy_timeout_s: float = 5.0) -> None:
        self.path: Final = Path(path)
        self._topics: dict[str, Topic] = {}
        with self._speaking_our_errors():
            # as_uri escapes what SQLite would take for a query; it wants an absolute path.
            uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
            self._db: Final = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
        try:
            with self._speaking_our_errors():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last to close it folds the write-ahead log into it."""
        with self._speaking_our_errors():
            self._db.close()

    def create_topic(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> bool:
        """Create a topic; False if it is there already, as asked for.

        Raises
        ------
        BadConfig
            When it is there with another number of partitions or another configuration.
        """
        wanted = dict(config or {})
        if partitions < 1:
            raise BadConfig(f"topic {name}: expected at least one partition, was {partitions}")
        with self._transaction():
            found = self._find(name)
            if found is None:
                self._db.execute(
                    "INSERT INTO topics (name, partitions, config) VALUES (?, ?, ?)",
                    (name, partitions, json.dumps(wanted, sort_keys=True)),
                )
                return True
        if (found.partitions, found.config) != (partitions, wanted):
            raise BadConfig(
                f"topic {name} in {self.path} has {found.partitions} partitions and {found.config}, asked for were "
                f"{partitions} and {wanted}: keep what it has, or start a new log and replay into it"
            )
        return False

    def topics(self) -> dict[str, Topic]:
        """Every topic by its name."""
        with self._speaking_our_errors():
            rows = self._db.execute(f"{_TOPICS} ORDER BY name").fetchall()
        self._topics = {row[1]: _topic(row) for row in rows}
        return dict(self._topics)

    def append(
        self,
        records: Sequence[NewRecord],
        *,
        group: str = "",
        commits: Mapping[tuple[str, int], int] | None = None,
    ) -> list[int]:
        """Append records and commit offsets of a group in one transaction; return the records' offsets.

        The cost is one fsync whatever the number of records: append a hundred at once where you can.

        Parameters
        ----------
        records
            In the order in which they are to stand.
        group, commits
            (topic, partition) -> offset of the next record that the group has not finished.

        Raises
        ------
        BadConfig
            For a topic or a partition that does not exist.
        Unavailable
            Disk full, or locked for longer than the timeout. Nothing of the batch was appended.
        """
        with self._transaction():
            offsets = self._insert(records)
            self._put_commits(group, commits or {})
        return offsets

    def read(
        self, topic: str, partition: int, offset: int, limit: int = 1000, *, max_bytes: int = _READ_BYTES
    ) -> list[Record]:
        """Records of a partition from an offset on: at most `limit`, and no more once they exceed `max_bytes`."""
        found: list[Record] = []
        size = 0
        query = (
            'SELECT "offset", timestamp_ms, key, value, headers FROM records '
            'WHERE topic = ? AND partition = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?'
        )
        with self._speaking_our_errors():
            where = (self._require(topic, partition).id, partition, offset, limit)
            # Closed even when left early: an open statement would keep the log from being folded back.
            with closing(self._db.execute(query, where)) as rows:
                for number, at_ms, key, value, headers in rows:
                    found.append(Record(number, at_ms, key, value, _read_headers(headers) if headers else ()))
                    size += len(value or b"")
                    if size >= max_bytes:
                        break
        return found

    def earliest_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record that is still there; the end of an empty partition."""
        first = self._extreme("min", topic, partition)
        return 0 if first is None else first

    def end_offset(self, topic: str, partition: int) -> int:
        """Offset that the next record of the partition will have."""
        last = self._extreme("max", topic, partition)
        return 0 if last is None else last + 1

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """(topic, partition) -> committed offset of a group."""
        query = (
            'SELECT topics.name, partition, "offset" FROM commits JOIN topics ON topics.id = commits.topic '
            "WHERE consumer_group = ?"
        )
        with self._speaking_our_errors():
            rows = self._db.execute(query, (group,)).fetchall()
        return {(name, partition): offset for name, partition, offset in rows}

    def data_version(self) -> int:
        """A number that changes when another connection has changed the file: 3 us to ask, not for own appends."""
        with self._speaking_our_errors():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def compact(self, topic: str) -> int:
        """Keep the latest record of every key and drop tombstones; return how many records went.

        Records without a key stay, and so does the last record of a partition, tombstone or not: it says
        where the partition ends. Takes the file for itself, about 1 s for a million records.
        """
        query = (
            "DELETE FROM records WHERE topic = :topic AND partition = :partition AND key IS NOT NULL "
            'AND "offset" < :last AND (value IS NULL OR "offset" NOT IN ('
            'SELECT max("offset") FROM records WHERE topic = :topic AND partition = :partition GROUP BY key))'
        )
        return self._delete(query, topic, {})

    def trim(self, topic: str, before_ms: int) -> int:
        """Drop the oldest records, up to the first that is not older than a time; return how many went.

        The last record of a partition stays.
        """
        query = (
            'DELETE FROM records WHERE topic = :topic AND partition = :partition AND "offset" < coalesce(('
            'SELECT min("offset") FROM records WHERE topic = :topic AND partition = :partition '
            "AND timestamp_ms >= :before_ms), :last)"
        )
        return self._delete(query, topic, {"before_ms": before_ms})

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        if self._version() == (0, 0) and not self._db.execute("SELECT 1 FROM sqlite_schema").fetchall():
            self._create()
        application, version = self._version()
        if application != _APPLICATION_ID:
            raise BadConfig(f"{self.path} is no embedded log: name another file")
        if version != VERSION:
            raise BadConfig(
                f"{self.path} is an embedded log of version {version}, this release works on version {VERSION}: "
                "use the release that made it, or name a new file and replay into it"
            )

    def _create(self) -> None:
        # Properties of the file, set once, outside of any transaction. Records of up to 4 KB fit into such a page.
        self._db.executescript("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL")
        with self._transaction():
            if self._version() != (0, 0):  # another process was faster
                return
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _version(self) -> tuple[int, int]:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        return application, self._db.execute("PRAGMA user_version").fetchone()[0]

    def _insert(self, records: Sequence[NewRecord]) -> list[int]:
        ends: dict[tuple[str, int], tuple[int, int]] = {}
        offsets, rows = [], []
        for record in records:
            where = (record.topic, record.partition)
            known = ends.get(where)
            if known is None:
                known = self._require(*where).id, self.end_offset(*where)
            topic, offset = known
            ends[where] = topic, offset + 1
            offsets.append(offset)
            headers = _written_headers(record.headers) if record.headers else None
            rows.append((topic, record.partition, offset, record.timestamp_ms, record.key, record.value, headers))
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        return offsets

    def _put_commits(self, group: str, commits: Mapping[tuple[str, int], int]) -> None:
        rows = [(group, self._require(*where).id, where[1], offset) for where, offset in commits.items()]
        self._db.executemany("INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?)", rows)

    def _delete(self, query: str, topic: str, more: Mapping[str, int]) -> int:
        gone = 0
        for partition in range(self._require(topic, 0).partitions):
            with self._transaction():
                where = {"topic": self._topics[topic].id, "partition": partition, **more}
                gone += self._db.execute(query, where | {"last": self.end_offset(topic, partition) - 1}).rowcount
        return gone

    def _extreme(self, function: str, topic: str, partition: int) -> int | None:
        query = f'SELECT {function}("offset") FROM records WHERE topic = ? AND partition = ?'  # noqa: S608 - ours
        with self._speaking_our_errors():
            row = self._db.execute(query, (self._require(topic, partition).id, partition)).fetchone()
        return None if row[0] is None else int(row[0])

    def _require(self, name: str, partition: int) -> Topic:
        topic = self._topics.get(name) or self._find(name)
        if topic is None:
            raise BadConfig(f"topic {name} does not exist in {self.path}: create it first (leverloop topics create)")
        if not 0 <= partition < topic.partitions:
            raise BadConfig(f"topic {name} has partitions 0 to {topic.partitions - 1}, asked for was {partition}")
        return topic

    def _find(self, name: str) -> Topic | None:
        row = self._db.execute(f"{_TOPICS} WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        self._topics[name] = topic = _topic(row)
        return topic

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._speaking_our_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _speaking_our_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _as_ours(error, self.path) from error


_FOR_NOW: Final = {
    sqlite3.SQLITE_BUSY: "another process keeps it locked",
    sqlite3.SQLITE_LOCKED: "another connection keeps it locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk does not answer",
    sqlite3.SQLITE_CANTOPEN: "it is not there, or may not be opened; create it with `leverloop topics create`",
    sqlite3.SQLITE_READONLY: "it may not be written",
}


def _as_ours(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code, without the detail
    if code in _FOR_NOW:
        return Unavailable(f"embedded log {path}: {_FOR_NOW[code]} ({error})")
    if code == sqlite3.SQLITE_NOTADB:
        return BadConfig(f"{path} is no embedded log: name another file")
    return InvariantBroken(f"embedded log {path}: {error}")


def _topic(row: tuple[int, str, int, str]) -> Topic:
    return Topic(id=row[0], name=row[1], partitions=row[2], config=json.loads(row[3]))


def _written_headers(headers: Headers) -> str:
    # Latin-1 maps each byte to the character of the same number: bytes of any kind survive.
    return json.dumps([[name, None if value is None else value.decode("latin-1")] for name, value in headers])


def _read_headers(text: str) -> Headers:
    return tuple((name, None if value is None else value.encode("latin-1")) for name, value in json.loads(text))
