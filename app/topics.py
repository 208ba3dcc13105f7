"""`leverloop topics create|verify`, and the layout that a deployment must have."""

from __future__ import annotations

import asyncio
from typing import Final

from rich.console import Console

from app.settings import Settings
from app.topic_admin import Replication, create_topics, require_topics, verify_topics
from leverloop.errors import BadConfig
from streams.topics import TopicSpec, layout

__all__ = ["create", "deployment_topics", "require", "verify"]

_EXIT_WRONG: Final = 78


def deployment_topics(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic of a deployment, as its settings want it."""
    return layout(app_id=settings.app_id, partitions=settings.partitions)


def create(settings: Settings) -> int:
    """Create what is missing; return the exit code."""
    created = asyncio.run(
        create_topics(settings.broker_url, deployment_topics(settings), replication=replication(settings))
    )
    console = Console()
    for name in created:
        console.print(f"created {name}")
    console.print(f"{len(created)} topics created on {settings.broker_url}")
    return verify(settings)


def verify(settings: Settings) -> int:
    """Say what is wrong with the topics; return the exit code."""
    problems = asyncio.run(
        verify_topics(
            settings.broker_url,
            deployment_topics(settings),
            replication=replication(settings),
            enough_retention_ms=enough_retention_ms(settings),
        )
    )
    console = Console()
    for problem in problems:
        console.print(f"[red]{problem}[/red]", highlight=False)
    if not problems:
        console.print(f"all topics are as they must be on {settings.broker_url}")
    return _EXIT_WRONG if problems else 0


async def require(settings: Settings) -> None:
    """Raise BadConfig with everything that is wrong: a worker does not start on it."""
    await require_topics(
        settings.broker_url,
        deployment_topics(settings),
        replication=replication(settings),
        enough_retention_ms=enough_retention_ms(settings),
    )


def replication(settings: Settings) -> Replication:
    """Copies of every topic, and how many of them must have a record."""
    if settings.min_insync_replicas > settings.replication_factor:
        raise BadConfig(
            f"LEVERLOOP_MIN_INSYNC_REPLICAS {settings.min_insync_replicas}: at most "
            f"LEVERLOOP_REPLICATION_FACTOR, which is {settings.replication_factor}"
        )
    return Replication(factor=settings.replication_factor, min_insync=settings.min_insync_replicas)


def enough_retention_ms(settings: Settings) -> int:
    """Return what inputs must keep at least: a trade's whole life, and what may come late (design: Retention)."""
    parameters = settings.parameters()
    return parameters.max_open_ms + parameters.late_grace_ms
