"""What waits to be written to the embedded log: one first-in first-out queue, one transaction per flush."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from faust.types import TP, FutureMessage, RecordMetadata

from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import LeverloopError

__all__ = ["Outbox"]

_FULL: Final = 500  # records that are written at once, without waiting for more: 4 ms of work, a fifth of it fsync


class Outbox:
    """Records and commits on their way into the log, in the order in which they were put.

    A commit is in the same queue, and so never on disk before a record that was put before it. Writing
    happens on the event loop: a thread would fight for the interpreter and wake for tiny batches, which
    costs more than the loop loses to an fsync. Nothing is retried: who cannot write ends.

    Parameters
    ----------
    log
        The open log; only the loop's thread uses it.
    linger_s
        How long a record waits for company, in seconds.
    on_written
        Called with the partitions that have new records.
    on_failed
        Called with the error after which nothing can be written any more.
    """

    def __init__(
        self,
        log: EmbeddedLog,
        *,
        linger_s: float,
        on_written: Callable[[set[TP]], None],
        on_failed: Callable[[LeverloopError], None],
    ) -> None:
        self._log: Final = log
        self._linger_s: Final = linger_s
        self._on_written: Final = on_written
        self._on_failed: Final = on_failed
        self._loop: Final = asyncio.get_running_loop()
        self._records: list[NewRecord] = []
        self._promises: list[asyncio.Future[Any]] = []
        self._commits: dict[tuple[str, int], int] = {}
        self._group = ""
        self._waiting_commits: list[asyncio.Future[None]] = []
        self._timer: asyncio.Handle | None = None

    def send(self, record: NewRecord, promise: asyncio.Future[Any]) -> None:
        """Put a record; the promise is kept, with its RecordMetadata, when it is on disk."""
        self._records.append(record)
        self._promises.append(promise)
        if self._timer is None:
            self._timer = self._loop.call_later(self._linger_s, self.write)
        elif len(self._records) == _FULL:
            self._soon()

    def commit(self, group: str, offsets: Mapping[TP, int]) -> asyncio.Future[None]:
        """Put a commit; the future is done when it is on disk."""
        self._group = group
        self._commits.update(offsets)
        done = self._loop.create_future()
        self._waiting_commits.append(done)
        self._soon()
        return done

    def write(self) -> None:
        """Write all that was put until now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._records = self._records, []
        promises, self._promises = self._promises, []
        commits, self._commits = self._commits, {}
        waiting, self._waiting_commits = self._waiting_commits, []
        if not records and not waiting:
            return
        try:
            offsets = self._log.append(records, group=self._group, commits=commits)
        except LeverloopError as error:
            self._break([*promises, *waiting], error)
            return
        for record, offset, promise in zip(records, offsets, promises, strict=True):
            _keep(promise, record, offset)
        for done in waiting:
            if not done.done():
                done.set_result(None)
        self._on_written({TP(record.topic, record.partition) for record in records})

    def _soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_soon(self.write)

    def _break(self, promises: list[asyncio.Future[Any]], error: LeverloopError) -> None:
        for promise in promises:
            if not promise.done():
                promise.set_exception(error)
                promise.exception()  # seen: told once, by `on_failed`
        self._on_failed(error)


def _keep(promise: asyncio.Future[Any], record: NewRecord, offset: int) -> None:
    if promise.done():
        return
    where = TP(record.topic, record.partition)
    promise.set_result(
        RecordMetadata(
            topic=record.topic,
            partition=record.partition,
            topic_partition=where,
            offset=offset,
            timestamp=record.timestamp_ms / 1000,
            timestamp_type=0,
        )
    )
    if isinstance(promise, FutureMessage) and promise.message.callback is not None:
        promise.message.callback(promise)  # the table notes the offset of its changelog record
