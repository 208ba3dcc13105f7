"""Events to Kafka: buffered in memory, acknowledged by all in-sync replicas, never reordered within a trade.

1. `log_action` and `log_trade` put a record into the buffer and return; a task hands it to the producer.
2. The producer is idempotent: it retries until the brokers have a record, and they have it once.
3. A record leaves the buffer when it is acknowledged. A producer that has failed for good is replaced, and
   what it had not got acknowledged is sent again, oldest first; a record may then be there twice, which
   the engine recognises by its id.
4. What is in the buffer when the process dies is lost: `flush` says when that cannot happen any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from leverloop.brokers import broker_addresses
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from leverloop.events import MAX_EVENT_BYTES, ActionLogged, TradeClosed, encode
from leverloop.partitions import partition_of

__all__ = ["KafkaEmitter"]

_REQUEST_TIMEOUT_MS: Final = 10_000
_LINGER_MS: Final = 5  # a close is worth nothing in 5 ms, and a hundred records in one request are
_BATCH_BYTES: Final = 256 * 1024
_TOPIC_WITHIN_S: Final = 3.0  # a topic just created is not known to every broker at once
_BACKOFF_S: Final = (0.1, 5.0)
_POLL_S: Final = 0.05


class _Record(NamedTuple):
    number: int
    """Place in the order of logging."""
    topic: str
    key: bytes
    value: bytes


class KafkaEmitter:
    """Emitter to Kafka; belongs to one event loop, all methods are called on its thread.

    Parameters
    ----------
    bootstrap
        ``kafka://host:port`` or ``host:port``, several parted by semicolons.
    actions_topic, trades_topic
        Topics, which exist.
    buffer_records
        How many records may wait to be acknowledged; 100,000 actions are 60 MB and minutes of an outage.
    flush_timeout_s
        How long `flush` and `close` wait.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        actions_topic: str = ACTIONS_TOPIC,
        trades_topic: str = TRADES_TOPIC,
        buffer_records: int = 100_000,
        flush_timeout_s: float = 30.0,
    ) -> None:
        self._addresses: Final = broker_addresses(bootstrap)
        self._actions_topic: Final = actions_topic
        self._trades_topic: Final = trades_topic
        self._buffer_records: Final = buffer_records
        self._flush_timeout_s: Final = flush_timeout_s
        self._waiting: Final[deque[_Record]] = deque()
        self._in_flight: Final[dict[int, _Record]] = {}
        self._logged = 0
        self._work: Final = asyncio.Event()
        self._progress: Final = asyncio.Event()
        self._trouble = ""
        self._producer: Any = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def unacknowledged(self) -> int:
        """How many records are in the buffer."""
        return len(self._waiting) + len(self._in_flight)

    def log_action(self, action: ActionLogged) -> None:
        """Take an action; `Unavailable` when the buffer is full, `BadInput` when the event is too large."""
        self._take(self._actions_topic, action.trade_id, encode(action))

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        self._take(self._trades_topic, trade.trade_id, encode(trade))

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything taken so far is acknowledged by all in-sync replicas.

        Parameters
        ----------
        timeout_s
            How long to wait, in seconds; None: `flush_timeout_s`.

        Raises
        ------
        Unavailable
            After that time, with the number of records that are not, and the last trouble. They
            stay in the buffer and are tried on.
        """
        until = self._logged
        patience_s = self._flush_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(patience_s):
                while self._oldest() < until:
                    self._check_pump()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError as error:
            raise Unavailable(
                f"{self.unacknowledged} records are not acknowledged by {self._place()} "
                f"after {patience_s} s ({self._trouble or 'no answer'})"
            ) from error

    async def close(self) -> None:
        """Flush, then give up connections; raises what `flush` raises, and nothing is kept after it."""
        if self._pump is None:
            return
        try:
            await self.flush()
        finally:
            pump, self._pump = self._pump, None
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises
        ------
        Unavailable
            When no broker answers.
        BadConfig
            When a topic does not exist.
        """
        producer = await self._connected()
        self._pump = asyncio.create_task(self._run(producer), name="leverloop emitter")
        self._pump.add_done_callback(lambda _: self._progress.set())
        await asyncio.sleep(0)  # let it begin: a task that is cancelled before that would not give up the producer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        await self.close()

    def _take(self, topic: str, trade_id: str, value: bytes) -> None:
        self._check_pump()
        if len(value) > MAX_EVENT_BYTES:
            raise BadInput("$", f"at most {MAX_EVENT_BYTES} bytes", f"{len(value)} bytes")
        if self.unacknowledged >= self._buffer_records:
            raise Unavailable(
                f"buffer full: {self.unacknowledged} records wait for {self._place()} ({self._trouble or 'no answer'})"
            )
        self._waiting.append(_Record(self._logged, topic, trade_id.encode(), value))
        self._logged += 1
        self._work.set()

    async def _run(self, producer: Any) -> None:
        backoff_s, longest_s = _BACKOFF_S
        while True:
            try:
                await self._hand_over(producer)
            finally:
                await _discard(producer)
            self._take_back()
            producer = None
            while producer is None:
                await asyncio.sleep(backoff_s)
                try:
                    producer = await self._connected()
                except (Unavailable, BadConfig) as error:
                    self._trouble = str(error)
                    backoff_s = min(2 * backoff_s, longest_s)
            backoff_s = _BACKOFF_S[0]

    async def _hand_over(self, producer: Any) -> None:
        """Hand records to the producer, in order, until it has failed for good."""
        self._producer = producer
        while self._producer is producer:
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
                continue
            record = self._waiting[0]
            try:
                sent = await producer.send(record.topic, record.value, key=record.key)
            except (KafkaTimeoutError, UnknownTopicOrPartitionError) as error:
                self._trouble = repr(error)  # its own buffer is full, or the topic is gone: try the same again
            except KafkaError as error:
                self._failed(error)
            else:
                self._waiting.popleft()
                self._in_flight[record.number] = record
                sent.add_done_callback(self._settler(producer, record.number))

    def _settler(self, producer: Any, number: int) -> Callable[[asyncio.Future[Any]], None]:
        def settle(sent: asyncio.Future[Any]) -> None:
            error = sent.exception()
            if error is None:
                self._in_flight.pop(number, None)  # late, it may have been taken back: then it is sent twice
                self._progress.set()
            elif producer is self._producer:
                self._failed(error)

        return settle

    def _failed(self, error: BaseException) -> None:
        """Give up the producer: idempotent, it retries what can be retried, so an error that it reports is final."""
        self._trouble = repr(error)
        self._producer = None
        self._work.set()

    def _take_back(self) -> None:
        self._waiting.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()

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
            await producer.start()
            await self._require_topics(producer)
        except KafkaError as error:
            await producer.stop()
            raise Unavailable(f"Kafka at {self._place()} does not answer: {error!r}") from error
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _require_topics(self, producer: Any) -> None:
        wanted = (self._actions_topic, self._trades_topic)
        client = producer.client
        try:
            async with asyncio.timeout(_TOPIC_WITHIN_S):
                await client.set_topics(wanted)
                while missing := [topic for topic in wanted if not client.cluster.partitions_for_topic(topic)]:
                    await asyncio.sleep(_POLL_S)
                    await client.force_metadata_update()
        except TimeoutError as error:
            raise BadConfig(
                f"topics {', '.join(missing)} do not exist at {self._place()}: leverloop topics create"
            ) from error

    def _oldest(self) -> int:
        """Number of the oldest record that is not acknowledged."""
        if self._in_flight:
            return next(iter(self._in_flight))  # handed over in order, so in order here
        return self._waiting[0].number if self._waiting else self._logged

    def _check_pump(self) -> None:
        if self._pump is None:
            raise InvariantBroken("the emitter is not open: use it as a context manager")
        if self._pump.done():
            raise InvariantBroken("the emitter's task has ended") from self._pump.exception()

    def _place(self) -> str:
        return ", ".join(self._addresses)


def _partitioner(key: bytes, all_partitions: Sequence[int], _available: Sequence[int]) -> int:
    return all_partitions[partition_of(key, len(all_partitions))]


async def _discard(producer: Any) -> None:
    # An idempotent producer never gives up a batch: with the brokers away its own `stop` would wait for ever.
    # This is the rest of what `stop` does; what was not acknowledged is still in the emitter's buffer.
    await producer._sender.close()  # noqa: SLF001
    producer._closed = True  # noqa: SLF001
    await producer.client.close()
