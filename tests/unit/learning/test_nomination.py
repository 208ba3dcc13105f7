"""Nomination: what becomes a candidate, and what does not (spec sections 7 and 8)."""

from typing import Any

import msgspec
import pytest

from learning.book import Book, close_epoch, decision
from learning.findings import Candidate, Findings, GroupTest, LeverFinding
from learning.half_life import HalfLife
from learning.lessons import Forward, lesson_id, nominated
from learning.parameters import Parameters
from tests.laws.examples import EPOCH_MS, START_MS, some_evidence, some_stats, strong

PARAMETERS = Parameters(insignificant_epochs=2, rest_ms=EPOCH_MS)
GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|exit", "pm.up.S2.a|add", "dm.alloc.new.buy|allocation")
SCOPES: tuple[dict[str, Any], ...] = (
    {"bucket": "micro"},
    {"bucket": "mid", "macro_phase": "Dip"},
    {"bucket": "nano", "macro_phase": "Dip", "bucket_rank_position": 2},
)
CONFIRMING = Forward(n=80, n_clusters=40, effect_rr=0.8, error_rr=0.1)


@pytest.mark.parametrize(
    ("whole", "ancestor", "is_new"),
    [(0.8, 0.6, True), (0.8, 0.75, False), (-0.1, -0.5, False), (None, 0.0, False)],
)
def test_a_refinement_adds_to_every_lesson_above_it(whole: float | None, ancestor: float, is_new: bool) -> None:
    """Its effect beside the others is +0.8 each time; what counts is the whole of it too."""
    above, _ = nominated(
        "pm_strength", "pm", GROUPS[0], {"bucket": "nano"}, some_evidence(some_stats(effect_rr=ancestor)),
        epoch_at_ms=START_MS, ordinal=1,
    )  # fmt: skip
    book = Book(epoch_at_ms=START_MS, lessons={above.id: above})
    found = Candidate(scope=SCOPES[2], evidence=strong(stats=some_stats(effect_rr=whole)))
    test = GroupTest(group=GROUPS[0], trades=100, lessons_version=0, tested_by_dims=(5, 5, 5), candidates=(found,))
    after = close_epoch(book, [Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))], PARAMETERS)
    assert (len(after.lessons) == 2) is is_new


def a_test(group: str, looked_at: int, *candidates: Candidate) -> GroupTest:
    return GroupTest(
        group=group, trades=100, lessons_version=0, tested_by_dims=(looked_at, 0, 0), candidates=candidates
    )  # fmt: skip


def test_a_candidate_of_an_earlier_epoch_makes_a_lesson_of_this_one() -> None:
    """Less was looked at than before: what did not pass then passes now, and is as old as the decision."""
    waiting = Candidate(scope=SCOPES[0], evidence=strong(p_value=1e-5))
    first = Findings(
        partition=0,
        epoch_at_ms=START_MS + EPOCH_MS,
        tests=(a_test(GROUPS[0], 5, waiting), a_test(GROUPS[1], 10**6)),
    )
    second = Findings(partition=0, epoch_at_ms=START_MS + 2 * EPOCH_MS, tests=(a_test(GROUPS[1], 5),))
    before = close_epoch(Book(epoch_at_ms=START_MS), [first], PARAMETERS)
    assert not before.lessons
    after = close_epoch(before, [second], PARAMETERS)
    (lesson,) = after.lessons.values()
    assert (lesson.created_at_ms, lesson.evidence.epoch_at_ms) == (START_MS + 2 * EPOCH_MS, START_MS + EPOCH_MS)


def test_a_lesson_that_comes_back_was_retired_before_and_not_in_the_same_epoch() -> None:
    passing = Candidate(scope=SCOPES[0], evidence=strong())
    first = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(a_test(GROUPS[0], 5, passing),))
    book = close_epoch(Book(epoch_at_ms=START_MS), [first], PARAMETERS)
    (name,) = book.lessons
    turned = Findings(
        partition=0,
        epoch_at_ms=START_MS + 2 * EPOCH_MS,
        tests=first.tests,
        evidence={
            name: strong(
                epoch_at_ms=START_MS + 2 * EPOCH_MS,
                forward=Forward(n=20, n_clusters=8, effect_rr=-0.1, error_rr=0.2),
            )
        },
    )
    book = close_epoch(book, [turned], PARAMETERS)
    assert [(e.from_state, e.to_state) for e in book.events] == [("candidate", "retired")]
    third = msgspec.structs.replace(first, epoch_at_ms=START_MS + 3 * EPOCH_MS)
    book = close_epoch(book, [third], PARAMETERS)
    assert [(e.from_state, e.to_state) for e in book.events] == [("retired", "candidate")]
    assert (book.lessons[name].created_at_ms, book.lessons[name].ordinal) == (START_MS + 3 * EPOCH_MS, 2)


def test_a_losing_pattern_makes_a_lesson_as_a_winning_one_does() -> None:
    losing = some_evidence(some_stats(effect_rr=-0.8), effect_rr=-0.8, shrunk_rr=-0.78, epoch_at_ms=START_MS + EPOCH_MS)
    test = a_test(GROUPS[0], 5, Candidate(scope=SCOPES[0], evidence=losing))
    found = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))
    book = close_epoch(Book(epoch_at_ms=START_MS), [found], PARAMETERS)
    (lesson,) = book.lessons.values()
    assert (lesson.direction, lesson.state, lesson.pattern_key, lesson.action_category) == (
        -1,
        "candidate",
        "pm.up.S1.a",
        "entry",
    )


def test_what_has_faded_is_not_nominated() -> None:
    faded = HalfLife(hours=480, high_hours=700, n_windows=9, effect_now_rr=0.02, effect_now_error_rr=0.05)
    for half_life, n in ((None, 1), (faded, 0)):
        test = a_test(GROUPS[0], 5, Candidate(scope=SCOPES[0], evidence=strong(half_life=half_life)))
        found = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))
        assert len(close_epoch(Book(epoch_at_ms=START_MS), [found], PARAMETERS).lessons) == n


def a_lever(lever: str = "entry_delay_bars", target: float = 2.0, **fields: Any) -> LeverFinding:
    settled = {"scope": SCOPES[0], "evidence": strong(effect_rr=0.4, error_rr=0.05)} | fields
    return LeverFinding(lever=lever, target=target, **settled)


def levers_found(*found: LeverFinding, looked_at: tuple[int, ...] = (3, 30, 0, 0), **fields: Any) -> Book:
    test = GroupTest(
        group=GROUPS[0], trades=100, lessons_version=0, tested_by_dims=(0, 0, 0), candidates=(),
        levers_tested_by_dims=looked_at, levers=found,
    )  # fmt: skip
    book = Book(epoch_at_ms=START_MS, **fields)
    return close_epoch(book, [Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))], PARAMETERS)


def test_a_lever_is_a_candidate_with_its_value_and_a_count_of_its_own() -> None:
    book = levers_found(a_lever(), nominations={"pm": 7})
    (lesson,) = book.lessons.values()
    assert (lesson.lesson_type, lesson.state, lesson.lever, lesson.lever_target) == (
        "pm_tuning", "candidate", "entry_delay_bars", 2.0,
    )  # fmt: skip
    assert (lesson.ordinal, book.nominations) == (1, {"pm": 7, "pm_tuning": 1})
    told = decision(book)
    assert told.lessons == (), "nothing that it did is taken off anybody's rr"
    assert [(each.id, each.target, each.created_at_ms) for each in told.levers] == [
        (lesson.id, 2.0, START_MS + EPOCH_MS)
    ]


def test_two_levers_of_one_place_are_two_lessons() -> None:
    one, other = (
        lesson_id("pm_tuning", GROUPS[0], SCOPES[0], lever) for lever in ("entry_delay_bars", "phase1_frac_mult")
    )
    assert one != other
    assert lesson_id("pm_tuning", GROUPS[0], SCOPES[0]) not in (one, other)


@pytest.mark.parametrize(
    "found",
    [
        a_lever(evidence=strong(effect_rr=0.4, error_rr=0.05, p_value=0.05)),
        a_lever(evidence=strong(effect_rr=0.16, error_rr=0.05)),
    ],
)
def test_a_lever_that_is_luck_or_next_to_nothing_is_none(found: LeverFinding) -> None:
    assert levers_found(found).lessons == {}


def test_everything_looked_at_is_paid_for() -> None:
    found = a_lever(evidence=strong(effect_rr=0.4, error_rr=0.05, p_value=1e-5))
    assert len(levers_found(found, looked_at=(0, 1_000, 0, 0)).lessons) == 1
    assert len(levers_found(found, looked_at=(0, 2_000, 0, 0)).lessons) == 0
