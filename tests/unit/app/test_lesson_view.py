"""Lessons in a table: two that differ never look the same, and none has a lever that is not published."""

from typing import Any

import pytest

from app.lesson_view import levers_of_lesson, scope_of_lesson
from tests.laws.test_lessons import alive

TUNED = {"lesson_type": "pm_tuning", "lever": "trim_delay_mult"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"levers": {"size_mult": 1.1, "entry_aggression_mult": 0.95}}, "size_mult 1.100, entry_aggression_mult 0.950"),
        ({}, "none: edge and effect differ"),
        ({"state": "candidate"}, "none: not confirmed"),
        ({"state": "retired", "levers": {"size_mult": 1.1}}, "none: retired"),
        (TUNED | {"state": "candidate"}, "trim_delay_mult: not confirmed"),
        (TUNED | {"levers": {"trim_delay_mult": 1.25}}, "trim_delay_mult 1.250"),
        (TUNED, "trim_delay_mult: not yet"),
    ],
)
def test_levers_or_why_there_are_none(fields: dict[str, Any], said: str) -> None:
    assert levers_of_lesson(alive(**fields), ", ") == said


def test_a_scope_is_never_empty() -> None:
    assert scope_of_lesson(alive(scope={"bucket": "micro", "timeframe": "1h"}), ", ") == "bucket=micro, timeframe=1h"
    assert scope_of_lesson(alive(scope={})) == "(the whole group)"
