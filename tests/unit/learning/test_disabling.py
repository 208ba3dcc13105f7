"""A lesson that an operator disables: what is answered, what becomes of it, and what it keeps out."""

from typing import Any

import msgspec
import pytest

from learning.book import Book, close_epoch, commanded, decision
from learning.commands import LessonCommand
from learning.disabling import obeyed
from learning.findings import Findings
from learning.lessons import Evidence, Lesson, LessonState, nominated
from learning.overrides import snapshot
from learning.parameters import Parameters
from tests.laws.examples import EPOCH_MS, START_MS, some_evidence, some_stats

PARAMETERS = Parameters()
GROUP = "pm.uptrend.S1.buy_flag|entry"


def lesson(state: LessonState = "active") -> Lesson:
    evidence = some_evidence(some_stats(), effect_rr=0.5, error_rr=0.1, shrunk_rr=0.5, p_value=1e-6)
    made, _ = nominated("pm_strength", "pm", GROUP, {"bucket": "micro"}, evidence, epoch_at_ms=START_MS, ordinal=1)
    return msgspec.structs.replace(made, state=state, reason="confirmed", levers={"size_mult": 1.2}, stepped_n=5)


def said(name: Any, number: int = 0, lesson_id: str = "") -> LessonCommand:
    return LessonCommand(
        command=name, id=f"c{number}", lesson_id=lesson_id or lesson().id, who="jane", why="so", at_ms=1
    )


def book(state: LessonState = "active") -> Book:
    return Book(epoch_at_ms=START_MS, version=1, lessons={lesson().id: lesson(state)})


def heard(book: Book, *commands: LessonCommand) -> tuple[Book, list[tuple[str, str]]]:
    answers = []
    for command in commands:
        found = commanded(book, command)
        assert found is not None
        book, answer = found
        assert (answer.who, answer.why, answer.lesson_id) == ("jane", "so", command.lesson_id)
        answers.append((answer.outcome, answer.reason))
    return book, answers


def closed(book: Book, **evidence: Evidence) -> Book:
    found = Findings(partition=0, epoch_at_ms=book.epoch_at_ms + EPOCH_MS, evidence=evidence)
    return close_epoch(book, [found], PARAMETERS)


def published(book: Book) -> list[str]:
    found = snapshot(
        "pm", book.lessons.values(), version=1, epoch_at_ms=book.epoch_at_ms, config_hash="", engine_version="",
        parameters=PARAMETERS,
    )  # fmt: skip
    return [override.lesson.id for override in found.overrides()]


def test_it_is_published_until_the_next_epoch_and_then_no_more() -> None:
    now, answers = heard(book(), said("disable"))
    assert answers == [("accepted", "")]
    assert published(now) == [lesson().id]
    after = closed(now)
    assert published(after) == []
    (event,) = after.events
    assert (event.from_state, event.to_state, event.reason) == ("active", "disabled", "by_operator")
    assert after.lessons_version == now.lessons_version + 1
    assert after.commands == ()


def test_it_stays_so_until_enabled_and_begins_again_at_neutral() -> None:
    now, _ = heard(book(), said("disable", 0))
    for _ in range(3):
        now = closed(now)
        assert (now.lessons[lesson().id].state, published(now)) == ("disabled", [])
    now, answers = heard(now, said("enable", 1))
    assert answers == [("accepted", "")]
    now = closed(now)
    back = now.lessons[lesson().id]
    assert (back.state, back.reason, now.disabled) == ("active", "by_operator", {})
    assert back.levers["size_mult"] == 1.0, "what moved it before moves it no more"
    newer = msgspec.structs.replace(back.evidence, stats=some_stats(n=101), epoch_at_ms=now.epoch_at_ms + EPOCH_MS)
    now = closed(now, **{back.id: newer})
    assert 1.0 < now.lessons[back.id].levers["size_mult"] <= 1.0 * 1.02 + 1e-9


@pytest.mark.parametrize("state", ["candidate", "active", "dormant", "retired"])
def test_it_comes_back_as_what_it_was_and_stays_known_to_the_partitions(state: LessonState) -> None:
    before = book(state)
    now = closed(heard(before, said("disable"))[0])
    known = [(each.id, each.is_candidate) for each in decision(now).lessons]
    assert known == [(each.id, each.is_candidate) for each in decision(before).lessons]
    lessons, disabled, _ = obeyed(now.lessons, now.disabled, [said("enable", 1)], START_MS)
    assert (lessons[lesson().id].state, disabled) == (state, {})


def test_what_has_nothing_to_do_or_no_lesson_says_so() -> None:
    now, answers = heard(book(), said("enable", 0), said("disable", 1), said("disable", 2), said("enable", 3, "ls_0"))
    assert answers == [
        ("unchanged", "it is not disabled"),
        ("accepted", ""),
        ("unchanged", "it is disabled already"),
        ("refused", "no lesson ls_0: `leverloop lessons list` shows all 1"),
    ]
    assert len(now.commands) == 1


def test_a_change_of_mind_within_an_epoch_changes_nothing_but_the_levers() -> None:
    now, answers = heard(book(), said("disable", 0), said("enable", 1))
    assert answers == [("accepted", ""), ("accepted", "")]
    after = closed(now)
    assert after.lessons[lesson().id].state == "active"
    assert [(event.from_state, event.to_state) for event in after.events] == [
        ("active", "disabled"),
        ("disabled", "active"),
    ]


def test_a_command_that_is_read_twice_is_heard_once() -> None:
    now, _ = heard(book(), said("disable"))
    assert commanded(now, said("disable")) is None
    assert commanded(closed(now), said("disable")) is None
