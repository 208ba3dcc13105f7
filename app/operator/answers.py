"""Commands of an operator, from the words of the command line to what clients see after each.

Nothing here imports the core: a kill must not wait for compilers to load.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from app.operator.commanding import commanded, signature
from app.operator.history import module_of, read_version, require_lesson
from learning.commands import ControlEvent, LessonCommand, LessonCommandName, SnapshotCommand, SnapshotCommandName
from leverloop.errors import BadConfig
from leverloop.patterns import MODULES, Module

__all__ = ["command_lesson", "command_snapshots", "print_lines"]

_SEEN: Final = {
    "pin": "clients apply version {of} until `leverloop overrides unpin`, whatever epochs bring",
    "unpin": "clients apply the newest again, and what the next epochs bring",
    "rollback": "clients apply version {of} until the next epoch; `leverloop overrides pin {of}` would hold it",
    "kill": "clients are neutral, reason DISABLED, until `leverloop overrides revive`",
    "revive": "clients apply overrides again",
    "disable": "from the next epoch on it is not published, until `leverloop lessons enable {id}`",
    "enable": "from the next epoch on it is what it was, its levers beginning at neutral",
}


def command_snapshots(
    broker_url: str,
    name: SnapshotCommandName,
    *,
    module: str | None,
    version: int | None = None,
    reason: str,
    who: str | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Command something about snapshots, wait for what comes of it, print that; return the exit code."""
    sign = signature(reason, who)
    is_about_all = module is None and name in ("kill", "revive")
    about: Module | None = None if is_about_all else asyncio.run(module_of(broker_url, module))
    if about is not None and version is not None:
        asyncio.run(read_version(broker_url, about, version))  # says which are kept, worker or not
    command = SnapshotCommand(
        command=name, id=sign.id, module=about, version=version, who=sign.who, why=sign.why, at_ms=sign.at_ms
    )
    answers = len(MODULES) if about is None else 1
    events = asyncio.run(commanded(broker_url, command, answers=answers, timeout_s=timeout_s))
    if as_json:
        print_lines(events)
    for event in events:
        if event.outcome == "refused":
            raise BadConfig(f"{event.command} {event.module}: {event.reason}")
        if not as_json:
            sys.stdout.write(f"{_answer(event)}\n")
    return 0


def print_lines(found: Sequence[msgspec.Struct]) -> None:
    """One JSON object a line."""
    for each in found:
        sys.stdout.write(msgspec.json.encode(each).decode() + "\n")


def _answer(event: ControlEvent) -> str:
    """What a command has done, and what clients see of it."""
    if event.outcome == "unchanged":
        return f"{event.module}: nothing to do, {event.reason}"
    if event.outcome == "accepted":
        return f"{event.module}: {event.command} by {event.who}; {event.reason}"
    seen = _SEEN[event.command].format(of=event.of_version)
    later = f" ({event.reason})" if event.reason else ""
    return f"{event.module}: version {event.version} announced by {event.who}{later}; {seen}"


def command_lesson(
    broker_url: str,
    name: LessonCommandName,
    lesson_id: str,
    *,
    reason: str,
    who: str | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Command something about a lesson, wait for the answer, print it; return the exit code."""
    sign = signature(reason, who)
    asyncio.run(require_lesson(broker_url, lesson_id))  # says which there are, worker or not
    command = LessonCommand(command=name, id=sign.id, lesson_id=lesson_id, who=sign.who, why=sign.why, at_ms=sign.at_ms)
    (event,) = asyncio.run(commanded(broker_url, command, answers=1, timeout_s=timeout_s))
    if as_json:
        print_lines([event])
    if event.outcome == "refused":
        raise BadConfig(f"{name} {lesson_id}: {event.reason}")
    if not as_json:
        seen = _SEEN[name].format(id=lesson_id)
        said = f"nothing to do, {event.reason}" if event.outcome == "unchanged" else f"accepted; {seen}"
        sys.stdout.write(f"{lesson_id}: {said}\n")
    return 0
