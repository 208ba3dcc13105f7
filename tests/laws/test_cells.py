"""Cells: any sequence of inserts, changes and removals is what a rebuild from scratch gives (spec section 6)."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from learning.cells import RR_SCALE, GroupCells, quantised
from learning.outcome import Companion, Outcome
from learning.packing import PackedRows
from learning.rows import row_of
from leverloop.events import Controls
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import EPOCH_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
OTHERS = "pm.uptrend.S0.exit|exit"
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
        rr_capped=draw(st.booleans()),
        controls=Controls(signals=draw(st.dictionaries(st.sampled_from(["TS", "OX"]), st.floats(0, 1)))),
        companions=tuple(
            Companion(group=group, scope=scope)
            for group, scope in draw(st.lists(st.tuples(st.sampled_from([GROUP, OTHERS]), scopes), max_size=3))
        ),
    )


@st.composite
def batches(draw: st.DrawFn, wanted: dict[str, int]) -> list[tuple[Outcome, int]]:
    return [(draw(outcomes_of(name)), epoch) for name, epoch in wanted.items()]


def fresh() -> GroupCells:
    return GroupCells(GROUP, "pm", DEFAULT_SCHEMA)


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
        assert self.cells.remove(name.encode()) is (name in self.held)
        self.held.pop(name, None)

    @rule(found=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(EPOCHS)).flatmap(batches))
    def load(self, found: list[tuple[Outcome, int]]) -> None:
        """Many at once are what they are one by one."""
        rows = [row_of(outcome, epoch, DEFAULT_SCHEMA) for outcome, epoch in found]
        self.cells.load(PackedRows.of(rows))
        self.held |= {outcome.outcome_id: (outcome, epoch) for outcome, epoch in found}

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
            assert len(rows) == len(expected)
            assert int(self.cells.column("rr_q", rows).sum()) == sum(
                quantised(self.held[name][0].rr) for name in expected
            )

    @invariant()
    def answers_which_rows_match(self) -> None:
        rows = np.arange(self.cells.n)
        held = [self.held[row.outcome_id.decode()][0] for row in self.cells.rows()]
        for scope in PROBES:
            inside = [scope.items() <= o.scope.items() for o in held]
            assert self.cells.matching(scope, rows).tolist() == inside
            met = [any(c.group == OTHERS and scope.items() <= c.scope.items() for c in o.companions) for o in held]
            assert self.cells.met(OTHERS, scope, rows).tolist() == met
            either = [
                found or any(c.group == GROUP and scope.items() <= c.scope.items() for c in o.companions)
                for found, o in zip(inside, held, strict=True)
            ]
            assert self.cells.met(GROUP, scope, rows).tolist() == either

    @invariant()
    def gives_back_what_was_put(self) -> None:
        assert sorted(self.cells.rows()) == sorted(row_of(*each, DEFAULT_SCHEMA) for each in self.held.values())
        rows = np.arange(self.cells.n)
        held = [self.held[row.outcome_id.decode()][0] for row in self.cells.rows()]
        for name in ("TS", "OX"):
            wanted = [np.float32(o.controls.signals.get(name, np.nan)) for o in held]
            assert np.array_equal(self.cells.measure(f"signals.{name}", rows), wanted, equal_nan=True)


def decoded(cells: GroupCells, epoch: int) -> list[tuple[Any, ...]]:
    """Counted rows in their order, with everything that statistics read; codes as values."""
    rows = cells.counted(epoch)
    names = ("rr_q", "trade", "action", "action_at_ms", "closed_at_ms", "hold_ms", "payback_ms", "counts_from_ms")
    flags = ("first_of_trade", "first_of_category")
    columns = [cells.column(name, rows).tolist() for name in (*names, *flags)]
    scopes_of = [sorted(cells.scope_of(codes).items()) for codes in cells.codes(rows)]
    return list(zip(scopes_of, *columns, strict=True))


CellsMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestCells = CellsMachine.TestCase


@given(st.permutations([an_outcome(f"a{i}", f"t{i % 7}", scope={"bucket": "micro"}, rr=i / 7) for i in range(20)]))
def test_the_order_of_counted_rows_is_not_that_of_arrival(arrival: list[Outcome]) -> None:
    cells = fresh()
    for outcome in arrival:
        cells.put(outcome, START_MS)
    found = decoded(cells, START_MS)
    straight = fresh()
    for i in range(20):
        straight.put(next(o for o in arrival if o.outcome_id == f"a{i}"), START_MS)
    assert found == decoded(straight, START_MS)
    trades = straight.column("trade", straight.counted(START_MS))
    assert (np.flatnonzero(np.diff(trades)) + 1).size == 6, "rows of a trade stand together"


def test_cells_grow_past_their_first_capacity() -> None:
    cells = fresh()
    for i in range(700):
        cells.put(an_outcome(f"a{i}", f"t{i}", scope={"bucket_rank_position": i % 6 + 1}, rr=i / 100), START_MS)
    rows = cells.counted(START_MS)
    assert sorted(row.outcome_id for row in cells.rows()) == sorted(b"a%d" % i for i in range(700))
    assert int(cells.column("rr_q", rows).sum()) == sum(quantised(i / 100) for i in range(700))


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
