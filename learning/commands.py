"""What an operator may command, and what became of it: records of the control topic and of its audit (section 10)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from leverloop.patterns import Module

__all__ = [
    "LESSON_COMMANDS",
    "SNAPSHOT_COMMANDS",
    "ControlEvent",
    "LessonCommand",
    "LessonCommandName",
    "Outcome",
    "SnapshotCommand",
    "SnapshotCommandName",
    "remembered",
]

Said = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=r"\S")]
"""Not empty: a command without a reason is none."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"\S")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]

SnapshotCommandName = Literal["pin", "unpin", "rollback", "kill", "revive"]
LessonCommandName = Literal["disable", "enable"]
SNAPSHOT_COMMANDS: Final = ("pin", "unpin", "rollback", "kill", "revive")
"""About what clients see: effective as soon as they are read."""
LESSON_COMMANDS: Final = ("disable", "enable")
"""About a lesson: effective at the next epoch, where the book decides."""

_KNOWN_COMMANDS: Final = 200
"""Ids of commands that are remembered: one is read twice within moments, after a crash."""


class SnapshotCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="snapshot_command"):
    """A command about the snapshots of a module; about all modules where none is named (kill, revive)."""

    command: SnapshotCommandName
    id: Name
    """Unique: a command that is read again changes nothing."""
    module: Module | None = None
    version: Count | None = None
    """What to pin or to roll back to."""
    who: Name
    why: Said
    at_ms: Count


class LessonCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lesson_command"):
    """A command about one lesson."""

    command: LessonCommandName
    id: Name
    lesson_id: Name
    who: Name
    why: Said
    at_ms: Count


Outcome = Literal["announced", "held", "accepted", "unchanged", "refused"]
"""Clients see it; it is kept, and what stands still stands; it holds for what comes; it was so; no, because."""


class ControlEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command, or of an epoch's snapshot: a row of the audit."""

    id: str
    """Of the command; of an epoch's snapshot, ``epoch/<module>/<epoch_at_ms>``."""
    command: str
    """``epoch``, or the operator's command."""
    outcome: Outcome
    reason: str = ""
    """Why it was refused, held or changed nothing."""
    module: Module | None = None
    version: int | None = None
    """The version that it made; None if it made none."""
    of_version: int | None = None
    """The version whose content that one has, if it has an older one's."""
    content_hash: str | None = None
    epoch_at_ms: int | None = None
    """Of the content; of a lesson's command, the epoch after which it holds."""
    lesson_id: str | None = None
    who: str = "engine"
    why: str = ""
    at_ms: int = 0
    """When the command was given, on the operator's clock; 0 for an epoch's snapshot."""


def remembered(known: tuple[str, ...], command_id: str) -> tuple[str, ...]:
    """Ids of the last commands, with this one.

    Examples
    --------
    >>> remembered(("a", "b"), "c")
    ('a', 'b', 'c')
    """
    return (*known, command_id)[-_KNOWN_COMMANDS:]
