"""Outcomes of a replay as a file, and the decision they were last mined by: what `leverloop stats --replay` reads.

The records are those of the outcome table, key and value, so that one reader takes them from a changelog and
from a file. Framing of ``outcomes.records``: a line that names the format and its version; then for each
record two 32-bit little-endian lengths, the key and the value; at the end two lengths of 0. A file without
that end was cut off.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from app.version import ENGINE_VERSION
from learning.findings import Decided
from learning.parameters import Parameters
from leverloop.errors import BadConfig
from leverloop.scope import ScopeSchema

__all__ = ["LastDecision", "read_decision", "read_records", "write_decision", "write_records"]

OutcomeRecord = tuple[bytes, bytes]

_RECORDS: Final = "outcomes.records"
_DECISION: Final = "decided.json"
_HEADER: Final = b"leverloop outcome records, version 1\n"
_LENGTHS: Final = struct.Struct("<II")
_BUFFER_BYTES: Final = 1024 * 1024
_AGAIN: Final = "run the replay again with this release"


class LastDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Which rules a replay went by, and what its book decided last (None: it closed no epoch)."""

    version: Literal[1] = 1
    engine_version: str = ENGINE_VERSION
    parameters: Parameters
    scope_schema: ScopeSchema
    decided: Decided | None


def write_records(folder: Path, records: Iterable[OutcomeRecord]) -> int:
    """Write the records of a replay's outcomes; return how many. A file from before stands until all are written.

    Parameters
    ----------
    folder
        The replay's output.
    records
        Key and value of each outcome; neither is ever empty.
    """
    path, unfinished = folder / _RECORDS, folder / f"{_RECORDS}.unfinished"
    count = 0
    with unfinished.open("wb", buffering=_BUFFER_BYTES) as file:
        file.write(_HEADER)
        for key, value in records:
            file.write(_LENGTHS.pack(len(key), len(value)) + key + value)
            count += 1
        file.write(_LENGTHS.pack(0, 0))
    unfinished.replace(path)
    return count


def read_records(folder: Path) -> Iterator[OutcomeRecord]:
    """Yield the records of a replay's outcomes.

    Raises
    ------
    BadConfig
        For a file that is missing, of another version, or cut off.
    """
    path = folder / _RECORDS
    with _opened(path) as file:
        header = file.readline(len(_HEADER))
        if header != _HEADER:
            raise BadConfig(f"{path}: expected {_HEADER!r} at its start, was {header!r}; {_AGAIN}")
        while len(lengths := file.read(_LENGTHS.size)) == _LENGTHS.size:
            key_bytes, value_bytes = _LENGTHS.unpack(lengths)
            if not key_bytes:
                return
            record = file.read(key_bytes + value_bytes)
            if len(record) < key_bytes + value_bytes:
                break
            yield record[:key_bytes], record[key_bytes:]
    raise BadConfig(f"{path}: cut off, its end is missing; {_AGAIN}")


def write_decision(folder: Path, last: LastDecision) -> None:
    """Write the decision that a replay ended with."""
    (folder / _DECISION).write_bytes(msgspec.json.encode(last, order="sorted") + b"\n")


def read_decision(folder: Path) -> LastDecision:
    """Read the decision that a replay ended with.

    Raises
    ------
    BadConfig
        For a file that is missing or of another version.
    """
    path = folder / _DECISION
    with _opened(path) as file:
        raw = file.read()
    try:
        return msgspec.json.decode(raw, type=LastDecision)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}; {_AGAIN}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadConfig(
            f"{path}: {error.strerror}; --replay takes the folder that `leverloop replay jsonl DIR --out` has written"
        ) from error
