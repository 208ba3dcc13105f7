"""Emitters: where actions and closed trades go. One interface, a transport chosen by URL (spec section 4)."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

from leverloop.brokers import embedded_path
from leverloop.errors import BadConfig
from leverloop.events import ActionLogged, TradeClosed

__all__ = ["ACTIONS_TOPIC", "TRADES_TOPIC", "Emitter", "open_emitter"]

ACTIONS_TOPIC: Final = "leverloop.actions"
TRADES_TOPIC: Final = "leverloop.trades"


class Emitter(Protocol):
    """Sink of events. Logging never waits: events are buffered, `flush` says when they are safe.

    Use it as a context manager: leaving it flushes and closes.
    """

    def log_action(self, action: ActionLogged) -> None:
        """Take an action.

        Raises
        ------
        BadInput
            For an event that breaks its own contract.
        Unavailable
            When the buffer is full; nothing of the event was taken.
        """
        ...

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as `log_action` takes an action."""
        ...

    async def flush(self) -> None:
        """Return when everything taken so far is durable; raise what stands in the way."""
        ...

    async def close(self) -> None:
        """Flush and give up connections; what cannot be flushed is raised, not dropped in silence."""
        ...

    async def __aenter__(self) -> Self:
        """Connect: a topic that is missing is found out now and not at the first trade."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        ...


def open_emitter(url: str) -> Emitter:
    """Emitter for a URL: ``kafka://host:9092`` or ``embedded:///path/log.db``.

    Raises
    ------
    BadConfig
        For a URL of another kind.

    Examples
    --------
    >>> open_emitter("file:///tmp/x")
    Traceback (most recent call last):
    leverloop.errors.BadConfig: emitter URL file:///tmp/x: expected kafka:// or embedded://
    """
    if urlsplit(url).scheme == "kafka":
        from leverloop.emit.kafka import KafkaEmitter  # noqa: PLC0415 - an optional driver

        return KafkaEmitter(url)
    path = embedded_path(url)
    if path is not None:
        from leverloop.emit.embedded import EmbeddedEmitter  # noqa: PLC0415 - pay for what is used

        return EmbeddedEmitter(path)
    raise BadConfig(f"emitter URL {url}: expected kafka:// or embedded://")
