"""State of the announced table: which snapshot of each module was announced last."""

from __future__ import annotations

from typing import Final

import msgspec

from leverloop.snapshot import Snapshot
from tables.catalogue import ANNOUNCED
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["AnnouncedState", "stored_announced"]


class _Announced(msgspec.Struct, frozen=True):
    version: int
    content_hash: str
    epoch_at_ms: int


_ENCODING: Final = Encoding(ANNOUNCED.version, _Announced)


def stored_announced(snapshot: Snapshot) -> bytes:
    """Bytes of the record of an announced snapshot."""
    return _ENCODING.encode(_Announced(snapshot.version, snapshot.content_hash, snapshot.epoch_at_ms))


class AnnouncedState(PartitionState):
    """Newest announced version per module."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.versions)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is not None:
            self.versions[key.decode()] = _ENCODING.decode(value).version
