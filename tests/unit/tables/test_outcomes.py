"""Outcome and epochs tables: what is written is what the columns and the progress hold."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.findings import Decided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import Passed, Progress
from learning.rows import Row, row_of
from leverloop.errors import InvariantBroken
from leverloop.scope import DEFAULT_SCHEMA
from tables.outcomes import DECIDED_KEY, EpochsState, OutcomesState, read_outcome, stored_outcome, stored_progress
from tests.laws.examples import EPOCH_MS, START_MS, an_outcome

GROUP_OF = {"a": "pm.up.S1.a|entry", "b": "pm.up.S1.b|entry", "c": "pm.up.S1.b|entry"}


def a_view() -> OutcomesPartition:
    return OutcomesPartition(0, ("x/0",), Parameters(), DEFAULT_SCHEMA)


def a_row(name: str, rr: float, counts_from_ms: int) -> Row:
    return row_of(an_outcome(name, group=GROUP_OF[name], rr=rr), counts_from_ms, DEFAULT_SCHEMA)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(-10, 10), st.booleans()), max_size=15),
    st.lists(st.integers(0, 15)),
)
def test_the_last_record_of_a_key_wins_one_by_one_and_in_any_batches(
    steps: list[tuple[str, float, bool]], cuts: list[int]
) -> None:
    held: dict[str, Row] = {}
    records: list[tuple[bytes, bytes | None]] = []
    for i, (name, rr, removed) in enumerate(steps):
        row = a_row(name, rr, START_MS + i * EPOCH_MS)
        records.append((name.encode(), None if removed else stored_outcome(row)))
        held.pop(name, None)
        if not removed:
            held[name] = row
    single, batched = OutcomesState(a_view()), OutcomesState(a_view())
    for key, value in records:
        single.apply(key, value)
    borders = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for first, last in pairwise(borders):
        batched.load(records[first:last])
    for state in (single, batched):
        assert sorted(state.view.rows()) == sorted(held.values())
        assert dict(state.records()) == {name.encode(): stored_outcome(row) for name, row in held.items()}
        assert len(state) == len(held)


@given(st.binary(max_size=40), st.integers(0, 10_000))
def test_a_damaged_record_is_told_from_a_sound_one(junk: bytes, at: int) -> None:
    value = stored_outcome(a_row("a", 1.5, START_MS))
    assert read_outcome(b"a", value) == a_row("a", 1.5, START_MS)
    cut = at % len(value)
    for damaged in (value[:cut] + junk + value[cut:], value[:cut], value[:cut] + junk, value[:1] + junk):
        if damaged != value:
            with pytest.raises(InvariantBroken):
                read_outcome(b"a", damaged)


def test_a_recovered_state_tracks_its_subsets() -> None:
    state = OutcomesState(a_view())
    state.load([(name.encode(), stored_outcome(a_row(name, 1.0, START_MS))) for name in "abc"])
    assert state.view.lattices == {}
    state.recovered()
    assert {group: lattice.trades for group, lattice in state.view.lattices.items()} == dict.fromkeys(
        GROUP_OF.values(), 1
    )


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
