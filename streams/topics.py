"""Every topic of the system: name, partitions, cleanup, retention. Persistent names are literals, here only.

Faust derives changelog topics as ``<app id>-<table>-changelog``: a table's name is persistent too
(`tables.catalogue`).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from tables.catalogue import TABLES

__all__ = [
    "ACTIONS",
    "CONTROL",
    "CONTROL_EVENTS",
    "DEAD_LETTERS",
    "DRAFTS",
    "FINDINGS",
    "INPUTS",
    "LESSONS",
    "LESSON_EVENTS",
    "OUTCOMES",
    "OVERRIDES",
    "SNAPSHOTS",
    "TRADES",
    "TopicSpec",
    "layout",
]

ACTIONS: Final = "leverloop.actions"
TRADES: Final = "leverloop.trades"
OUTCOMES: Final = "leverloop.outcomes"
FINDINGS: Final = "leverloop.findings"
LESSONS: Final = "leverloop.lessons"
LESSON_EVENTS: Final = "leverloop.lesson-events"
DRAFTS: Final = "leverloop.drafts"
SNAPSHOTS: Final = "leverloop.snapshots"
OVERRIDES: Final = "leverloop.overrides"
CONTROL: Final = "leverloop.control"
CONTROL_EVENTS: Final = "leverloop.control-events"
DEAD_LETTERS: Final = "leverloop.dead-letters"

INPUTS: Final = (ACTIONS, TRADES)

_FOREVER_MS: Final = -1
_DERIVED_MS: Final = 90 * 86_400_000  # spec section 11 keeps 90 days of snapshots; the rest can be replayed
_SNAPSHOT_BYTES: Final = 32 * 1024 * 1024  # spec section 11
_DEAD_LETTER_BYTES: Final = 4 * 1024 * 1024  # a record of Kafka's default 1 MiB, in base64, with its reason


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic must look like: created so by ``leverloop topics create``, demanded at every start."""

    name: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention_ms: int = _FOREVER_MS
    """How long a deleted-by-age topic keeps its records; -1 keeps them for ever."""
    max_message_bytes: int | None = None
    """None leaves the broker's default."""
    compression: Literal["producer", "zstd"] = "producer"


def layout(*, app_id: str, partitions: int) -> tuple[TopicSpec, ...]:
    """Every topic of a deployment.

    Parameters
    ----------
    app_id
        Faust's app id: the prefix of the changelog topics.
    partitions
        Partitions of the topics that scale: inputs and outcomes, with their tables.

    Examples
    --------
    >>> sum(spec.name.endswith("-changelog") for spec in layout(app_id="leverloop", partitions=8)) == len(TABLES)
    True
    """

    def delete(name: str, count: int, retention_ms: int, max_message_bytes: int | None = None) -> TopicSpec:
        return TopicSpec(
            name=name,
            partitions=count,
            cleanup="delete",
            retention_ms=retention_ms,
            max_message_bytes=max_message_bytes,
        )

    return (
        delete(ACTIONS, partitions, _FOREVER_MS),
        delete(TRADES, partitions, _FOREVER_MS),
        delete(OUTCOMES, partitions, _DERIVED_MS, _SNAPSHOT_BYTES),  # decisions go there too
        delete(FINDINGS, 1, _DERIVED_MS, _SNAPSHOT_BYTES),
        TopicSpec(name=LESSONS, partitions=1, cleanup="compact"),
        delete(LESSON_EVENTS, 1, _FOREVER_MS),
        delete(DRAFTS, 1, _DERIVED_MS, _SNAPSHOT_BYTES),
        delete(SNAPSHOTS, 1, _DERIVED_MS, _SNAPSHOT_BYTES),
        TopicSpec(
            name=OVERRIDES, partitions=1, cleanup="compact", max_message_bytes=_SNAPSHOT_BYTES, compression="zstd"
        ),
        delete(CONTROL, 1, _FOREVER_MS),
        delete(CONTROL_EVENTS, 1, _FOREVER_MS),
        delete(DEAD_LETTERS, partitions, _FOREVER_MS, _DEAD_LETTER_BYTES),
        *(
            TopicSpec(
                name=f"{app_id}-{table.name}-changelog",
                partitions=partitions if table.scales else 1,
                cleanup="compact",
                max_message_bytes=_SNAPSHOT_BYTES,  # the book is one record
            )
            for table in TABLES
        ),
    )
