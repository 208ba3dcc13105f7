"""Feeds: where override snapshots come from. One interface, a transport chosen by URL (spec section 11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from leverloop.brokers import embedded_path, kafka_driver, without_secrets
from leverloop.errors import BadConfig

__all__ = ["Feed", "FeedRecord", "open_feed"]


class FeedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it arrived: bytes that nobody has looked into yet."""

    key: str
    """Which of the keys that are followed."""
    value: bytes
    offset: int
    """Place in its topic; counts the readings of a file."""
    received_at_ms: int


class Feed(Protocol):
    """Source of the snapshots of a module, and of their heartbeats."""

    def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        """Yield the newest record there is of each key, in their order, then each new one, until the feed is closed.

        Parameters
        ----------
        keys
            A module, for its snapshots; its `heartbeat_key`, for their heartbeats. A source that has snapshots
            of one module alone yields them under the first key.

        Raises
        ------
        Unavailable
            When the source does not answer; follow again after its ``retry_after_s``.
        """
        ...

    async def close(self) -> None:
        """End every `follow` and give up connections."""
        ...


def open_feed(url: str) -> Feed:
    """Feed for a URL: ``kafka://host:9092``, ``embedded:///path/log.db`` or ``file:///path/snapshot.json``.

    Nothing is connected or read before somebody follows; Kafka's driver is imported here and nowhere else.

    Raises
    ------
    BadConfig
        For a URL of another kind, and for ``kafka://`` where aiokafka is not installed.

    Examples
    --------
    >>> open_feed("carrier-pigeon://roof")
    Traceback (most recent call last):
    leverloop.errors.BadConfig: feed URL carrier-pigeon://roof: expected kafka://, embedded:// or file://
    """
    scheme = urlsplit(url).scheme
    if scheme == "kafka":
        with kafka_driver():
            from leverloop.feeds.kafka import KafkaFeed  # noqa: PLC0415 - an optional driver

        return KafkaFeed(url)
    log = embedded_path(url)
    if log is not None:
        from leverloop.feeds.embedded import EmbeddedFeed  # noqa: PLC0415 - pay for what is used

        return EmbeddedFeed(log)
    if scheme == "file":
        from leverloop.feeds.file import FileFeed  # noqa: PLC0415 - pay for what is used

        return FileFeed(_path(url))
    raise BadConfig(f"feed URL {without_secrets(url)}: expected kafka://, embedded:// or file://")


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if not parts.path and not parts.netloc:
        raise BadConfig(f"feed URL {without_secrets(url)}: it names no file")
    return Path(unquote(parts.netloc + parts.path))
