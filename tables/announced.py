"""State of the announced table: what stands for each module, what waits, and what is kept (`learning.publishing`)."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from learning.publishing import Published
from leverloop.heartbeat import Heartbeat
from leverloop.patterns import Module
from leverloop.snapshot import Snapshot, encode_snapshot
from tables.catalogue import ANNOUNCED
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["AnnouncedState", "stored_announced"]

_FAST: Final = 1  # of zlib: a tenth of the size at a quarter of the time of the default


class _First(msgspec.Struct, frozen=True):
    """Version 1: what was announced last, without its content."""

    version: int
    content_hash: str
    epoch_at_ms: int


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Version 2: snapshots as JSON in zlib, so that three of the largest fit into a record of the changelog."""

    offset: int
    version: int
    standing: bytes | None
    newest: bytes | None
    """None, too, where it is what stands."""
    newest_stands: bool
    pinned: bytes | None
    killed: bool
    refusal: str
    commands: tuple[str, ...]
    kept: tuple[tuple[int, int], ...]
    refused: str = ""


_FIRST: Final = Encoding(1, _First)
_ENCODING: Final = Encoding(ANNOUNCED.version, _Stored)
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)


def stored_announced(published: Published) -> bytes:
    """Bytes of the record of a module; its key is the module."""
    stands = published.newest is not None and published.newest == published.standing
    return _ENCODING.encode(
        _Stored(
            offset=published.offset,
            version=published.version,
            standing=_packed(published.standing),
            newest=None if stands else _packed(published.newest),
            newest_stands=stands,
            pinned=_packed(published.pinned),
            killed=published.killed,
            refusal=published.refusal,
            commands=published.commands,
            kept=tuple(published.kept.items()),
            refused=published.refused,
        )
    )


def _read(value: bytes) -> Published:
    """State of a module from its record, of any version."""
    if value[:1] == b"\x01":
        return Published(version=_FIRST.decode(value).version)
    stored = _ENCODING.decode(value)
    standing = _unpacked(stored.standing)
    return Published(
        offset=stored.offset,
        version=stored.version,
        standing=standing,
        newest=standing if stored.newest_stands else _unpacked(stored.newest),
        pinned=_unpacked(stored.pinned),
        killed=stored.killed,
        refusal=stored.refusal,
        commands=stored.commands,
        kept=dict(stored.kept),
        refused=stored.refused,
    )


def _packed(snapshot: Snapshot | None) -> bytes | None:
    return None if snapshot is None else zlib.compress(encode_snapshot(snapshot), _FAST)


def _unpacked(packed: bytes | None) -> Snapshot | None:
    return None if packed is None else _SNAPSHOT.decode(zlib.decompress(packed))


class AnnouncedState(PartitionState):
    """What is published of each module."""

    def __init__(self) -> None:
        self.modules: dict[str, Published] = {}

    def __len__(self) -> int:
        return len(self.modules)

    def of(self, module: str) -> Published:
        """What is known of a module; nothing, at first."""
        return self.modules.get(module, Published())

    def heartbeats(self, valid_until_ms: int) -> list[tuple[Module, Heartbeat]]:
        """Heartbeat of every module of which something stands."""
        standing = [each.standing for each in self.modules.values() if each.standing is not None]
        return [
            (s.module, Heartbeat(version=s.version, content_hash=s.content_hash, valid_until_ms=valid_until_ms))
            for s in standing
        ]

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is not None:
            self.modules[key.decode()] = _read(value)
