"""Nomination: what becomes a candidate, and what does not (spec sections 7 and 8)."""

from typing import Any

import msgspec
import numpy as np
import pytest

from learning.book import Book, close_epoch, decision
from learning.epochs import MONDAY_AT_THREE_MS, is_due
from learning.execution.phase_scaling import StateDay
from learning.findings import Candidate, Findings, GroupAdds, GroupTest, Knob, LeverFinding
from learning.half_life import HalfLife
from learning.lessons import Forward, lesson_id, nominated
from learning.parameters import Parameters
from tables.book import BOOK_KEY, BookState, stored_book
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, some_evidence, some_stats, strong

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
                forward=Forward(n=20, n_clusters=8, effect_rr=-0.3, error_rr=0.2),
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


def adds_found(*groups: str, days: int = 60, **worth: float) -> Book:
    """A weekly epoch at which groups of adds sent their sums, four trades a day each."""
    rng, epoch_at_ms = np.random.default_rng(1), START_MS + EPOCH_MS
    while not is_due(epoch_at_ms, 7 * DAY_MS, MONDAY_AT_THREE_MS, PARAMETERS):
        epoch_at_ms += EPOCH_MS
    adds = [
        GroupAdds(
            group=group,
            stats=some_stats(),
            days=tuple(
                StateDay(
                    family="pm.up", state=group.split(".")[2], day=day, n=4,
                    rr_q=round(100_000 * (4 * worth.get(group.split(".")[2], 0.0) + 1.8 * rng.normal())),
                )
                for day in range(days)
            ),
        )
        for group in groups
    ]  # fmt: skip
    found = Findings(partition=0, epoch_at_ms=epoch_at_ms, adds=tuple(adds))
    return close_epoch(Book(epoch_at_ms=epoch_at_ms - EPOCH_MS), [found], PARAMETERS)


def test_a_state_that_adds_badly_is_one_candidate_in_each_of_its_groups() -> None:
    book = adds_found("pm.up.S1.a|add", "pm.up.S1.b|add", "pm.up.S2.a|add", "pm.up.S2.b|add", "pm.up.S2.c|add", S1=-0.9)
    assert {(lesson.group, lesson.lever, lesson.direction, lesson.ordinal) for lesson in book.lessons.values()} == {
        ("pm.up.S1.a|add", "phase_scaling.S1", -1, 1),
        ("pm.up.S1.b|add", "phase_scaling.S1", -1, 1),
    }, "the other state, which looks good beside it, waits for its turn"
    assert book.nominations == {"pm_tuning": 1}
    assert {lesson.lever_basis for lesson in book.lessons.values()} == {"state"}
    assert all(lesson.lever_target < 1.0 for lesson in book.lessons.values())
    assert {lever.basis for lever in decision(book).levers} == {"state"}


def test_a_loss_of_a_delta_is_no_reason_for_its_value() -> None:
    assert levers_found(a_lever(evidence=strong(effect_rr=-0.4, error_rr=0.05))).lessons == {}


def test_a_threshold_remembers_its_signal_and_where_it_rests() -> None:
    lever = "signal_thresholds.wait_for_signal"
    found = a_lever(lever, 0.6, basis="signal", signal="DX", neutral=0.25)
    book = levers_found(found)
    (lesson,) = book.lessons.values()
    assert (lesson.lever_basis, lesson.lever_signal, lesson.lever_neutral) == ("signal", "DX", 0.25)
    (told,) = decision(book).levers
    assert (told.basis, told.signal, told.neutral) == ("signal", "DX", 0.25)
    known = (Knob(group=GROUPS[0], lever=lever, signal="DX", neutral=0.25),)
    assert decision(book).knobs == known
    retired = msgspec.structs.replace(lesson, state="retired")
    after = decision(msgspec.structs.replace(book, lessons={lesson.id: retired}))
    assert (after.levers, after.knobs) == ((), known), "what was moved once may have been logged moved"


def test_a_threshold_on_another_signal_leaves_the_first_knob_known() -> None:
    lever, at_ms = "signal_thresholds.wait_for_signal", START_MS + 2 * EPOCH_MS
    first = levers_found(a_lever(lever, 0.6, basis="signal", signal="DX", neutral=0.25))
    lessons = {
        name: msgspec.structs.replace(lesson, state="retired", changed_at_ms=START_MS)
        for name, lesson in first.lessons.items()
    }
    book = msgspec.structs.replace(first, lessons=lessons)
    for signal, neutral in (("OX", 0.4), ("DX", 0.5)):
        found = a_lever(lever, 0.7, basis="signal", signal=signal, neutral=neutral)
        test = msgspec.structs.replace(first.tests[GROUPS[0]], levers=(found,))
        after = close_epoch(book, [Findings(partition=0, epoch_at_ms=at_ms, tests=(test,))], PARAMETERS)
        assert [lesson.lever_signal for lesson in after.lessons.values()] == [signal], "the lesson is one"
        state = BookState()
        state.apply(BOOK_KEY, stored_book(after))
        assert state.book is not None
        known = {knob.signal: knob.neutral for knob in decision(state.book).knobs}
        assert known == {"DX": 0.25} | ({"OX": 0.4} if signal == "OX" else {})


def test_everything_looked_at_is_paid_for() -> None:
    found = a_lever(evidence=strong(effect_rr=0.4, error_rr=0.05, p_value=1e-5))
    assert len(levers_found(found, looked_at=(0, 1_000, 0, 0)).lessons) == 1
    assert len(levers_found(found, looked_at=(0, 2_000, 0, 0)).lessons) == 0


def test_a_lever_is_judged_at_the_epoch_of_its_search_and_pays_for_all_of_it() -> None:
    """A later test of the other group has no levers: what it looked at on Monday is not forgiven."""
    quiet, busy = (
        GroupTest(
            group=group, trades=100, lessons_version=0, tested_by_dims=(0, 0, 0), candidates=(),
            levers_tested_by_dims=(0, looked_at, 0, 0), levers=levers,
        )
        for group, looked_at, levers in (
            (GROUPS[0], 10, (a_lever(evidence=strong(effect_rr=0.4, error_rr=0.05, p_value=1e-5)),)),
            (GROUPS[1], 10**6, ()),
        )
    )  # fmt: skip
    at_ms = START_MS + EPOCH_MS
    first = Findings(partition=0, epoch_at_ms=at_ms, tests=(quiet, busy))
    book = close_epoch(Book(epoch_at_ms=START_MS), [first], PARAMETERS)
    assert book.lessons == {}
    again = Findings(partition=0, epoch_at_ms=at_ms + EPOCH_MS, tests=(a_test(GROUPS[1], 5),))
    assert close_epoch(book, [again], PARAMETERS).lessons == {}
    alone = close_epoch(Book(epoch_at_ms=START_MS), [msgspec.structs.replace(first, tests=(quiet,))], PARAMETERS)
    assert len(alone.lessons) == 1
