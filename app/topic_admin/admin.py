"""Create, verify, require: on whatever log a broker URL names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.topic_admin.checks import Problem, Replication, nothing_there, problems_of
from app.topic_admin.embedded import EmbeddedTopics
from app.topic_admin.kafka import KafkaTopics
from app.topic_admin.store import TopicStore
from leverloop.brokers import broker_addresses, embedded_path
from leverloop.errors import BadConfig
from streams.topics import TopicSpec

__all__ = ["create_topics", "require_topics", "verify_topics"]

_FOREVER_MS: Final = -1


async def create_topics(broker_url: str, specs: Sequence[TopicSpec], *, replication: Replication) -> list[str]:
    """Create the topics that do not exist; topics that do are left as they are (`verify_topics` judges them).

    Parameters
    ----------
    broker_url
        ``kafka://host:port``, several parted by semicolons, or ``embedded:///path/log.db``.
    specs
        Topics, as of `streams.topics.layout`.
    replication
        Copies; without meaning for the embedded log.

    Returns
    -------
    list[str]
        Names of the topics that were created.

    Raises
    ------
    BadConfig
        When the log refuses a topic as asked for, such as three copies on one broker.
    Unavailable
        When the log does not answer.
    """
    store = _store(broker_url)
    try:
        return await store.create(specs, replication)
    finally:
        await store.close()


async def verify_topics(
    broker_url: str,
    specs: Sequence[TopicSpec],
    *,
    replication: Replication,
    enough_retention_ms: int = _FOREVER_MS,
) -> list[Problem]:
    """Everything about the topics that would lose records or stop the flow; empty when all is well.

    Where none of several exists, that is one problem.

    Parameters
    ----------
    broker_url, specs, replication
        As for `create_topics`.
    enough_retention_ms
        What suffices where the layout keeps records for ever: an operator may choose to keep less than
        everything, never less than max_open + late_grace. -1: only for ever is enough.
    """
    store = _store(broker_url)
    try:
        found = await store.find([spec.name for spec in specs])
    finally:
        await store.close()
    if not found and len(specs) > 1:
        return [nothing_there(specs)]
    return [
        problem
        for spec in specs
        for problem in problems_of(
            spec, found.get(spec.name), replication=replication, enough_retention_ms=enough_retention_ms
        )
    ]


async def require_topics(
    broker_url: str,
    specs: Sequence[TopicSpec],
    *,
    replication: Replication,
    enough_retention_ms: int = _FOREVER_MS,
) -> None:
    """Raise BadConfig that lists every problem `verify_topics` finds: a worker does not start on any."""
    problems = await verify_topics(broker_url, specs, replication=replication, enough_retention_ms=enough_retention_ms)
    if problems:
        listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n- {problem}" for problem in problems)
        raise BadConfig(f"the topics at {broker_url} are not fit to work on:{listed}")


def _store(broker_url: str) -> TopicStore:
    path = embedded_path(broker_url)
    return KafkaTopics(broker_addresses(broker_url)) if path is None else EmbeddedTopics(path)
