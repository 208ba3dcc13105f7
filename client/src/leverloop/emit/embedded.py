"""Events to the embedded log: buffered in memory, appended in batches by a thread of their own.

The log is a file on this disk: there is no broker to wait for, only other writers, for milliseconds.

1. `log_action` and `log_trade` put a record into the buffer and return.
2. A task hands the oldest records to the thread, which appends them in one transaction: one fsync a batch.
3. A record leaves the buffer when its batch is on disk; a batch that failed is there not at all, and is tried again.
4. What is in the buffer when the process dies is lost: `flush` says when that cannot happen any more.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog, NewRecord, Topic
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC, EmitterStatus
from leverloop.emit.admission import Admission
from leverloop.errors import BadConfig, InvariantBroken, Unavailable
from leverloop.events import ActionLogged, TradeClosed
from leverloop.partitions import partition_of
from leverloop.scope import ScopeSchema

__all__ = ["EmbeddedEmitter"]

_BATCH_RECORDS: Final = 500  # an fsync a batch; more would keep other writers waiting for longer
_RETRY_S: Final = 0.1  # the log itself has waited for its lock already
Answer = TypeVar("Answer")


class EmbeddedEmitter:
    """Emitter to an embedded log: opened, flushed and closed in one event loop; any thread may log.

    Parameters
    ----------
    path
        File of the log.
    actions_topic, trades_topic
        Topics, which exist.
    buffer_records
        How many records may wait for the disk.
    flush_timeout_s
        How long `flush` and `close` wait.
    clock_ms
        Wall clock, for the time of a record.
    schema
        Scope schema that actions are checked against, that of the engine; None: the one that is shipped.
    """

    def __init__(
        self,
        path: Path,
        *,
        actions_topic: str = ACTIONS_TOPIC,
        trades_topic: str = TRADES_TOPIC,
        buffer_records: int = 100_000,
        flush_timeout_s: float = 30.0,
        clock_ms: Callable[[], int] = now_ms,
        schema: ScopeSchema | None = None,
    ) -> None:
        self._path: Final = path
        self._actions_topic: Final = actions_topic
        self._trades_topic: Final = trades_topic
        self._buffer_records: Final = buffer_records
        self._flush_timeout_s: Final = flush_timeout_s
        self._clock_ms: Final = clock_ms
        self._admission: Final = Admission(schema)
        self._partitions: dict[str, int] = {}
        self._buffer: Final[deque[NewRecord]] = deque()
        self._taking: Final = threading.Lock()
        self._taken_count = self._untaken_count = self._sent_count = 0
        self._work: Final = asyncio.Event()
        self._progress: Final = asyncio.Event()
        self._trouble = ""
        self._thread: ThreadPoolExecutor | None = None
        self._log: EmbeddedLog | None = None
        self._writer: asyncio.Task[None] | None = None
        self._pid = 0

    def log_action(self, action: ActionLogged) -> None:
        """Take an action; `Unavailable` when the buffer is full, `BadInput` for one that breaks its contract."""
        at_ms = self._clock_ms()
        self._take(self._actions_topic, action.trade_id, self._admission.action(action, logged_at_ms=at_ms), at_ms)

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        at_ms = self._clock_ms()
        self._take(self._trades_topic, trade.trade_id, self._admission.trade(trade, logged_at_ms=at_ms), at_ms)

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything taken so far is on disk.

        Parameters
        ----------
        timeout_s
            How long to wait, in seconds; None: `flush_timeout_s`.

        Raises
        ------
        Unavailable
            After that time, with the number of events that are not. They are tried on.
        """
        self._check_writer()
        until = self._taken_count
        patience_s = self._flush_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(patience_s):
                while self._sent_count < until:
                    self._check_writer()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError as error:
            raise Unavailable(
                f"{len(self._buffer)} events are not in {self._path} after {patience_s} s "
                f"({self._trouble or 'no answer'})"
            ) from error

    def status(self) -> EmitterStatus:
        """Counters and trouble; from any thread, and after `close` as it ended."""
        return EmitterStatus(
            taken_count=self._taken_count,
            untaken_count=self._untaken_count,
            sent_count=self._sent_count,
            waiting_count=self._taken_count - self._sent_count,
            connected=self._log is not None,
            trouble=self._trouble,
        )

    async def close(self) -> None:
        """Flush, then give up the file; raises what `flush` raises, and nothing is kept after it.

        In the child of a fork nothing is waited for: what is there is the parent's.
        """
        if self._writer is None:
            return
        if self._pid != os.getpid():
            self._writer = None
            return
        try:
            await self.flush()
        finally:
            writer, self._writer = self._writer, None
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._give_up()

    async def __aenter__(self) -> Self:
        """Open the log.

        Raises
        ------
        Unavailable
            When the file is not there.
        BadConfig
            When a topic does not exist.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leverloop emitter")
        try:
            self._log = await self._in_thread(lambda: EmbeddedLog(self._path, create=False))
            self._partitions = self._required(await self._in_thread(self._log.topics))
        except BaseException:
            await self._give_up()
            raise
        self._pid = os.getpid()
        self._writer = asyncio.create_task(self._write(self._log), name="leverloop emitter")
        self._writer.add_done_callback(lambda _: self._progress.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        await self.close()

    def _required(self, topics: Mapping[str, Topic]) -> dict[str, int]:
        missing = [name for name in (self._actions_topic, self._trades_topic) if name not in topics]
        if missing:
            raise BadConfig(f"topics {', '.join(missing)} do not exist in {self._path}: leverloop topics create")
        return {name: topic.partitions for name, topic in topics.items()}

    def _take(self, topic: str, trade_id: str, value: bytes, at_ms: int) -> None:
        loop = self._check_writer()
        key = trade_id.encode()
        record = NewRecord(
            topic=topic,
            partition=partition_of(key, self._partitions[topic]),
            key=key,
            value=value,
            timestamp_ms=at_ms,
        )
        with self._taking:
            if len(self._buffer) >= self._buffer_records:
                self._untaken_count += 1
                raise Unavailable(
                    f"buffer full: {len(self._buffer)} events wait for {self._path}, the limit is "
                    f"{self._buffer_records} (buffer_records); they go when it answers ({self._trouble or 'it does'})"
                )
            self._buffer.append(record)
            self._taken_count += 1
            first = len(self._buffer) == 1
        if first:  # else the writer has not come to its end
            loop.call_soon_threadsafe(self._work.set)

    async def _write(self, log: EmbeddedLog) -> None:
        while True:
            self._work.clear()
            while self._buffer:
                with self._taking:
                    batch = list(islice(self._buffer, _BATCH_RECORDS))
                try:
                    await self._in_thread(lambda records=batch: log.append(records))  # type: ignore[misc]
                except Unavailable as error:
                    self._trouble = str(error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                for _ in batch:
                    self._buffer.popleft()
                self._sent_count += len(batch)
                self._trouble = ""
                self._progress.set()
            await self._work.wait()

    async def _in_thread(self, call: Callable[[], Answer]) -> Answer:
        # SQLite's connection belongs to the thread that made it: always this one.
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _give_up(self) -> None:
        log, thread, self._log, self._thread = self._log, self._thread, None, None
        if thread is not None:
            if log is not None:
                await asyncio.get_running_loop().run_in_executor(thread, log.close)
            thread.shutdown()

    def _check_writer(self) -> asyncio.AbstractEventLoop:
        if self._writer is None:
            raise InvariantBroken("the emitter is not open: use it as a context manager")
        if self._pid != os.getpid():
            raise InvariantBroken(f"{self._path}: opened before a fork: open an emitter in each process")
        if self._writer.done():
            raise InvariantBroken("the emitter's task has ended") from self._writer.exception()
        return self._writer.get_loop()
