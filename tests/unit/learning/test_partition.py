"""An outcomes partition: its groups follow its outcomes; reports are in tests/unit/streams/test_accumulate.py."""

from hypothesis import given
from hypothesis import strategies as st

from learning.outcome import OutcomeVoided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import passed
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import EPOCH_MS, START_MS, an_outcome

GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|entry")
INPUTS = ("a/0", "b/0")


def a_partition() -> OutcomesPartition:
    return OutcomesPartition(0, INPUTS, Parameters(), DEFAULT_SCHEMA)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(GROUPS), st.booleans()), max_size=20))
def test_an_outcome_stands_once_in_the_group_it_was_put_last(steps: list[tuple[str, str, bool]]) -> None:
    partition, held = a_partition(), {}
    for name, group, void in steps:
        if void:
            partition.void(OutcomeVoided(outcome_id=name, trade_id="t1", group=group))
            held.pop(name, None)
        else:
            partition.put(an_outcome(name, group=group), START_MS)
            held[name] = group
    assert len(partition) == len(held)
    found = {
        outcome.outcome_id: group
        for group, cells in partition.groups.items()
        for outcome in cells.outcomes(cells.counted(START_MS))
    }
    assert found == held


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
