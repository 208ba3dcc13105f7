"""The interface to a log that has topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.topic_admin.checks import FoundTopic, Replication
from streams.topics import TopicSpec

__all__ = ["TopicStore"]


class TopicStore(Protocol):
    """A log that has topics. Call `close` at the end."""

    async def create(self, specs: Sequence[TopicSpec], replication: Replication) -> list[str]:
        """Create the topics that do not exist, return their names when they can be used."""

    async def find(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """Those of the named topics that exist."""

    async def close(self) -> None:
        """Give up connections and files."""
