"""The lattice: whatever happens to outcomes, its sums are those of an enumeration from scratch, bit for bit."""

from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from learning.cells import GroupCells
from learning.lattice import Lattice, Sums
from learning.outcome import Outcome
from learning.packing import Joined, PackedRows
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.rows import packed, quantised, row_of
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
NAMES = [f"a{i}" for i in range(12)]
PARAMETERS = Parameters(n_min_by_dims=(2, 2, 3))
EVERYTHING = START_MS
Content = tuple[tuple[tuple[str, Any], ...], Sums]

scopes = st.fixed_dictionaries(
    {},
    optional={
        "macro_phase": st.sampled_from(["Good", "Dip"]),
        "bucket": st.sampled_from(["nano", "micro"]),
        "timeframe": st.sampled_from(["1h", "4h"]),
        "bucket_rank_position": st.integers(1, 3),
    },
)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    number = draw(st.integers(0, len(NAMES) - 1))
    return an_outcome(
        NAMES[number],
        f"t{number % 5}",  # up to three actions of a trade
        scope=draw(scopes),
        action_at_ms=START_MS + draw(st.integers(0, 2)) * HOUR_MS,
        closed_at_ms=START_MS + 4 * HOUR_MS,
        rr=draw(st.floats(-10, 10)),
        payback_ms=draw(st.none() | st.integers(0, 10**9)),
    )


def counted(held: dict[str, Outcome]) -> dict[tuple[tuple[str, Any], ...], Sums]:
    """Sums of every subset, tracked or not, by plain counting."""
    inside: dict[Any, list[Outcome]] = defaultdict(list)
    for outcome in held.values():
        pinned = list(DEFAULT_SCHEMA.ordered(outcome.scope).items())
        for k in range(len(pinned) + 1):
            for subset in combinations(pinned, k):
                inside[subset].append(outcome)
    return {subset: summed(found) for subset, found in inside.items()}


def summed(found: list[Outcome]) -> Sums:
    def order(outcome: Outcome) -> tuple[int, int]:
        fixed = np.frombuffer(row_of(outcome, 0, DEFAULT_SCHEMA).fixed[8:16], dtype="<i8")
        return outcome.action_at_ms, int(fixed[0])

    first: dict[str, Outcome] = {}
    for outcome in sorted(found, key=order):
        first.setdefault(outcome.trade_id, outcome)
    rr_q = [quantised(outcome.rr) for outcome in first.values()]
    return Sums(
        n=len(first),
        n_actions=len(found),
        wins=sum(each > 0 for each in rr_q),
        rr_q=sum(rr_q),
        rr_q2=sum(each * each for each in rr_q),
        payback_ms=sum(
            o.closed_at_ms - o.opened_at_ms if o.payback_ms is None else o.payback_ms for o in first.values()
        ),
    )


def contents(lattice: Lattice) -> dict[tuple[tuple[str, Any], ...], Sums]:
    """Every node by its scope."""
    found = {}
    for codes in lattice.codes():
        sums = lattice.find(codes)
        assert sums is not None
        found[tuple(lattice.cells.scope_of(codes).items())] = sums
    assert len(found) == len(lattice.pins), "each subset once"
    return found


def from_scratch(held: dict[str, Outcome]) -> dict[tuple[tuple[str, Any], ...], Sums]:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for name in sorted(held):
        cells.put(held[name], START_MS)
    return contents(Lattice(cells, PARAMETERS, 3))


class LatticeMachine(RuleBasedStateMachine):
    """A partition whose tracked subsets follow inserts, duplicates, revisions, voids and promotions."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = OutcomesPartition(0, (), PARAMETERS, DEFAULT_SCHEMA)
        self.held: dict[str, Outcome] = {}

    @property
    def lattice(self) -> Lattice | None:
        return self.partition.lattices.get(GROUP)

    @rule(outcome=outcomes())
    def put(self, outcome: Outcome) -> None:
        self.partition.put(outcome, START_MS)
        self.held[outcome.outcome_id] = outcome

    @rule(name=st.sampled_from(NAMES))
    def again(self, name: str) -> None:
        if name in self.held:
            self.partition.put(self.held[name], START_MS)

    @rule(name=st.sampled_from(NAMES))
    def void(self, name: str) -> None:
        self.partition.remove(name)
        self.held.pop(name, None)

    @rule(outcome=outcomes())
    def add_and_take_back(self, outcome: Outcome) -> None:
        """Taking back what was added restores every byte."""
        lattice = self.lattice
        if lattice is None or outcome.outcome_id in self.held:
            return
        before = lattice.nodes.tobytes()
        self.partition.put(outcome, START_MS)
        self.partition.remove(outcome.outcome_id)
        assert lattice.nodes.tobytes() == before

    @rule()
    def promote(self) -> None:
        self.partition.promote()

    @rule()
    def enumerate(self) -> None:
        if self.lattice is not None:
            self.lattice.enumerate()
            assert contents(self.lattice) == from_scratch(self.held)

    @invariant()
    def every_node_is_what_counting_gives(self) -> None:
        if self.lattice is None:
            return
        truth = counted(self.held)
        found = contents(self.lattice)
        nothing = Sums(n=0, n_actions=0, wins=0, rr_q=0, rr_q2=0, payback_ms=0)
        assert found == {scope: truth.get(scope, nothing) for scope in found}
        tracked = [scope for scope, sums in found.items() if scope and sums.n >= PARAMETERS.n_min(len(scope))]
        assert len(self.lattice) == len(tracked)


LatticeMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLattice = LatticeMachine.TestCase


@given(st.lists(outcomes(), max_size=30).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_an_enumeration_tracks_what_is_frequent_enough_whatever_came_first(both: tuple[list[Outcome], ...]) -> None:
    held = {outcome.outcome_id: outcome for outcome in both[0]}
    truth = counted(held)
    expected = {
        scope: sums for scope, sums in truth.items() if 0 < len(scope) <= 3 and sums.n >= PARAMETERS.n_min(len(scope))
    }
    found = from_scratch(held)
    root = found.pop((), None)
    assert found == expected
    assert root == truth.get((), root)
    assert from_scratch({o.outcome_id: held[o.outcome_id] for o in both[1]}) == from_scratch(held)


def test_a_dimension_of_many_values_is_searched_and_not_walked_through() -> None:
    partition = OutcomesPartition(0, (), PARAMETERS, DEFAULT_SCHEMA)
    group = "dm.alloc.any.buy|allocation"
    held = {}
    for i in range(3_000):
        scope = {"curator": f"c{i % 500}", "chain": f"n{i % 7}", "intent": f"i{i % 90}"}
        held[f"a{i}"] = an_outcome(f"a{i}", f"t{i}", module="dm", group=group, scope=scope, rr=i % 13 - 6)
    for name in list(held)[:2_500]:
        partition.put(held[name], START_MS)
    partition.promote()
    for name in list(held)[2_500:]:
        partition.put(held[name], START_MS)
    truth = counted(held)
    found = contents(partition.lattices[group])
    assert len(found) > 600
    assert found == {scope: truth[scope] for scope in found}


def test_a_group_is_enumerated_again_when_it_has_grown() -> None:
    partition = OutcomesPartition(0, (), PARAMETERS, DEFAULT_SCHEMA)
    for i in range(1_000):
        partition.put(an_outcome(f"a{i}", f"t{i}", scope={"bucket": "micro"}), START_MS)
    partition.promote()
    nodes = len(partition.lattices[GROUP].pins)
    for i in range(19):
        partition.put(an_outcome(f"b{i}", f"u{i}", scope={"bucket": "nano"}), START_MS)
        partition.promote()
    assert len(partition.lattices[GROUP].pins) == nodes, "less than 20 trades and 2 %"
    partition.put(an_outcome("c", "v", scope={"bucket": "nano"}), START_MS)
    partition.promote()
    assert len(partition.lattices[GROUP].pins) > nodes


def test_a_million_trades_at_the_bounds_sum_up_exactly() -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    row = row_of(an_outcome(scope={"bucket": "micro"}, rr=-10.0), START_MS, DEFAULT_SCHEMA)
    n = 1_000_000
    fixed = bytearray(row.fixed * n)
    numbers = np.frombuffer(fixed, dtype=np.uint8).reshape(n, len(row.fixed))
    numbers[:, :8] = np.arange(n, dtype="<i8").view(np.uint8).reshape(n, 8)  # a trade each
    numbers[:, 8:16] = numbers[:, :8]
    size, before = len(row.fixed), len(packed(row)) - len(packed(row).partition(row.fixed)[2]) - len(row.fixed)
    head, tail = packed(row)[:before], packed(row)[before + size :]
    rows = [head + bytes(fixed[i * size : (i + 1) * size]) + tail for i in range(n)]
    cells.load(PackedRows(Joined.of([b"%d" % i for i in range(n)]), Joined.of(rows)))
    lattice = Lattice(cells, Parameters(), 1)
    sums = lattice.find(cells.codes_of({"bucket": "micro"}))
    assert sums is not None
    assert (sums.n, sums.rr_q, sums.rr_q2) == (n, -n * 1_000_000, n * 1_000_000**2)
