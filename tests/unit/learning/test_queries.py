"""Questions to a group, held to laws: every answer is one that counting everything anew would give."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.parameters import Parameters
from learning.queries import COLUMNS, GroupQueries, Subset
from learning.statistics import group_stats
from leverloop.errors import BadInput
from leverloop.scope import DEFAULT_SCHEMA, Scope
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
PARAMETERS = Parameters(n_min_by_dims=(2, 2, 3))
VALUES: dict[str, list[Any]] = {
    "bucket": ["micro", "mid", None],
    "timeframe": ["4h", "1h"],
    "bucket_rank_position": [1, 2, None],
}
UNTIL_MS = START_MS + 40 * DAY_MS

actions = st.lists(
    st.tuples(
        st.integers(0, 12),  # trade
        st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()}),
        st.integers(0, 30),  # day of the close, by trade
    ),
    min_size=1,
    max_size=40,
)
scopes = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(VALUES[name][:2]) for name in names})
)


def asked(drawn: list[Any], parameters: Parameters = PARAMETERS) -> GroupQueries:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    closes = {trade: day for trade, _, day in drawn}
    for i, (trade, scope, _) in enumerate(drawn):
        outcome = an_outcome(
            f"a{i}",
            f"t{trade}",
            scope={name: value for name, value in scope.items() if value is not None},
            rr=math.sin(trade) * 3,
            action_at_ms=START_MS + i,
            closed_at_ms=START_MS + closes[trade] * DAY_MS + trade,
        )
        cells.put(outcome, START_MS + EPOCH_MS)
    return GroupQueries(cells, UNTIL_MS, Baselines([]), parameters, DEFAULT_SCHEMA)


def everything(queries: GroupQueries) -> list[Subset]:
    return queries.top(10**6, "n")


def scope_order(subset: Subset) -> tuple[str, ...]:
    return tuple(str(subset.scope.get(name, "")) for name in DEFAULT_SCHEMA.modules["pm"].dimensions)


def same(a: Subset, b: Subset) -> bool:
    return msgspec.json.encode(a) == msgspec.json.encode(b)


@given(actions, scopes, st.booleans())
def test_a_point_is_what_counting_it_gives(drawn: list[Any], scope: Scope, all_counted: bool) -> None:
    queries = asked(drawn)
    if all_counted:
        assert len(queries.tracked) == len(everything(queries))
    found = queries.point(scope)
    codes = queries.cells.codes_of(found.scope)[np.newaxis]
    counted = group_stats(queries.cells, codes, UNTIL_MS, Baselines([]), PARAMETERS, DEFAULT_SCHEMA)
    assert found.stats == counted.row(0)
    assert found.scope == scope
    trades = {f"t{trade}" for trade, values, _ in drawn if all(values[name] == scope[name] for name in scope)}
    assert found.stats.n == len(trades)
    assert found.tracked == (bool(scope) and len(trades) >= PARAMETERS.n_min(len(scope)))


@given(actions)
def test_what_is_tracked_is_enumerated(drawn: list[Any]) -> None:
    queries = asked(drawn)
    before = queries.n_tracked
    found = everything(queries)
    assert before == queries.n_tracked == len(found)
    assert all(subset.tracked for subset in found)
    assert len({msgspec.json.encode(subset.scope) for subset in found}) == len(found) == len(queries.tracked)
    assert all(same(queries.point(subset.scope), subset) for subset in found)


@given(actions)
def test_children_and_parents_are_each_others_inverse(drawn: list[Any]) -> None:
    queries = asked(drawn)
    for subset in [queries.point({}), *everything(queries)]:
        parents, children = queries.parents(subset.scope), queries.children(subset.scope)
        assert len(parents) == len(subset.scope)
        assert all(set(p.scope.items()) < set(subset.scope.items()) for p in parents)
        if subset.tracked:
            assert all(any(same(c, subset) for c in queries.children(p.scope)) for p in parents)
        assert all(any(same(p, subset) for p in queries.parents(c.scope)) for c in children)
        assert children == sorted(children, key=scope_order)
        assert all(c.tracked and len(c.scope) == len(subset.scope) + 1 for c in children)


@given(
    actions, st.integers(0, 12), st.sampled_from(COLUMNS), st.booleans(), st.integers(0, 5), st.none() | st.integers(1, 3),
    scopes,
)  # fmt: skip
def test_a_top_is_the_head_of_everything_sorted(
    drawn: list[Any], count: int, by: str, ascending: bool, min_n: int, dims: int | None, within: Scope
) -> None:
    queries = asked(drawn)
    direction = "ascending" if ascending else "descending"
    found = queries.top(count, by, direction, min_n=min_n, dims=dims, within=within)  # type: ignore[arg-type]
    values = dict(zip(map(bytes_of, everything_coded(queries)), getattr(queries.tracked, by).tolist(), strict=True))

    def key(subset: Subset) -> tuple[bool, float, tuple[str, ...]]:
        value = values[bytes_of(subset.scope)]
        unknown = math.isnan(value)
        return unknown, 0.0 if unknown else value if ascending else -value, scope_order(subset)

    wanted = [
        subset
        for subset in everything(queries)
        if subset.stats.n >= min_n
        and (dims is None or len(subset.scope) == dims)
        and within.items() <= subset.scope.items()
    ]
    assert found == sorted(wanted, key=key)[:count]


def everything_coded(queries: GroupQueries) -> list[Scope]:
    return [queries.cells.scope_of(codes) for codes in queries.tracked.codes]


def bytes_of(scope: Scope) -> bytes:
    return msgspec.json.encode(scope)


def test_outcomes_of_a_later_epoch_are_left_out() -> None:
    drawn = [(i, {"bucket": "micro", "timeframe": "1h", "bucket_rank_position": 1}, 1) for i in range(5)]
    cells = asked(drawn).cells
    cells.put(an_outcome("late", "late"), UNTIL_MS + EPOCH_MS)
    before = GroupQueries(cells, UNTIL_MS, Baselines([]), PARAMETERS, DEFAULT_SCHEMA)
    after = GroupQueries(cells, UNTIL_MS + EPOCH_MS, Baselines([]), PARAMETERS, DEFAULT_SCHEMA)
    assert (before.point({}).stats.n, after.point({}).stats.n) == (5, 6)


def test_a_value_that_nobody_had_is_an_empty_subset() -> None:
    queries = asked([(1, {"bucket": "micro", "timeframe": "1h", "bucket_rank_position": 1}, 1)])
    found = queries.point({"bucket": "xl"})
    assert (found.scope, found.tracked, found.stats.n, found.stats.n_actions) == ({"bucket": "xl"}, False, 0, 0)
    assert (found.stats.avg_rr, found.stats.delta_rr, found.stats.edge_raw) == (None, None, None)
    assert queries.children({"bucket": "xl"}) == []
    assert [p.stats.n for p in queries.parents({"bucket": "xl"})] == [1]


def test_the_whole_group_has_no_parents() -> None:
    queries = asked([(1, {"bucket": "micro", "timeframe": "1h", "bucket_rank_position": 1}, 1)])
    assert queries.parents({}) == []
    assert queries.point({}).tracked is False


def test_an_unknown_number_is_refused_with_those_that_are_known() -> None:
    queries = asked([(1, {"bucket": "micro", "timeframe": "1h", "bucket_rank_position": 1}, 1)])
    with pytest.raises(BadInput, match=r"by: expected one of n, n_actions, .*edge_raw.*, was 'edge'"):
        queries.top(5, "edge")


def test_a_dimension_of_another_module_is_refused() -> None:
    queries = asked([(1, {"bucket": "micro", "timeframe": "1h", "bucket_rank_position": 1}, 1)])
    for ask in (queries.point, queries.parents, queries.children):
        with pytest.raises(BadInput, match=r"scope\.chain: expected a dimension of macro_phase, .*was 'chain'"):
            ask({"chain": "sol"})
