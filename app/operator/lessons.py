"""`leverloop lessons ...`: all lessons, and one with its history."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, get_args

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.operator.answers import print_lines
from app.operator.history import require_lesson
from app.stats.view import scope_text, utc
from app.topic_reader import read_topic
from learning.commands import ControlEvent
from learning.lessons import Lesson, LessonEvent, LessonState
from leverloop.errors import BadConfig
from streams.topics import CONTROL_EVENTS, LESSON_EVENTS, LESSONS

__all__ = ["list_lessons", "read_lessons", "show_lesson"]

_WIDE: Final = 170


async def read_lessons(broker_url: str) -> dict[str, Lesson]:
    """Every lesson as it is now, by id."""
    decoder = msgspec.json.Decoder(Lesson)
    found = [decoder.decode(record.value) async for record in read_topic(broker_url, LESSONS) if record.value]
    return dict(sorted({lesson.id: lesson for lesson in found}.items()))


def list_lessons(broker_url: str, state: str | None, *, as_json: bool) -> int:
    """Print all lessons, or those in one state; return the exit code."""
    if state is not None and state not in get_args(LessonState):
        raise BadConfig(f"--state {state}: one of {', '.join(get_args(LessonState))}")
    lessons = [each for each in asyncio.run(read_lessons(broker_url)).values() if state in (None, each.state)]
    if as_json:
        print_lines(lessons)
        return 0
    if not lessons:
        _console().print(f"no lessons{f' in state {state}' if state else ''}")
        return 0
    table = Table(
        *("id", "state", "reason", "pattern", "action", "scope", "effect R", "n", "levers", "since"),
        box=SIMPLE_HEAD,
    )
    for each in sorted(lessons, key=lambda each: (each.state, each.group, each.id)):
        levers = ", ".join(f"{lever} {value:.3f}" for lever, value in sorted(each.levers.items()))
        table.add_row(
            each.id,
            each.state,
            each.reason,
            escape(each.pattern_key),
            each.action_category,
            escape(scope_text(each.scope)),
            f"{each.evidence.effect_rr:+.3f}",
            f"{each.evidence.stats.n:,}",
            levers,
            utc(each.changed_at_ms),
        )
    _console().print(table)
    return 0


def show_lesson(broker_url: str, lesson_id: str, *, as_json: bool) -> int:
    """Print one lesson with its evidence and its history; return the exit code."""
    lesson = asyncio.run(_lesson(broker_url, lesson_id))
    if as_json:
        print_lines([lesson])
        return 0
    console, seen, forward = _console(), lesson.evidence, lesson.evidence.forward
    console.print(f"{lesson.id}  {lesson.state} ({lesson.reason}) since {utc(lesson.changed_at_ms)}", highlight=False)
    console.print(f"{lesson.pattern_key} {lesson.action_category}  {scope_text(lesson.scope)}", markup=False)
    console.print(
        f"effect {seen.effect_rr:+.3f} R, error {seen.error_rr:.3f}, {seen.stats.n:,} trades", highlight=False
    )
    since = f"effect {forward.effect_rr:+.3f} R, error {forward.error_rr:.3f}, {forward.n:,} trades"
    console.print(f"since it was nominated: {since}", highlight=False)
    for lever, value in sorted(lesson.levers.items()):
        console.print(f"{lever} {value:.4f}", highlight=False)
    table = Table("at", "what", "why", box=SIMPLE_HEAD)
    for at_ms, what, why in asyncio.run(_history(broker_url, lesson_id)):
        table.add_row(utc(at_ms), escape(what), escape(why))
    console.print(table)
    return 0


async def _lesson(broker_url: str, lesson_id: str) -> Lesson:
    await require_lesson(broker_url, lesson_id)
    return (await read_lessons(broker_url))[lesson_id]


async def _history(broker_url: str, lesson_id: str) -> list[tuple[int, str, str]]:
    """Changes of state in event time, and commands in the operator's: (time, what, why)."""
    found: dict[tuple[int, str, str], None] = {}
    async for record in read_topic(broker_url, LESSON_EVENTS):
        if record.key == lesson_id.encode() and record.value:
            event = msgspec.json.decode(record.value, type=LessonEvent)
            found[event.epoch_at_ms, f"{event.from_state or 'new'} -> {event.to_state}", event.reason] = None
    async for record in read_topic(broker_url, CONTROL_EVENTS):
        told = msgspec.json.decode(record.value or b"", type=ControlEvent)
        if told.lesson_id == lesson_id:
            found[told.at_ms, f"{told.command} {told.outcome}, by {told.who}", told.why] = None
    return list(found)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)
