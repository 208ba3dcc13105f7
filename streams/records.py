"""A record as the stages see it, and topics of raw bytes (Faust would decode JSON and acknowledge what fails)."""

from __future__ import annotations

from typing import Any

import faust
import msgspec

__all__ = ["Record", "raw_topic", "record_of"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a topic."""

    topic: str
    partition: int
    offset: int
    value: bytes
    key: bytes = b""
    received_at_ms: int
    """When it reached the topic."""

    @property
    def source(self) -> str:
        """``topic/partition``."""
        return f"{self.topic}/{self.partition}"


def record_of(event: Any) -> Record:
    """Record of a Faust event; a missing value is an empty one."""
    message = event.message
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        value=message.value or b"",
        key=message.key or b"",
        received_at_ms=round(message.timestamp * 1000),
    )


def raw_topic(app: faust.App, *names: str) -> Any:
    """Topic of bytes in and bytes out, decoded in the agent only."""
    return app.topic(
        *names,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        internal=False,
    )
