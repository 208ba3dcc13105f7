"""An operator's word on one lesson: disabled from the next epoch on, until enabled again (spec section 7).

What is disabled is published no more and never nominated anew. It stays known to the partitions, and its effect is
still taken off every trade: else the lessons that mirror it would take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from learning.commands import ControlEvent, LessonCommand, Outcome
from learning.lessons import Lesson, LessonEvent, LessonState, changed
from learning.levers import seen_by_now

__all__ = ["answered", "obeyed"]


def answered(
    command: LessonCommand,
    lessons: Mapping[str, Lesson],
    waiting: Iterable[LessonCommand],
    epoch_at_ms: int,
) -> ControlEvent:
    """What becomes of a command: accepted, for the next epoch, or refused, or nothing to do.

    Parameters
    ----------
    command
        The command.
    lessons
        All there are, by their ids.
    waiting
        Commands that were accepted since the last epoch, in their order: the last about a lesson says what it will be.
    epoch_at_ms
        The last epoch that was closed.
    """
    lesson = lessons.get(command.lesson_id)
    if lesson is None:
        reason = f"no lesson {command.lesson_id}: `leverloop lessons list` shows all {len(lessons)}"
        return _event(command, "refused", reason, epoch_at_ms)
    will_be = lesson.state == "disabled"
    for earlier in waiting:
        if earlier.lesson_id == command.lesson_id:
            will_be = earlier.command == "disable"
    if will_be == (command.command == "disable"):
        return _event(command, "unchanged", f"it is {'disabled already' if will_be else 'not disabled'}", epoch_at_ms)
    return _event(command, "accepted", "", epoch_at_ms)


def obeyed(
    lessons: Mapping[str, Lesson],
    disabled: Mapping[str, LessonState],
    commands: Iterable[LessonCommand],
    epoch_at_ms: int,
) -> tuple[dict[str, Lesson], dict[str, LessonState], list[LessonEvent]]:
    """Obey the commands of an epoch, in their order.

    Parameters
    ----------
    lessons, disabled
        All there are, by their ids, and what the disabled ones were before.
    commands
        Those that were accepted.
    epoch_at_ms
        The epoch.

    Returns
    -------
    lessons, disabled, events
        Both as they are now, and an event for each change. A lesson that is enabled is what it was, with its levers at
        neutral until trades come that it has not seen; it is reviewed at the same epoch as any other.
    """
    lessons, disabled, events = dict(lessons), dict(disabled), []
    for command in commands:
        lesson = lessons[command.lesson_id]
        state: LessonState = "disabled"
        if command.command == "disable" and lesson.state != "disabled":
            disabled[lesson.id] = lesson.state
        elif command.command == "enable" and lesson.id in disabled:
            state = disabled.pop(lesson.id)
        else:
            continue
        neutral = msgspec.structs.replace(seen_by_now(lesson), levers={})
        lessons[lesson.id], event = changed(neutral, state, "by_operator", epoch_at_ms)
        events.append(event)
    return lessons, disabled, events


def _event(command: LessonCommand, outcome: Outcome, reason: str, epoch_at_ms: int) -> ControlEvent:
    return ControlEvent(
        id=command.id,
        command=command.command,
        outcome=outcome,
        reason=reason,
        epoch_at_ms=epoch_at_ms,
        lesson_id=command.lesson_id,
        who=command.who,
        why=command.why,
        at_ms=command.at_ms,
    )
