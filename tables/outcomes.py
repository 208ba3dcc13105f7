"""State of a partition of the outcome table, and of the epochs table beside it.

One record per outcome (key: its id). The columns of the groups are read from the records, one by one as
they are written, and by the thousand when a changelog is recovered.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from learning.findings import Decided
from learning.outcome import Outcome
from learning.packing import Joined, PackedRows
from learning.partition import OutcomesPartition
from learning.progress import Passed, Progress
from learning.rows import FIXED, LENGTHS, Row, packed, row_of, unpacked
from leverloop.errors import InvariantBroken
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema
from tables.catalogue import EPOCHS, OUTCOMES
from tables.checksums import crc32_of_each
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["DECIDED_KEY", "EpochsState", "OutcomesState", "read_outcome", "stored_outcome", "stored_progress"]

DECIDED_KEY: Final = b"<decided>"


class _StoredOutcome(msgspec.Struct, frozen=True):
    """Version 1: an outcome as it stands on the topic, and the epoch from which it counts."""

    counts_from_ms: int
    outcome: Outcome


_FIRST_OUTCOME: Final = Encoding(1, _StoredOutcome)
_PROGRESS: Final[Encoding[Passed | Decided]] = Encoding(
    EPOCHS.version,
    Passed | Decided,  # type: ignore[arg-type]
)
_HEAD: Final = struct.Struct("<BI")
"""Version, and CRC-32 of what follows it: the packed row."""
_HEADS: Final = np.dtype([("version", "u1"), ("checksum", "<u4")])
_LEAST_BYTES: Final = _HEAD.size + LENGTHS.size + FIXED.itemsize


def stored_outcome(row: Row) -> bytes:
    """Bytes of an outcome's record; its key is its id."""
    sections = packed(row)
    return _HEAD.pack(OUTCOMES.version, crc32(sections)) + sections


def read_outcome(key: bytes, value: bytes, schema: ScopeSchema = DEFAULT_SCHEMA) -> Row:
    """Row of an outcome's record.

    Raises
    ------
    InvariantBroken
        If it is of another version, or damaged.
    """
    return unpacked(key, _sound(key, value, schema)[_HEAD.size :])


def _sound(key: bytes, value: bytes, schema: ScopeSchema) -> bytes:
    """Return a record as this version writes it.

    The sections are read by compiled code that trusts their lengths: nothing damaged may reach it.
    """
    if not value or value[0] != OUTCOMES.version:
        first = _FIRST_OUTCOME.decode(value)
        return stored_outcome(row_of(first.outcome, first.counts_from_ms, schema))
    sound = len(value) >= _LEAST_BYTES and _HEAD.unpack_from(value)[1] == crc32(memoryview(value)[_HEAD.size :])
    if not sound:
        raise InvariantBroken(f"outcome {key!r}: a damaged value in the table, of {len(value)} bytes")
    return value


def _are_sound(values: Joined) -> npt.NDArray[np.bool_]:
    """Which records are sound ones of this version: (n,) bool."""
    sound = values.ends - values.begins >= _LEAST_BYTES
    heads = values.begins[sound][:, None] + np.arange(_HEAD.size)
    versions_and_checksums = values.buffer[heads].view(_HEADS)[:, 0]
    checksums = crc32_of_each(values.buffer, values.begins[sound] + _HEAD.size, values.ends[sound])
    sound[sound] = (versions_and_checksums["version"] == OUTCOMES.version) & (
        versions_and_checksums["checksum"] == checksums
    )
    return sound


def stored_progress(value: Passed | Decided) -> bytes:
    """Bytes of a record of the epochs table."""
    return _PROGRESS.encode(value)


class OutcomesState(PartitionState):
    """The outcome table's half of a partition."""

    def __init__(self, view: OutcomesPartition) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            self.view.remove(key.decode())
        else:
            self.view.put_row(read_outcome(key, value, self.view.schema))

    def load(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Take many records in their order; of a key only the last one counts."""
        last = dict(records)
        values = {key: value for key, value in last.items() if value is not None}
        self.view.load(PackedRows(Joined.of(list(values)), self._sound(values), _HEAD.size))
        for key in last.keys() - values.keys():
            self.view.remove(key.decode())

    def recovered(self) -> None:
        """Build what is only kept in memory, now that all records are there, on every core: nothing else runs yet."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self.view.promote(pool.map)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every outcome held as the record it is."""
        for row in self.view.rows():
            yield row.outcome_id, stored_outcome(row)

    def _sound(self, values: dict[bytes, bytes]) -> Joined:
        """Join records; those that are not sound records of this version are seen to one by one."""
        joined = Joined.of(list(values.values()))
        suspects = np.flatnonzero(~_are_sound(joined)).tolist()
        if not suspects:
            return joined
        of_this_version = list(values.items())
        for at in suspects:
            key, value = of_this_version[at]
            of_this_version[at] = key, _sound(key, value, self.view.schema)
        return Joined.of([value for _, value in of_this_version])


class EpochsState(PartitionState):
    """The epochs table's half of a partition."""

    def __init__(self) -> None:
        self.progress = Progress()

    def __len__(self) -> int:
        return len(self.progress.inputs) + (self.progress.decided is not None)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            return
        record = _PROGRESS.decode(value)
        if isinstance(record, Decided):
            self.progress = msgspec.structs.replace(self.progress, decided=record)
        else:
            inputs = self.progress.inputs | {key.decode(): record}
            self.progress = msgspec.structs.replace(self.progress, inputs=inputs)
