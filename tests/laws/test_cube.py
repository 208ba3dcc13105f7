"""The cube: exactly the subsets that enough distinct trades fall into (spec section 6), against brute force."""

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells
from learning.cube import Cube, enumerate_subsets
from learning.outcome import Outcome
from learning.parameters import Parameters
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import EPOCH_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
DIMENSIONS: dict[str, st.SearchStrategy[Any]] = {
    "macro_phase": st.sampled_from(["Good", "Dip"]),
    "bucket_rank_position": st.integers(1, 3),
    "bucket": st.sampled_from(["nano", "micro", "mid"]),
    "timeframe": st.sampled_from(["1h", "4h"]),
    "E_mode": st.just("patient"),
}


def result(trade: int) -> dict[str, Any]:
    """What a trade made; every other one never paid back, and was held for two hours."""
    return {"rr": (trade - 4) / 3, "payback_ms": trade * 1000 if trade % 2 else None}


scopes = st.fixed_dictionaries({}, optional=DIMENSIONS)
outcomes = st.lists(st.tuples(st.integers(0, 9), scopes, st.booleans()), max_size=40).map(
    lambda rows: [
        (an_outcome(f"a{i}", f"t{trade}", scope=scope, **result(trade)), START_MS + EPOCH_MS * later)
        for i, (trade, scope, later) in enumerate(rows)
    ]
)
n_mins = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda steps: tuple(np.cumsum(steps).tolist()))


def cells_of(rows: list[tuple[Outcome, int]]) -> GroupCells:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for outcome, counts_from_ms in rows:
        cells.put(outcome, counts_from_ms)
    return cells


def brute_force(rows: list[Outcome], parameters: Parameters, max_dims: int) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """Scope -> its sums, by counting every subset of every scope."""
    inside: dict[tuple[Any, ...], list[Outcome]] = {}
    for outcome in rows:
        pinned = [name for name in DEFAULT_SCHEMA.ordered(outcome.scope) if name in DIMENSIONS]
        for k in range(1, max_dims + 1):
            for names in combinations(pinned, k):
                inside.setdefault(tuple((name, outcome.scope[name]) for name in names), []).append(outcome)
    return {
        scope: sums(found)
        for scope, found in inside.items()
        if len({outcome.trade_id for outcome in found}) >= parameters.n_min(len(scope))
    }


def sums(found: list[Outcome]) -> tuple[int, ...]:
    """In the order of the fields of `Cube`: n, n_actions, wins, rr, rr squared, payback."""
    trades = {outcome.trade_id: outcome for outcome in found}.values()
    rr = [round(outcome.rr * 100_000) for outcome in trades]
    waits = [o.closed_at_ms - o.opened_at_ms if o.payback_ms is None else o.payback_ms for o in trades]
    return len(trades), len(found), sum(q > 0 for q in rr), sum(rr), sum(q * q for q in rr), sum(waits)


def read(cells: GroupCells, cube: Cube) -> list[tuple[tuple[Any, ...], tuple[int, ...]]]:
    columns = (cube.n, cube.n_actions, cube.wins, cube.rr_q, cube.rr_q2, cube.payback_ms)
    return [
        (tuple(cells.scope_of(codes).items()), tuple(map(int, row)))
        for codes, row in zip(cube.codes, zip(*columns, strict=True), strict=True)
    ]


@given(outcomes, n_mins, st.integers(1, 6))
def test_it_finds_what_counting_everything_finds(
    rows: list[tuple[Outcome, int]], n_min_by_dims: tuple[int, ...], max_dims: int
) -> None:
    parameters = Parameters(n_min_by_dims=n_min_by_dims)
    cells = cells_of(rows)
    cube = enumerate_subsets(cells, cells.counted(START_MS), parameters, max_dims)
    found = read(cells, cube)
    assert len(dict(found)) == len(found), "each subset once"
    assert dict(found) == brute_force([o for o, since in rows if since <= START_MS], parameters, max_dims)
    assert cube.dims.tolist() == [len(scope) for scope, _ in found]


@given(outcomes.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_its_order_is_not_that_of_arrival(both: tuple[list[tuple[Outcome, int]], list[tuple[Outcome, int]]]) -> None:
    parameters = Parameters(n_min_by_dims=(1,))
    found = []
    for rows in both:
        cells = cells_of(rows)
        found.append(read(cells, enumerate_subsets(cells, cells.counted(START_MS), parameters, 3)))
    assert found[0] == found[1]


def test_the_full_lattice_of_ten_dimensions() -> None:
    scope = {
        "macro_phase": "Dip", "meso_phase": "Dip", "micro_phase": "Dip", "bucket_leader": "xl",
        "bucket_rank_position": 1, "market_family": "perps", "bucket": "xl", "timeframe": "1m",
        "A_mode": "normal", "E_mode": "normal",
    }  # fmt: skip
    cells = cells_of([(an_outcome(f"a{i}", f"t{i}", scope=scope), START_MS) for i in range(50)])
    rows = cells.counted(START_MS)
    assert len(enumerate_subsets(cells, rows, Parameters(), 10).n) == 1023
    assert len(enumerate_subsets(cells, rows[:49], Parameters(), 10).n) == 847, "7 and more dimensions need 50"
    assert len(enumerate_subsets(cells, rows, Parameters(), 4).n) == 385
