"""Cells: any sequence of inserts, changes and removals is what a rebuild from scratch gives (spec section 6)."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from learning.cells import RR_SCALE, GroupCells, quantised
from learning.outcome import Outcome
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import EPOCH_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
NAMES = ("a", "b", "c", "d", "e", "f")
EPOCHS = (START_MS, START_MS + EPOCH_MS, START_MS + 2 * EPOCH_MS)

scopes = st.fixed_dictionaries(
    {},
    optional={
        "bucket": st.sampled_from(["nano", "micro", "mid"]),
        "timeframe": st.sampled_from(["1h", "4h"]),
        "bucket_rank_position": st.integers(1, 6),
    },
)
PROBES: tuple[dict[str, Any], ...] = (
    {"bucket": "micro"},
    {"bucket": "mid", "timeframe": "1h"},
    {"bucket_rank_position": 1},
    {"bucket": "xl"},
    {"chain": "sol"},
)


@st.composite
def outcomes_of(draw: st.DrawFn, name: str) -> Outcome:
    return an_outcome(
        name,
        draw(st.sampled_from(["t1", "t2", "t3"])),
        scope=draw(scopes),
        action_at_ms=START_MS + draw(st.integers(0, 3)) * HOUR_MS,
        rr=draw(st.floats(-10, 10)),
        payback_ms=draw(st.none() | st.integers(0, 10**9)),
        first_of_trade=draw(st.booleans()),
        first_of_category=draw(st.booleans()),
    )


def fresh() -> GroupCells:
    return GroupCells(GROUP, "pm", DEFAULT_SCHEMA)


def is_long(outcome: Outcome) -> bool:
    return outcome.rr > 0


class CellsMachine(RuleBasedStateMachine):
    """Cells beside a dictionary of what they should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = fresh()
        self.held: dict[str, tuple[Outcome, int]] = {}

    @rule(outcome=st.sampled_from(NAMES).flatmap(outcomes_of), epoch=st.sampled_from(EPOCHS))
    def put(self, outcome: Outcome, epoch: int) -> None:
        self.cells.put(outcome, epoch)
        self.held[outcome.outcome_id] = (outcome, epoch)

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        assert self.cells.remove(name) is (name in self.held)
        self.held.pop(name, None)

    @rule()
    def look(self) -> None:
        """Results of tests are kept: what changes afterwards must be looked at again."""
        self.cells.matches("long", np.arange(self.cells.n), is_long)

    @rule(names=st.sets(st.sampled_from(["long", "other"])))
    def forget_looks(self, names: set[str]) -> None:
        self.cells.keep_matches(names)

    @invariant()
    def holds_what_was_put(self) -> None:
        assert self.cells.n == len(self.held)
        for name in NAMES:
            assert self.cells.counts_from(name) == (self.held[name][1] if name in self.held else None)

    @invariant()
    def is_what_a_rebuild_gives(self) -> None:
        rebuilt = fresh()
        for name in sorted(self.held, reverse=True):
            rebuilt.put(*self.held[name])
        for epoch in EPOCHS:
            assert decoded(self.cells, epoch) == decoded(rebuilt, epoch)

    @invariant()
    def counts_what_counts_by_the_epoch(self) -> None:
        for epoch in EPOCHS:
            rows = self.cells.counted(epoch)
            expected = {name for name, (_, since) in self.held.items() if since <= epoch}
            assert {o.outcome_id for o in self.cells.outcomes(rows)} == expected
            assert int(self.cells.column("rr_q", rows).sum()) == sum(
                quantised(self.held[name][0].rr) for name in expected
            )

    @invariant()
    def answers_which_rows_match(self) -> None:
        rows = np.arange(self.cells.n)
        for scope in PROBES:
            expected = [scope.items() <= o.scope.items() for o in self.cells.outcomes(rows)]
            assert self.cells.matching(scope, rows).tolist() == expected
        assert self.cells.matches("long", rows, is_long).tolist() == [o.rr > 0 for o in self.cells.outcomes(rows)]


def decoded(cells: GroupCells, epoch: int) -> list[tuple[Any, ...]]:
    """Counted rows in their order, with everything that statistics read; codes as values."""
    rows = cells.counted(epoch)
    names = ("rr_q", "trade", "action_at_ms", "closed_at_ms", "hold_ms", "payback_ms", "counts_from_ms")
    flags = ("first_of_trade", "first_of_category")
    columns = [cells.column(name, rows).tolist() for name in (*names, *flags)]
    scopes_of = [sorted(cells.scope_of(codes).items()) for codes in cells.codes(rows)]
    return list(zip([o.outcome_id for o in cells.outcomes(rows)], scopes_of, *columns, strict=True))


CellsMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestCells = CellsMachine.TestCase


@given(st.permutations([an_outcome(f"a{i}", f"t{i % 7}", scope={"bucket": "micro"}, rr=i / 7) for i in range(20)]))
def test_the_order_of_counted_rows_is_not_that_of_arrival(arrival: list[Outcome]) -> None:
    cells = fresh()
    for outcome in arrival:
        cells.put(outcome, START_MS)
    found = [o.outcome_id for o in cells.outcomes(cells.counted(START_MS))]
    straight = fresh()
    for i in range(20):
        straight.put(next(o for o in arrival if o.outcome_id == f"a{i}"), START_MS)
    assert found == [o.outcome_id for o in straight.outcomes(straight.counted(START_MS))]
    trades = straight.column("trade", straight.counted(START_MS))
    assert (np.flatnonzero(np.diff(trades)) + 1).size == 6, "rows of a trade stand together"


def test_cells_grow_past_their_first_capacity() -> None:
    cells = fresh()
    for i in range(700):
        cells.put(an_outcome(f"a{i}", f"t{i}", scope={"bucket_rank_position": i % 6 + 1}, rr=i / 100), START_MS)
        if i == 255:
            cells.matches("long", np.arange(cells.n), is_long)
    rows = cells.counted(START_MS)
    assert sorted(o.outcome_id for o in cells.outcomes(rows)) == sorted(f"a{i}" for i in range(700))
    assert int(cells.column("rr_q", rows).sum()) == sum(quantised(i / 100) for i in range(700))
    assert cells.matches("long", rows, is_long).sum() == 699


def test_sums_of_a_million_trades_at_the_bounds_are_exact_in_64_bits() -> None:
    for bound in (10.0, -10.0):
        rr_q = np.full(1_000_000, quantised(bound), dtype=np.int64)
        assert int(rr_q.sum()) == 1_000_000 * round(bound * RR_SCALE)
        assert int((rr_q**2).sum()) == 1_000_000 * round(bound * RR_SCALE) ** 2
    assert 1_000_000 * (10 * RR_SCALE) ** 2 < 2**63


@given(st.floats(-10, 10))
def test_quantised_is_the_nearest_of_the_steps(rr: float) -> None:
    assert abs(quantised(rr) - rr * RR_SCALE) <= 0.5
    assert quantised(-rr) == -quantised(rr)
