"""An outcomes partition: its groups follow its outcomes; reports are in tests/unit/streams/test_accumulate.py."""

from hypothesis import given
from hypothesis import strategies as st

from learning.outcome import OutcomeVoided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import passed
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, an_outcome

GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|entry")
INPUTS = ("a/0", "b/0")


def a_partition() -> OutcomesPartition:
    return OutcomesPartition(0, INPUTS, Parameters(), DEFAULT_SCHEMA)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20))
def test_an_outcome_stands_once_in_its_group(steps: list[tuple[str, bool]]) -> None:
    partition, held = a_partition(), {}
    group_of = {"a": GROUPS[0], "b": GROUPS[1], "c": GROUPS[0]}
    for name, void in steps:
        if void:
            partition.void(OutcomeVoided(outcome_id=name, trade_id="t1", group=group_of[name]))
            held.pop(name, None)
        else:
            partition.put(an_outcome(name, group=group_of[name]), START_MS)
            held[name] = group_of[name]
    assert len(partition) == len(held)
    found = {row.outcome_id.decode(): group for group, cells in partition.groups.items() for row in cells.rows()}
    assert found == held


def test_outcomes_of_trades_closed_a_year_ago_are_outdated() -> None:
    partition = a_partition()
    for name, days in (("b", 0), ("a", 1), ("c", 2)):
        closed_at_ms = START_MS + days * DAY_MS
        partition.put(an_outcome(name, opened_at_ms=START_MS, closed_at_ms=closed_at_ms, group=GROUPS[days % 2]), 0)
    assert partition.outdated(START_MS + 365 * DAY_MS) == []
    assert partition.outdated(START_MS + 367 * DAY_MS) == ["a", "b"]


def test_a_revision_keeps_the_epoch_that_the_outcome_had() -> None:
    partition = a_partition()
    first = partition.counts_from_ms(an_outcome("a"))
    partition.put(an_outcome("a"), first)
    for source in INPUTS:
        partition.progress = passed(partition.progress, source, START_MS + 4 * EPOCH_MS)
    assert partition.counts_from_ms(an_outcome("a", rr=-1.0, revision=1)) == first == START_MS + EPOCH_MS
    assert partition.counts_from_ms(an_outcome("b")) == START_MS + 5 * EPOCH_MS
    partition.remove("a")
    assert partition.counts_from_ms(an_outcome("a")) == START_MS + 5 * EPOCH_MS, "taken back, it is new again"


def test_nothing_is_due_before_every_input_has_spoken() -> None:
    partition = a_partition()
    assert partition.report() is None
    partition.progress = passed(partition.progress, INPUTS[0], START_MS)
    assert partition.report() is None
    partition.progress = passed(partition.progress, INPUTS[1], START_MS - EPOCH_MS)
    proposal = partition.report()
    assert proposal is not None
    assert (proposal.epoch_at_ms, proposal.first_epoch_at_ms) == (0, START_MS - EPOCH_MS)
