"""Events to Kafka: written to a buffer on disk, then acknowledged by all in-sync replicas, in order within a trade.

1. `log_action` and `log_trade` write the event to the buffer and return: it survives the process from then on.
2. `KafkaDelivery` sends what is in the buffer, when there are brokers, and again until they have it.
3. What was not acknowledged when the process ended is sent by the next one that opens the same `buffer_dir`. A record
   may be there twice then, which the engine recognises by its id.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from leverloop.brokers import broker_addresses
from leverloop.clock import now_ms
from leverloop.emit import ACTIONS_TOPIC, BUFFER_BYTES, TRADES_TOPIC, EmitterStatus
from leverloop.emit.admission import Admission
from leverloop.emit.buffer import DiskBuffer
from leverloop.emit.frame import ACTION, TRADE
from leverloop.emit.kafka_delivery import KafkaDelivery
from leverloop.errors import BadConfig, InvariantBroken, Unavailable
from leverloop.events import ActionLogged, TradeClosed
from leverloop.scope import ScopeSchema

__all__ = ["KafkaEmitter"]

_LOG: Final = logging.getLogger("leverloop.emit")
_LEAST_BUFFER_BYTES: Final = 1024 * 1024  # room for a few of the largest events


class KafkaEmitter:
    """Emitter to Kafka: opened, flushed and closed in one event loop; any thread may log.

    Parameters
    ----------
    bootstrap
        ``kafka://host:port`` or ``host:port``, several parted by semicolons.
    actions_topic, trades_topic
        Topics, which exist.
    buffer_dir
        Directory of the buffer, of this emitter alone, on a local disk. None: ``.leverloop/emit/`` and the addresses,
        below the working directory.
    buffer_bytes
        How large the buffer may grow, at least 1 MiB; an action takes about 600 bytes.
    start_timeout_s
        How long to wait for brokers at the start before going on without them.
    flush_timeout_s, close_timeout_s
        How long `flush` and `close` wait for acknowledgements.
    stall_timeout_s
        How long to wait for an acknowledgement before everything is connected anew.
    schema
        Scope schema that actions are checked against, that of the engine; None: the one that is shipped.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        actions_topic: str = ACTIONS_TOPIC,
        trades_topic: str = TRADES_TOPIC,
        buffer_dir: str | Path | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        start_timeout_s: float = 5.0,
        flush_timeout_s: float = 30.0,
        close_timeout_s: float = 5.0,
        stall_timeout_s: float = 30.0,
        schema: ScopeSchema | None = None,
    ) -> None:
        if buffer_bytes < _LEAST_BUFFER_BYTES:
            raise BadConfig(f"buffer_bytes: expected at least {_LEAST_BUFFER_BYTES}, was {buffer_bytes}")
        self._addresses: Final = broker_addresses(bootstrap)
        self._topics: Final = {ACTION: actions_topic, TRADE: trades_topic}
        self._directory: Final = _default_directory(self._addresses) if buffer_dir is None else Path(buffer_dir)
        self._buffer_bytes: Final = buffer_bytes
        self._start_timeout_s: Final = start_timeout_s
        self._flush_timeout_s: Final = flush_timeout_s
        self._close_timeout_s: Final = close_timeout_s
        self._stall_timeout_s: Final = stall_timeout_s
        self._admission: Final = Admission(schema)
        self._counting: Final = threading.Lock()
        self._taken_count = 0
        self._untaken_count = 0
        self._open = False
        self._buffer: DiskBuffer | None = None
        self._delivery: KafkaDelivery | None = None

    def log_action(self, action: ActionLogged) -> None:
        """Take an action; `Unavailable` when buffer or disk are full, `BadInput` when it breaks its contract."""
        self._take(ACTION, action.trade_id, self._admission.action(action, logged_at_ms=now_ms()))

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        self._take(TRADE, trade.trade_id, self._admission.trade(trade, logged_at_ms=now_ms()))

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything taken so far is acknowledged by all in-sync replicas.

        Parameters
        ----------
        timeout_s
            How long to wait, in seconds; None: `flush_timeout_s`.

        Raises
        ------
        Unavailable
            After that time, with the number of events that are not, and the last trouble. They stay in
            the buffer and are tried on.
        """
        buffer, delivery = self._opened()
        patience_s = self._flush_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(patience_s):
                await delivery.reached(buffer.end)
        except TimeoutError as error:
            raise Unavailable(
                f"{self._waiting_count()} events are not acknowledged by {delivery.place} after "
                f"{patience_s} s ({delivery.trouble or 'no answer'}); they are kept in {buffer.directory}"
            ) from error

    async def close(self) -> None:
        """Flush for `close_timeout_s` at most, then give up connections and leave the rest to the next start.

        Raises
        ------
        Unavailable
            When the rest cannot be synced to the disk.
        """
        if not self._open:
            return
        buffer, delivery = self._opened()
        try:
            await self.flush(self._close_timeout_s)
        except Unavailable as error:
            _LOG.warning("events_left: %s; the next start sends them", error)  # a program that ends need not fail
        finally:
            self._open = False
            await delivery.stop()
            await asyncio.to_thread(buffer.close)

    def status(self) -> EmitterStatus:
        """Counters and trouble; from any thread, and after `close` as it ended."""
        buffer, delivery = self._parts()
        return EmitterStatus(
            taken_count=self._taken_count,
            untaken_count=self._untaken_count,
            recovered_count=buffer.recovered_count,
            sent_count=delivery.sent_count,
            refused_count=delivery.refused_count,
            waiting_count=self._waiting_count(),
            buffer_bytes=buffer.size_bytes,
            damaged_bytes=buffer.damaged_bytes,
            connected=self._open and delivery.connected,
            trouble=delivery.trouble,
        )

    async def __aenter__(self) -> Self:
        """Open the buffer, connect, and go on without brokers if none answers.

        Raises
        ------
        BadConfig
            When another process has the buffer, its directory cannot be written, or a topic does not exist.
        Unavailable
            When the disk is full.
        """
        if self._open:
            raise InvariantBroken("the emitter is open already")
        buffer = await self._open_buffer()
        if buffer.damaged_bytes:
            _LOG.warning("buffer_damaged buffer=%s bytes=%d", buffer.directory, buffer.damaged_bytes)
        delivery = KafkaDelivery(self._addresses, self._topics, buffer, stall_timeout_s=self._stall_timeout_s)
        try:
            await delivery.start(self._start_timeout_s)
        except BaseException:
            await delivery.stop()
            buffer.close()
            raise
        self._buffer, self._delivery, self._open = buffer, delivery, True
        self._taken_count = self._untaken_count = 0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        await self.close()

    async def _open_buffer(self) -> DiskBuffer:
        """Open in a thread: a large buffer takes a second to look through."""
        opening = asyncio.ensure_future(asyncio.to_thread(DiskBuffer, self._directory, self._buffer_bytes))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])
            if opening.exception() is None:
                opening.result().close()  # else it would be locked until the process ends
            raise

    def _take(self, kind: int, trade_id: str, value: bytes) -> None:
        buffer, delivery = self._opened()
        delivery.check()
        try:
            buffer.append(kind, trade_id.encode(), value)
        except Unavailable as error:
            with self._counting:
                self._untaken_count += 1
            why = delivery.trouble or "which answers"
            raise Unavailable(f"{error}; {self._waiting_count()} events wait for {delivery.place}: {why}") from error
        with self._counting:
            self._taken_count += 1
        delivery.wake()

    def _waiting_count(self) -> int:
        buffer, delivery = self._parts()
        return buffer.recovered_count + self._taken_count - delivery.sent_count - delivery.refused_count

    def _opened(self) -> tuple[DiskBuffer, KafkaDelivery]:
        if not self._open:
            raise InvariantBroken("the emitter is not open: use it as a context manager")
        return self._parts()

    def _parts(self) -> tuple[DiskBuffer, KafkaDelivery]:
        if self._buffer is None or self._delivery is None:
            raise InvariantBroken("the emitter was never open: use it as a context manager")
        return self._buffer, self._delivery


def _default_directory(addresses: list[str]) -> Path:
    """A directory for each set of brokers: what was meant for one must not go to another."""
    return Path(".leverloop", "emit", "+".join(addresses).replace(":", "_"))
