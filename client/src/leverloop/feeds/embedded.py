"""Snapshots from the embedded log: one SQLite file, tailed by any number of processes of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog, Record
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

    async def follow(self, module: str) -> AsyncIterator[FeedRecord]:
        """Yield the newest record of a key, then each newer one, until the feed is closed.

        Parameters
        ----------
        module
            The key: a module for its snapshots.

        Raises
        ------
        Unavailable
            When the log or its topic is not there yet, or does not answer.
        """
        key = module.encode()
        with EmbeddedLog(self._path, create=False) as log:
            partition = partition_of(key, self._partitions(log))
            seen = log.data_version()  # asked before reading: what comes in between is read at the next look
            newest, offset = self._newest(log, partition, key)
            if newest is not None:
                yield newest
            while not self._closed:
                version = log.data_version()
                if version == seen:
                    await asyncio.sleep(self._poll_s)
                    continue
                while records := log.read(self._topic, partition, offset):
                    for record in records:
                        offset = record.offset + 1
                        if record.key == key and record.value is not None:
                            yield self._arrived(record, record.value)
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

    def _newest(self, log: EmbeddedLog, partition: int, key: bytes) -> tuple[FeedRecord | None, int]:
        """Newest record of the key, None if there is none or it was deleted; and where to read on."""
        newest = None
        offset = log.earliest_offset(self._topic, partition)
        while records := log.read(self._topic, partition, offset):
            offset = records[-1].offset + 1
            for record in (record for record in records if record.key == key):
                newest = None if record.value is None else self._arrived(record, record.value)
        return newest, offset

    def _arrived(self, record: Record, value: bytes) -> FeedRecord:
        return FeedRecord(value=value, offset=record.offset, received_at_ms=self._clock_ms())
