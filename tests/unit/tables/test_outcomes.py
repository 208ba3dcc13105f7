"""Outcome and epochs tables: what is written is what the columns and the progress hold."""

from hypothesis import given
from hypothesis import strategies as st

from learning.findings import Decided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import Passed, Progress
from leverloop.scope import DEFAULT_SCHEMA
from tables.outcomes import DECIDED_KEY, EpochsState, OutcomesState, StoredOutcome, stored_outcome, stored_progress
from tests.laws.examples import EPOCH_MS, START_MS, an_outcome

NAMES = st.sampled_from(["a", "b", "c"])
GROUPS = st.sampled_from(["pm.up.S1.a|entry", "pm.up.S1.b|entry"])


def a_view() -> OutcomesPartition:
    return OutcomesPartition(0, ("x/0",), Parameters(), DEFAULT_SCHEMA)


@given(st.lists(st.tuples(NAMES, GROUPS, st.floats(-10, 10), st.booleans()), max_size=15))
def test_the_last_record_of_a_key_wins(records: list[tuple[str, str, float, bool]]) -> None:
    state, held = OutcomesState(a_view()), {}
    for i, (name, group, rr, removed) in enumerate(records):
        if removed:
            state.apply(name.encode(), None)
            held.pop(name, None)
        else:
            stored = StoredOutcome(counts_from_ms=START_MS + i * EPOCH_MS, outcome=an_outcome(name, group=group, rr=rr))
            state.apply(name.encode(), stored_outcome(stored))
            held[name] = stored
    found = {
        outcome.outcome_id: StoredOutcome(cells.counts_from(outcome.outcome_id) or 0, outcome)
        for cells in state.view.groups.values()
        for outcome in cells.outcomes(cells.counted(2**53))
    }
    assert found == held
    assert len(state) == len(held)


def test_progress_is_read_back_per_source() -> None:
    state = EpochsState()
    decided = Decided(epoch_at_ms=START_MS, lessons_version=3)
    state.apply(b"leverloop.trades/0", stored_progress(Passed(first_at_ms=START_MS, newest_at_ms=START_MS)))
    state.apply(b"leverloop.trades/0", stored_progress(Passed(first_at_ms=START_MS, newest_at_ms=START_MS + EPOCH_MS)))
    state.apply(DECIDED_KEY, stored_progress(decided))
    assert state.progress == Progress(
        inputs={"leverloop.trades/0": Passed(first_at_ms=START_MS, newest_at_ms=START_MS + EPOCH_MS)}, decided=decided
    )
    assert len(state) == 2
    state.apply(b"leverloop.trades/0", None)
    assert len(state) == 2, "nobody deletes progress: a tombstone of a compaction tool takes nothing back"
