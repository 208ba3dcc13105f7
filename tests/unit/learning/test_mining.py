"""Mining: what one partition says at an epoch, and which groups it tests again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells, day_of
from learning.findings import AcceptedLesson, Decided, Findings, StandingLever
from learning.mining import _due, mine
from learning.parameters import Parameters
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, an_outcome

PARAMETERS = Parameters()
ENTRY, EXIT = "pm.up.S1.a|entry", "pm.up.S0.x|exit"


def groups_of(trades: int, *, exits: bool = True) -> dict[str, GroupCells]:
    """Trades of one entry and one exit each, four a day, half of them micro."""
    entry, leave = (GroupCells(name, "pm", DEFAULT_SCHEMA) for name in (ENTRY, EXIT))
    for i in range(trades):
        closed_at_ms = START_MS + i * DAY_MS // 4
        scope = {"bucket": "micro" if i % 2 else "mid", "timeframe": "1h"}
        common = {"closed_at_ms": closed_at_ms, "scope": scope, "rr": (i % 5) - 1.5}
        counts_from_ms = -(-closed_at_ms // EPOCH_MS) * EPOCH_MS
        entry.put(an_outcome(f"e{i}", f"t{i}", group=ENTRY, **common), counts_from_ms)
        if exits:
            leave.put(an_outcome(f"x{i}", f"t{i}", group=EXIT, first_of_trade=False, **common), counts_from_ms)
    return {ENTRY: entry, EXIT: leave} if exits else {ENTRY: entry}


def mined(groups: dict[str, GroupCells], epoch_at_ms: int, decided: Decided) -> Findings:
    return mine(groups, epoch_at_ms, decided, partition=3, parameters=PARAMETERS, schema=DEFAULT_SCHEMA)


def test_it_counts_what_closed_by_the_epoch_and_each_trade_once() -> None:
    found = mined(groups_of(40), START_MS + 3 * DAY_MS, Decided(epoch_at_ms=START_MS))
    assert (found.partition, found.epoch_at_ms, found.outcomes, found.trades) == (3, START_MS + 3 * DAY_MS, 26, 13)
    first = int(day_of(START_MS))  # type: ignore[arg-type]
    assert [(day - first, n) for day, n, _ in found.days] == [(0, 4), (1, 4), (2, 4), (3, 1)]
    assert sum(rr_q for _, _, rr_q in found.days) == sum(round(((i % 5) - 1.5) * 100_000) for i in range(13))
    assert {part.group: sum(n for _, (n, _) in part.segments) for part in found.baselines} == {ENTRY: 13, EXIT: 13}


def test_a_group_of_later_epochs_is_not_there_yet() -> None:
    found = mined(groups_of(3), START_MS - DAY_MS, Decided(epoch_at_ms=START_MS - 2 * DAY_MS))
    assert (found.outcomes, found.trades, found.baselines, found.days, found.tests) == (0, 0, (), (), ())


def test_a_group_is_tested_with_enough_trades_and_then_when_it_has_grown() -> None:
    groups, at_ms = groups_of(40), START_MS + 20 * DAY_MS
    found = mined(groups, at_ms, Decided(epoch_at_ms=at_ms - EPOCH_MS))
    assert [(test.group, test.trades) for test in found.tests] == [(EXIT, 40), (ENTRY, 40)]
    same = Decided(epoch_at_ms=at_ms - EPOCH_MS, tested={ENTRY: (40, 0), EXIT: (39, 0)})
    assert [test.group for test in mined(groups, at_ms, same).tests] == [EXIT]
    other_lessons = Decided(epoch_at_ms=at_ms - EPOCH_MS, lessons_version=1, tested={ENTRY: (40, 0), EXIT: (40, 1)})
    assert [test.group for test in mined(groups, at_ms, other_lessons).tests] == [ENTRY]
    assert mined(groups_of(19), at_ms, Decided(epoch_at_ms=at_ms - EPOCH_MS)).tests == ()


def test_the_evidence_of_a_lesson_comes_from_its_own_group_whether_that_is_tested_or_not() -> None:
    at_ms = START_MS + 20 * DAY_MS
    lessons = (
        AcceptedLesson(id="ls_e", group=ENTRY, scope={"bucket": "micro"}, effect_rr=0.1),
        AcceptedLesson(id="ls_gone", group=ENTRY, scope={"bucket": "xl"}, effect_rr=0.1),
        AcceptedLesson(id="ls_other", group="pm.up.S9.z|add", scope={"bucket": "micro"}, effect_rr=0.1),
    )
    decided = Decided(epoch_at_ms=at_ms - EPOCH_MS, lessons=lessons, tested={ENTRY: (40, 0), EXIT: (40, 0)})
    found = mined(groups_of(40), at_ms, decided)
    assert found.tests == ()
    assert set(found.evidence) == {"ls_e"}
    assert (found.evidence["ls_e"].stats.n, found.evidence["ls_e"].epoch_at_ms) == (20, at_ms)


def test_tests_use_what_the_last_decision_knew_and_statistics_what_closed_since() -> None:
    lesson = AcceptedLesson(id="ls_e", group=ENTRY, scope={"timeframe": "1h"}, effect_rr=0.0)
    at_ms = START_MS + 9 * DAY_MS
    groups = groups_of(37, exits=False)
    # All trades are inside: there is nothing to compare with, until one is not.
    groups[ENTRY].put(an_outcome("other", "other", group=ENTRY, scope={}, closed_at_ms=START_MS), START_MS)
    decided = Decided(epoch_at_ms=START_MS + 2 * DAY_MS, lessons=(lesson,))
    found = mined(groups, at_ms, decided)
    assert found.evidence["ls_e"].stats.n == 37
    assert found.tests[0].trades == 38


@given(st.integers(0, 500), st.none() | st.tuples(st.integers(20, 500), st.integers(0, 2)), st.integers(0, 2))
def test_due_is_growth_by_two_percent_or_twenty_trades_or_other_lessons(
    trades: int, last: tuple[int, int] | None, version: int
) -> None:
    due = _due(trades, last, version, PARAMETERS)
    if trades < 20:
        assert not due
    elif last is None or last[1] != version:
        assert due
    else:
        grown = abs(trades - last[0])
        assert due is (grown >= 1 and (grown >= 20 or grown >= 0.02 * last[0]))


@pytest.mark.parametrize("order", [1, -1])
def test_groups_speak_in_the_order_of_their_names(order: int) -> None:
    groups = dict(list(groups_of(40).items())[::order])
    found = mined(groups, START_MS + 20 * DAY_MS, Decided(epoch_at_ms=START_MS + 19 * DAY_MS))
    assert [part.group for part in found.baselines] == [EXIT, ENTRY]


def test_how_far_sizes_were_moved_over_the_last_day() -> None:
    """Four entries a day, every other one micro; exits have no size."""
    at_ms = START_MS + 9 * DAY_MS
    lessons = tuple(
        AcceptedLesson(id=name, group=ENTRY, scope=scope, effect_rr=0.0, size_mult=size)
        for name, scope, size in (("ls_a", {"bucket": "micro"}, 1.21), ("ls_b", {"timeframe": "1h"}, 1.0))
    )
    found = mined(groups_of(40), at_ms, Decided(epoch_at_ms=at_ms - EPOCH_MS, lessons=lessons))
    assert found.moved_sizes == (4, 2 * 210_000_000)


MONDAY_MS = START_MS + 5 * DAY_MS + EPOCH_MS
"""2025-01-06T06:00Z: what is due daily at one and on Mondays at three is due."""
SCALED = StandingLever(
    id="s",
    group="pm.up.S3.z|add",
    scope={},
    lever="phase_scaling.S3",
    target=1.2,
    created_at_ms=START_MS,
    basis="state",
)


@pytest.mark.parametrize(
    ("epoch_at_ms", "levers", "sent"),
    [
        (MONDAY_MS, (), ["pm.down.S1.a|add", "pm.up.S1.a|add"]),
        (MONDAY_MS + DAY_MS, (), []),
        (MONDAY_MS + DAY_MS, (SCALED,), ["pm.up.S1.a|add"]),
        (MONDAY_MS + DAY_MS + EPOCH_MS, (SCALED,), []),
    ],
)
def test_adds_by_state_are_told_weekly_and_daily_where_a_scaling_of_their_family_stands(
    epoch_at_ms: int, levers: tuple[StandingLever, ...], sent: list[str]
) -> None:
    names = ("pm.up.S1.a|add", "pm.up.S0.a|add", "pm.up.S1.a|trim", "pm.down.S1.a|add", "pm.new.S1.a|add")
    groups = {name: GroupCells(name, "pm", DEFAULT_SCHEMA) for name in names}
    for name in names[:-1]:
        for i in range(3):
            groups[name].put(an_outcome(f"{name}{i}", f"t{i}", group=name, rr=1.0 + i), START_MS + EPOCH_MS)
    groups[names[-1]].put(an_outcome("late", "late", group=names[-1]), epoch_at_ms + EPOCH_MS)
    found = mined(groups, epoch_at_ms, Decided(epoch_at_ms=epoch_at_ms - EPOCH_MS, levers=levers))
    assert [each.group for each in found.adds] == sent
    for each in found.adds:
        assert [(day.state, day.n, day.rr_q) for day in each.days] == [("S1", 3, 600_000)]
        assert each.stats.n == 3


def test_before_the_first_decision_adds_are_counted_and_none_is_compared() -> None:
    cells = GroupCells("pm.up.S1.a|add", "pm", DEFAULT_SCHEMA)
    cells.put(an_outcome(group=cells.group), START_MS + EPOCH_MS)
    (found,) = mined({cells.group: cells}, MONDAY_MS, Decided(epoch_at_ms=0)).adds
    assert (found.days, found.stats.n) == ((), 1)
