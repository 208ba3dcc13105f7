"""Events to the embedded log: buffered in memory, appended in batches by a thread of their own.

1. `log_action` and `log_trade` put a record into the buffer and return.
2. A task hands the oldest records to the thread, which appends them in one transaction: one fsync a batch.
3. A record leaves the buffer when its batch is on disk; a batch that failed is there not at all, and is tried again.
4. What is in the buffer when the process dies is lost: `flush` says when that cannot happen any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog, NewRecord, Topic
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.errors import BadConfig, InvariantBroken, Unavailable
from leverloop.events import ActionLogged, TradeClosed, encode
from leverloop.partitions import partition_of

__all__ = ["EmbeddedEmitter"]

_BATCH_RECORDS: Final = 500  # an fsync a batch; more would keep other writers waiting for longer
_RETRY_S: Final = 0.1  # the log itself has waited for its lock already
Answer = TypeVar("Answer")


class EmbeddedEmitter:
    """Emitter to an embedded log; belongs to one event loop, all methods are called on its thread.

    Parameters
    ----------
    path
        File of the log.
    actions_topic, trades_topic
        Topics, which exist.
    buffer_records
        How many records may wait for the disk.
    flush_timeout_s
        How long `flush` waits.
    clock_ms
        Wall clock, for the time of a record.
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
    ) -> None:
        self._path: Final = path
        self._actions_topic: Final = actions_topic
        self._trades_topic: Final = trades_topic
        self._buffer_records: Final = buffer_records
        self._flush_timeout_s: Final = flush_timeout_s
        self._clock_ms: Final = clock_ms
        self._partitions: dict[str, int] = {}
        self._buffer: Final[deque[NewRecord]] = deque()
        self._logged = 0
        self._durable = 0
        self._work: Final = asyncio.Event()
        self._progress: Final = asyncio.Event()
        self._trouble = ""
        self._thread: ThreadPoolExecutor | None = None
        self._log: EmbeddedLog | None = None
        self._writer: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many records are not on disk."""
        return len(self._buffer)

    def log_action(self, action: ActionLogged) -> None:
        """Take an action; `Unavailable` when the buffer is full, `BadInput` for one that breaks its contract."""
        self._take(self._actions_topic, action.trade_id, encode(action))

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        self._take(self._trades_topic, trade.trade_id, encode(trade))

    async def flush(self) -> None:
        """Return when everything taken so far is on disk.

        Raises
        ------
        Unavailable
            After `flush_timeout_s`, with the number of records that are not. They are tried on.
        """
        until = self._logged
        try:
            async with asyncio.timeout(self._flush_timeout_s):
                while self._durable < until:
                    self._check_writer()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError as error:
            raise Unavailable(
                f"{self.waiting} records are not in {self._path} after {self._flush_timeout_s} s "
                f"({self._trouble or 'no answer'})"
            ) from error

    async def close(self) -> None:
        """Flush, then give up the file; raises what `flush` raises, and nothing is kept after it."""
        if self._writer is None:
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

    def _take(self, topic: str, trade_id: str, value: bytes) -> None:
        self._check_writer()
        if len(self._buffer) >= self._buffer_records:
            raise Unavailable(
                f"buffer full: {self.waiting} records wait for {self._path} ({self._trouble or 'no answer'})"
            )
        key = trade_id.encode()
        self._buffer.append(
            NewRecord(
                topic=topic,
                partition=partition_of(key, self._partitions[topic]),
                key=key,
                value=value,
                timestamp_ms=self._clock_ms(),
            )
        )
        self._logged += 1
        self._work.set()

    async def _write(self, log: EmbeddedLog) -> None:
        while True:
            self._work.clear()
            while self._buffer:
                batch = list(islice(self._buffer, _BATCH_RECORDS))
                try:
                    await self._in_thread(lambda records=batch: log.append(records))  # type: ignore[misc]
                except Unavailable as error:
                    self._trouble = str(error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                for _ in batch:
                    self._buffer.popleft()
                self._durable += len(batch)
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

    def _check_writer(self) -> None:
        if self._writer is None:
            raise InvariantBroken("the emitter is not open: use it as a context manager")
        if self._writer.done():
            raise InvariantBroken("the emitter's task has ended") from self._writer.exception()
