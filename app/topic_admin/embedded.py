"""Topics of the embedded log: one copy in one file, so that only partitions, cleanup and retention can be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from app.topic_admin.checks import FoundTopic, Replication, topic_config
from leverloop.embedded_log import EmbeddedLog
from streams.topics import TopicSpec

__all__ = ["EmbeddedTopics"]

_KEPT = ("cleanup.policy", "retention.ms")


class EmbeddedTopics:
    """See `app.topic_admin.store.TopicStore`; the log blocks, so it is opened on a thread for each call.

    Parameters
    ----------
    path
        File of the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def create(self, specs: Sequence[TopicSpec], replication: Replication) -> list[str]:
        """Create the topics that do not exist, and the file with its folder if that is new."""
        return await asyncio.to_thread(self._create, specs, replication)

    async def find(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """Those of the named topics that exist; none if the file does not."""
        return await asyncio.to_thread(self._find, names)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _create(self, specs: Sequence[TopicSpec], replication: Replication) -> list[str]:
        self._path.absolute().parent.mkdir(parents=True, exist_ok=True)
        created = []
        with EmbeddedLog(self._path) as log:
            there = log.topics()
            for spec in specs:
                wanted = topic_config(spec, replication)
                config = {key: wanted[key] for key in _KEPT if key in wanted}
                if spec.name not in there and log.create_topic(spec.name, spec.partitions, config):
                    created.append(spec.name)
        return created

    def _find(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        if not self._path.exists():
            return {}
        with EmbeddedLog(self._path, create=False) as log:
            there = log.topics()
        return {
            name: FoundTopic(
                partitions=there[name].partitions,
                replicas=None,
                # What the log does where a topic says nothing: it deletes, and nothing by age.
                config={"cleanup.policy": "delete", "retention.ms": "-1"} | there[name].config,
            )
            for name in names
            if name in there
        }
