"""Snapshots from the embedded log: one SQLite file, tailed by any number of processes of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord
from leverloop.partitions import partition_of

__all__ = ["EmbeddedFeed"]

_RETRY_AFTER_S: Final = 1.0


class EmbeddedFeed:
    """Feed from the override topic of an embedded log.

    Parameters
    ----------
    path
        File of the log.
    topic
        The compacted topic.
    poll_s
        How often to ask whether the file has changed, in seconds: 3 us a time, so that 20 ms cost nothing
        and a snapshot is here 11 ms after it was written.
    clock_ms
        Wall clock, for the time a record arrived.
    """

    def __init__(
        self,
        path: Path,
        *,
        topic: str = "leverloop.overrides",
        poll_s: float = 0.02,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._path: Final = path
        self._topic: Final = topic
        self._poll_s: Final = poll_s
        self._clock_ms: Final = clock_ms
        self._closed = False

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        """Yield the newest record of each key, in their order, then each newer one, until the feed is closed.

        Parameters
        ----------
        keys
            A module for its snapshots, ``<module>/heartbeat`` for its heartbeats.

        Raises
        ------
        Unavailable
            When the log or its topic is not there yet, or does not answer.
        """
        if self._closed:
            return
        wanted = {key.encode(): key for key in keys}
        with EmbeddedLog(self._path, create=False) as log:
            partitions = self._partitions(log)
            seen = log.data_version()  # asked before reading: what comes in between is read at the next look
            newest: dict[bytes, FeedRecord] = {}
            offsets: dict[int, int] = {}
            for partition in {partition_of(key, partitions) for key in wanted}:
                offsets[partition] = self._newest(log, partition, wanted, newest)
            for key in wanted:
                if key in newest:
                    yield newest[key]
            while not self._closed:
                version = log.data_version()
                if version == seen:
                    await asyncio.sleep(self._poll_s)
                    continue
                for partition, read_from in offsets.items():
                    offset = read_from
                    while records := log.read(self._topic, partition, offset):
                        for record in records:
                            offset = offsets[partition] = record.offset + 1
                            if record.key is not None and record.key in wanted and record.value is not None:
                                yield self._arrived(wanted[record.key], record.offset, record.value)
                seen = version

    async def close(self) -> None:
        """End every `follow` at its next look."""
        self._closed = True

    def _partitions(self, log: EmbeddedLog) -> int:
        found = log.topics().get(self._topic)
        if found is None:
            raise Unavailable(
                f"topic {self._topic} does not exist in {self._path}: leverloop topics create",
                retry_after_s=_RETRY_AFTER_S,
            )
        return found.partitions

    def _newest(
        self, log: EmbeddedLog, partition: int, wanted: Mapping[bytes, str], newest: dict[bytes, FeedRecord]
    ) -> int:
        """Find the newest record of each key, none if there is none or it was deleted; return where to read on."""
        offset = log.earliest_offset(self._topic, partition)
        while records := log.read(self._topic, partition, offset):
            offset = records[-1].offset + 1
            for record in records:
                if record.key is not None and record.key in wanted:
                    newest.pop(record.key, None)
                    if record.value is not None:
                        newest[record.key] = self._arrived(wanted[record.key], record.offset, record.value)
        return offset

    def _arrived(self, key: str, offset: int, value: bytes) -> FeedRecord:
        return FeedRecord(key=key, value=value, offset=offset, received_at_ms=self._clock_ms())
