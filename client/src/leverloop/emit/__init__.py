"""Emitters: where actions and closed trades go. One interface, a transport chosen by URL (spec section 4)."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import urlsplit

import msgspec

from leverloop.brokers import embedded_path, kafka_driver, without_secrets
from leverloop.errors import BadConfig
from leverloop.events import ActionLogged, TradeClosed
from leverloop.scope import ScopeSchema

if TYPE_CHECKING:
    from leverloop.emit.blocking import BlockingEmitter

__all__ = [
    "ACTIONS_TOPIC",
    "BUFFER_BYTES",
    "TRADES_TOPIC",
    "Emitter",
    "EmitterStatus",
    "open_blocking_emitter",
    "open_emitter",
]

ACTIONS_TOPIC: Final = "leverloop.actions"
TRADES_TOPIC: Final = "leverloop.trades"
BUFFER_BYTES: Final = 256 * 1024 * 1024
"""How large the buffer on disk may grow unless it is said: 400,000 actions, days of an outage."""


class EmitterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events, counted since the emitter was opened: taken + recovered = sent + refused + waiting."""

    taken_count: int
    """Events that `log_action` and `log_trade` have taken."""
    untaken_count: int
    """Calls of these that raised `Unavailable`: those events are the caller's still."""
    recovered_count: int = 0
    """Events of an earlier process that were found in the buffer."""
    sent_count: int
    """Events that are acknowledged: in the log, replicated as its topic demands."""
    refused_count: int = 0
    """Events that their topic would never take; they are in ``refused.jsonl`` beside the buffer."""
    waiting_count: int
    """Events that are in the buffer and in no log."""
    buffer_bytes: int = 0
    """Size of the buffer's files."""
    damaged_bytes: int = 0
    """Bytes that an earlier process left half written; no call for them had returned, or the machine had died."""
    connected: bool
    trouble: str
    """What keeps events from being sent; nothing if they are."""


class Emitter(Protocol):
    """Sink of events. Logging never waits for a broker: events are buffered, `flush` says when they are delivered.

    Use it as a context manager: leaving it flushes and closes. To await the delivery of an event, flush after it;
    to deliver in batches, flush after many. Any thread may log; all else belongs to the event loop that opened it.
    """

    def log_action(self, action: ActionLogged) -> None:
        """Take an action.

        Raises
        ------
        BadInput
            For an event that the engine would refuse; a name in its scope that the engine ignores is warned of once.
        Unavailable
            When the buffer is full; nothing of the event was taken.
        """
        ...

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        ...

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything taken so far is in the log.

        Parameters
        ----------
        timeout_s
            How long to wait, in seconds; None: as the emitter was made.

        Raises
        ------
        Unavailable
            After that time, with what stands in the way; the events are kept and tried on.
        """
        ...

    def status(self) -> EmitterStatus:
        """Counters, and what keeps events from being sent; from any thread."""
        ...

    async def close(self) -> None:
        """Flush and give up connections; what cannot be flushed and is not kept on disk is raised."""
        ...

    async def __aenter__(self) -> Self:
        """Open: a topic that is missing is found out now and not at the first trade, if a broker can be asked."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        ...


def open_emitter(
    url: str,
    *,
    buffer_dir: str | Path | None = None,
    buffer_bytes: int = BUFFER_BYTES,
    schema: ScopeSchema | None = None,
) -> Emitter:
    """Emitter for a URL: ``kafka://host:9092`` or ``embedded:///path/log.db``.

    Parameters
    ----------
    url
        Where the events go.
    buffer_dir, buffer_bytes
        Buffer on disk and its limit, as in `KafkaEmitter`, which has more options. An embedded log needs none: it is
        on this disk itself.
    schema
        Scope schema that actions are checked against, that of the engine; None: the one that is shipped.

    Raises
    ------
    BadConfig
        For a URL of another kind, and for ``kafka://`` where aiokafka is not installed.

    Examples
    --------
    >>> open_emitter("file:///tmp/x")
    Traceback (most recent call last):
    leverloop.errors.BadConfig: emitter URL file:///tmp/x: expected kafka:// or embedded://
    """
    if urlsplit(url).scheme == "kafka":
        with kafka_driver():
            from leverloop.emit.kafka import KafkaEmitter  # noqa: PLC0415 - an optional driver

        return KafkaEmitter(url, buffer_dir=buffer_dir, buffer_bytes=buffer_bytes, schema=schema)
    path = embedded_path(url)
    if path is not None:
        from leverloop.emit.embedded import EmbeddedEmitter  # noqa: PLC0415 - pay for what is used

        return EmbeddedEmitter(path, schema=schema)
    raise BadConfig(f"emitter URL {without_secrets(url)}: expected kafka:// or embedded://")


def open_blocking_emitter(
    url: str,
    *,
    buffer_dir: str | Path | None = None,
    buffer_bytes: int = BUFFER_BYTES,
    schema: ScopeSchema | None = None,
) -> BlockingEmitter:
    """As `open_emitter`, for a program without an event loop: use it with ``with``; `flush` and `close` block."""
    from leverloop.emit.blocking import BlockingEmitter  # noqa: PLC0415 - it needs what is defined here

    return BlockingEmitter(open_emitter(url, buffer_dir=buffer_dir, buffer_bytes=buffer_bytes, schema=schema))
