"""From the buffer to the brokers: in order, acknowledged by all in-sync replicas, through every outage.

1. A task reads the buffer and hands events to an idempotent producer, which retries until the brokers have them,
   once and in order within a partition.
2. An event leaves the buffer when it is acknowledged and all before it are.
3. A producer that reports an error has failed for good: being idempotent, it retries what can be retried. So has one
   that got no acknowledgement for `stall_timeout_s`: brokers may have moved to addresses that it does not know. It is
   replaced, and what was in flight is sent again, oldest first. It may be there twice then, with the same id.
4. An event that is too large for its topic would be refused for ever. Those of the batch that was refused are sent
   one by one; what is refused alone is written to a file beside the buffer, and the others go on. When that file is
   full, or cannot be written, the event stays in the buffer, and what comes after it waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)

from leverloop.emit.buffer import DiskBuffer
from leverloop.emit.frame import Frame
from leverloop.emit.refused import set_aside
from leverloop.errors import BadConfig, InvariantBroken, Unavailable
from leverloop.partitions import partition_of

__all__ = ["KafkaDelivery"]

_REQUEST_TIMEOUT_MS: Final = 10_000
_LINGER_MS: Final = 5  # a close is worth nothing in 5 ms, and a hundred records in one request are
_BATCH_BYTES: Final = 256 * 1024
_MOST_IN_FLIGHT: Final = 5_000  # 3 MB of memory; a request takes some hundreds
_TOPIC_WITHIN_S: Final = 3.0  # a topic just created is not known to every broker at once
_BACKOFF_S: Final = (0.1, 5.0)
_POLL_S: Final = 0.05
_DISCARD_S: Final = 1.0  # for answers that are on their way
_SYNC_S: Final = 0.5  # what waits for longer than that is on the disk itself
_QUIET_S: Final = 2.0  # brokers answer in milliseconds; a new leader takes a second
_NEVER: Final = (MessageSizeTooLargeError, RecordListTooLargeError, CorruptRecordException)

_LOG: Final = logging.getLogger("leverloop.emit")


class KafkaDelivery:
    """Delivery of one buffer; belongs to one event loop, only `wake` may be called by other threads.

    Parameters
    ----------
    addresses
        ``host:port`` of brokers to begin with.
    topics
        Topic of each kind of event.
    buffer
        Where events wait; opened and closed by the caller.
    stall_timeout_s
        How long to wait for an acknowledgement before everything is connected anew.
    """

    def __init__(
        self, addresses: Sequence[str], topics: Mapping[int, str], buffer: DiskBuffer, *, stall_timeout_s: float
    ) -> None:
        self.trouble = ""
        """What keeps events from being sent; nothing if they are."""
        self.sent_count = 0
        self.refused_count = 0
        self._addresses: Final = list(addresses)
        self._topics: Final = topics
        self._buffer: Final = buffer
        self._stall_timeout_s: Final = stall_timeout_s
        self._waiting: Final[deque[Frame]] = deque()
        self._in_flight: Final[dict[int, Frame]] = {}
        self._suspects: Final[set[int]] = set()
        self._work: Final = asyncio.Event()
        self._progress: Final = asyncio.Event()
        self._loop: Final = asyncio.get_running_loop()
        self._asleep = False
        self._advancing = False
        self._acknowledged_at_s = 0.0
        self._producer: Any = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether there is a producer; its brokers may have gone since."""
        return self._producer is not None

    @property
    def place(self) -> str:
        """The brokers' addresses."""
        return ", ".join(self._addresses)

    async def start(self, timeout_s: float) -> None:
        """Connect, or go on trying in the background.

        Raises
        ------
        BadConfig
            When brokers answer, and a topic does not exist.
        """
        producer = None
        try:
            async with asyncio.timeout(timeout_s):
                producer = await self._connected()
        except Unavailable as error:
            self._say(str(error))
        except TimeoutError:
            self._say(f"Kafka at {self.place} does not answer within {timeout_s} s")
        work = (self._run(producer), self._sync_now_and_then(), self._watch())
        self._tasks = [asyncio.create_task(each, name="leverloop emitter") for each in work]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._progress.set())
        await asyncio.sleep(0)  # let them begin: a task cancelled before that would not give up the producer

    async def stop(self) -> None:
        """Give up connections; what was not acknowledged stays in the buffer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._advance()

    def wake(self) -> None:
        """Say that there is something in the buffer; from any thread."""
        if self._asleep:
            self._asleep = False
            self._loop.call_soon_threadsafe(self._work.set)

    async def reached(self, number: int) -> None:
        """Return when all events below a number are acknowledged, or refused for good."""
        while self._done() < number:
            self.check()
            self._progress.clear()
            await self._progress.wait()

    def check(self) -> None:
        """Raise InvariantBroken if a task has ended that never ends."""
        for task in self._tasks:
            if task.done():
                raise InvariantBroken("the emitter's task has ended") from (
                    None if task.cancelled() else task.exception()
                )

    async def _run(self, producer: Any) -> None:
        backoff_s, longest_s = _BACKOFF_S
        while True:
            while producer is None:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, longest_s)
                try:
                    producer = await self._connected()
                except (Unavailable, BadConfig) as error:
                    self._say(str(error))
            sent_before = self.sent_count
            try:
                await self._hand_over(producer)
            finally:
                self._producer = None
                await _discard(producer)
            self._waiting.extendleft(reversed(self._in_flight.values()))
            self._in_flight.clear()
            producer = None
            if self.sent_count > sent_before:
                backoff_s = _BACKOFF_S[0]

    async def _hand_over(self, producer: Any) -> None:
        """Hand events to the producer, in order, until it has failed for good."""
        self._producer = producer
        if not self._waiting and self._buffer.read_to == self._buffer.end:
            self._say("")  # else an acknowledgement says so
        while self._producer is producer:
            await self._until(lambda: len(self._in_flight) < _MOST_IN_FLIGHT, producer)
            try:
                frame = await self._next_frame()
            except Unavailable as error:
                self._say(str(error))
                await asyncio.sleep(error.retry_after_s)
            else:
                if frame is not None and self._producer is producer:
                    await self._hand(producer, frame)

    async def _next_frame(self) -> Frame | None:
        if not self._waiting:
            self._work.clear()
            self._asleep = True  # before looking: who appends after the look sees it
            self._waiting.extend(self._buffer.read())
        if not self._waiting:
            await self._work.wait()
            return None
        self._asleep = False
        return self._waiting[0]

    async def _hand(self, producer: Any, frame: Frame) -> None:
        alone = frame.number in self._suspects
        if alone:
            await self._until(lambda: not self._in_flight, producer)
            if self._producer is not producer:
                return
        try:
            sent = await producer.send(self._topics[frame.kind], frame.value, key=frame.key)
        except (KafkaTimeoutError, UnknownTopicOrPartitionError) as error:
            self._say(f"Kafka at {self.place}: {error!r}")  # its buffer is full, or the topic is gone: the same again
            return
        except KafkaError as error:
            self._failed(error)
            return
        if not self._in_flight:
            self._acknowledged_at_s = self._loop.time()
        self._waiting.popleft()
        self._in_flight[frame.number] = frame
        sent.add_done_callback(self._settler(producer, frame, alone=alone))
        if alone:
            await self._until(lambda: frame.number not in self._in_flight, producer)

    def _settler(self, producer: Any, frame: Frame, *, alone: bool) -> Callable[[asyncio.Future[Any]], None]:
        def settle(sent: asyncio.Future[Any]) -> None:
            error = sent.exception()
            if error is None:
                if self._in_flight.pop(frame.number, None) is not None:  # else taken back: it is sent twice
                    self.sent_count += 1
                    self._settled(frame)
                return
            trouble = ""
            if isinstance(error, _NEVER):
                if alone and frame.number in self._in_flight:
                    trouble = self._refused(frame, error)
                else:
                    self._suspects.add(frame.number)
            if producer is self._producer:
                self._failed(error, trouble)

        return settle

    def _settled(self, frame: Frame) -> None:
        self._suspects.discard(frame.number)
        self._acknowledged_at_s = self._loop.time()
        if not self._advancing:  # once for all that a request has brought
            self._advancing = True
            self._loop.call_soon(self._advance)
        self._say("")

    def _refused(self, frame: Frame, error: BaseException) -> str:
        """Set an event aside; say why that cannot be, if it cannot: it is tried again then."""
        line = {"reason": repr(error), "topic": self._topics[frame.kind], "event": msgspec.Raw(frame.value)}
        path = self._buffer.directory / "refused.jsonl"
        try:
            set_aside(path, msgspec.json.encode(line) + b"\n")
        except Unavailable as failed:
            return f"{failed}; an event that {self._topics[frame.kind]} refuses cannot be set aside: {error!r}"
        _LOG.error("event_refused topic=%s key=%r file=%s: %r", line["topic"], frame.key, path, error)
        del self._in_flight[frame.number]
        self.refused_count += 1
        self._settled(frame)
        return ""

    def _failed(self, error: BaseException, trouble: str = "") -> None:
        """Give up the producer."""
        self._say(trouble or f"Kafka at {self.place}: {error!r}")
        self._producer = None
        self._work.set()
        self._progress.set()

    def _advance(self) -> None:
        self._advancing = False
        self._buffer.acknowledge(self._done())
        self._progress.set()

    def _done(self) -> int:
        """All below this number is acknowledged."""
        if self._in_flight:
            return next(iter(self._in_flight))  # handed over in order, so in order here
        return self._waiting[0].number if self._waiting else self._buffer.read_to

    async def _until(self, holds: Callable[[], bool], producer: Any) -> None:
        """Return when something holds, or the producer has failed."""
        while not holds() and self._producer is producer:
            self._progress.clear()
            await self._progress.wait()

    async def _sync_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            if self._done() < self._buffer.end:
                try:
                    await asyncio.to_thread(self._buffer.sync)
                except Unavailable as error:
                    self._say(str(error))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(_SYNC_S, self._stall_timeout_s / 4))
            silent_s = self._loop.time() - self._acknowledged_at_s
            if self._in_flight and self._producer is not None and silent_s > min(_QUIET_S, self._stall_timeout_s):
                why = f"no acknowledgement for {silent_s:.1f} s"
                if silent_s > self._stall_timeout_s:
                    self._failed(TimeoutError(why))
                else:
                    self._say(f"Kafka at {self.place}: {why}")

    def _say(self, trouble: str) -> None:
        before, self.trouble = self.trouble, trouble
        if trouble and not before:
            _LOG.warning("delivery_interrupted buffer=%s: %s", self._buffer.directory, trouble)
        elif before and not trouble:
            _LOG.warning("delivery_resumed buffer=%s", self._buffer.directory)

    async def _connected(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._addresses,
            acks="all",
            enable_idempotence=True,
            partitioner=_partitioner,
            compression_type="zstd",
            linger_ms=_LINGER_MS,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                await producer.start()
                await self._require_topics(producer)
        except (KafkaError, TimeoutError) as error:
            await producer.stop()
            raise Unavailable(f"Kafka at {self.place} does not answer: {error!r}") from error
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _require_topics(self, producer: Any) -> None:
        wanted = sorted(set(self._topics.values()))
        client = producer.client
        try:
            async with asyncio.timeout(_TOPIC_WITHIN_S):
                await client.set_topics(wanted)
                while missing := [topic for topic in wanted if not client.cluster.partitions_for_topic(topic)]:
                    await asyncio.sleep(_POLL_S)
                    await client.force_metadata_update()
        except TimeoutError as error:
            raise BadConfig(
                f"topics {', '.join(missing)} do not exist at {self.place}: leverloop topics create"
            ) from error


def _partitioner(key: bytes, all_partitions: Sequence[int], _available: Sequence[int]) -> int:
    return all_partitions[partition_of(key, len(all_partitions))]


async def _discard(producer: Any) -> None:
    # An idempotent producer never gives up a batch: with the brokers away its own `stop` would wait for ever, and its
    # sender for a request's timeout if they hang. What was not acknowledged is still in the buffer.
    closing = asyncio.ensure_future(producer._sender.close())  # noqa: SLF001
    try:
        await asyncio.wait([closing], timeout=_DISCARD_S)
    finally:
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        producer._closed = True  # noqa: SLF001
        await producer.client.close()
