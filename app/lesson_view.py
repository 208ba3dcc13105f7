"""A lesson in the words of a table: where it holds, and its levers or why it has none."""

from __future__ import annotations

from learning.lessons import LIVE, Lesson

__all__ = ["levers_of_lesson", "scope_of_lesson"]


def scope_of_lesson(lesson: Lesson, separator: str = "\n") -> str:
    """Scope as ``dimension=value``, of a group without one "(the whole group)"; not escaped for markup."""
    return separator.join(f"{name}={value}" for name, value in lesson.scope.items()) or "(the whole group)"


def levers_of_lesson(lesson: Lesson, separator: str = "\n") -> str:
    """Levers with their values, or why there are none; an execution lever is named, for its lesson is about it."""
    if lesson.levers and lesson.state in LIVE:
        return separator.join(f"{name} {value:.3f}" for name, value in lesson.levers.items())
    return f"{lesson.lever or 'none'}: {_why_not(lesson)}"


def _why_not(lesson: Lesson) -> str:
    if lesson.state not in LIVE:
        return "not confirmed" if lesson.state == "candidate" else lesson.state
    return "not yet" if lesson.lever else "edge and effect differ"
