"""The tree of tracked subsets and its sums (spec section 6), against counting every subset of every row."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cube import Enumeration, enumerate_tree

Subset = tuple[tuple[int, int], ...]
"""(dimension, code), by dimension."""
RR_BOUND = 1_000_000
"""10 R, the cap, in 1e-5 R."""


class Row(NamedTuple):
    trade: int
    codes: tuple[int, ...]
    rr_q: int
    payback_ms: int


def rows_of(codes: st.SearchStrategy[int], n_dims: int, max_size: int = 40) -> st.SearchStrategy[list[Row]]:
    row = st.builds(
        Row,
        trade=st.integers(-8, 8),
        codes=st.tuples(*[codes] * n_dims),
        rr_q=st.integers(-RR_BOUND, RR_BOUND),
        payback_ms=st.integers(0, 10**11),
    )
    return st.lists(row, max_size=max_size).map(lambda rows: sorted(rows, key=lambda row: row.trade))


few_values = st.integers(1, 5).flatmap(lambda n_dims: rows_of(st.integers(0, 2), n_dims))
many_values = st.integers(1, 3).flatmap(
    lambda n_dims: rows_of(st.sampled_from([0, 1, 255, 256, 4000, 65_534, 65_535]), n_dims)
)
n_mins = st.lists(st.integers(0, 3), min_size=6, max_size=6).map(lambda steps: 1 + np.cumsum([0, *steps]))


def tree_of(rows: list[Row], n_min: Any, max_dims: int, n_dims: int | None = None) -> Enumeration:
    width = n_dims or (len(rows[0].codes) if rows else 1)
    codes = np.array([row.codes for row in rows], dtype=np.uint16).reshape(len(rows), width)
    trade, rr_q, payback_ms = (
        np.array([getattr(row, name) for row in rows], dtype=np.int64) for name in ("trade", "rr_q", "payback_ms")
    )
    cardinalities = codes.max(axis=0, initial=0).astype(np.int64) + 1
    return enumerate_tree(codes.T, trade, rr_q, payback_ms, cardinalities, np.asarray(n_min), max_dims)


def read(tree: Enumeration) -> dict[Subset, tuple[int, ...]]:
    """Subset -> sums, by following the tree from its levels and dimensions alone."""
    found: dict[Subset, tuple[int, ...]] = {}
    path: list[tuple[int, int]] = []
    sums = zip(tree.n, tree.n_actions, tree.wins, tree.rr_q, tree.rr_q2, tree.payback_ms, strict=True)
    for level, dim, code, row in zip(tree.level, tree.dim, tree.code, sums, strict=True):
        path = [*path[: int(level) - 1], (int(dim), int(code))]
        found[tuple(path)] = tuple(map(int, row))
    return found


def counted(rows: list[Row], n_min: Any, max_dims: int) -> dict[Subset, tuple[int, ...]]:
    inside: dict[Subset, list[Row]] = {}
    for row in rows:
        pinned = [(d, code) for d, code in enumerate(row.codes) if code]
        for k in range(1, min(max_dims, len(row.codes)) + 1):
            for subset in combinations(pinned, k):
                inside.setdefault(subset, []).append(row)
    found = {}
    for subset, members in inside.items():
        first = list({row.trade: row for row in reversed(members)}.values())
        if len(first) >= n_min[len(subset)]:
            found[subset] = (
                len(first), len(members), sum(row.rr_q > 0 for row in first), sum(row.rr_q for row in first),
                sum(row.rr_q**2 for row in first), sum(row.payback_ms for row in first),
            )  # fmt: skip
    return found


@given(st.one_of(few_values, many_values), n_mins, st.integers(0, 6))
def test_each_tracked_subset_once_with_its_sums(rows: list[Row], n_min: Any, max_dims: int) -> None:
    tree = tree_of(rows, n_min, max_dims)
    found = read(tree)
    assert len(found) == len(tree.n), "each subset once"
    assert found == counted(rows, n_min, max_dims)


@given(st.one_of(few_values, many_values), n_mins)
def test_depth_first_each_after_its_parent(rows: list[Row], n_min: Any) -> None:
    subsets = list(read(tree_of(rows, n_min, 6)))
    assert subsets == sorted(subsets), "by dimension, then code, the shorter one first"
    assert {subset[:-1] for subset in subsets} <= {(), *subsets}
    dims = [[dim for dim, _ in subset] for subset in subsets]
    assert dims == [sorted(set(pinned)) for pinned in dims], "a subset extends its parent by a higher dimension"


@given(few_values, n_mins, st.integers(1, 3))
def test_codes_are_those_of_the_way_down(rows: list[Row], n_min: Any, n_free: int) -> None:
    tree = tree_of(rows, n_min, 6)
    n_dims = n_free + (len(rows[0].codes) if rows else 1)
    codes = tree.codes(n_dims)
    assert codes.shape == (len(tree.n), n_dims)
    assert [tuple((d, c) for d, c in enumerate(row) if c) for row in codes.tolist()] == list(read(tree))


@given(few_values.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))), n_mins)
def test_the_order_of_the_trades_changes_nothing(both: tuple[list[Row], list[Row]], n_min: Any) -> None:
    one_each = [list({row.trade: row for row in rows}.values()) for rows in both]
    kept = {row.trade: row for row in one_each[0]}
    again = [kept[row.trade] for row in one_each[1]]
    assert read(tree_of(one_each[0], n_min, 4)) == read(tree_of(again, n_min, 4))


def test_a_trade_counts_with_its_first_row_inside() -> None:
    rows = [Row(1, (1, 1), 100, 7), Row(1, (1, 2), -300, 9), Row(2, (1, 2), 50, 1)]
    assert read(tree_of(rows, [0, 1, 1], 2)) == {
        ((0, 1),): (2, 3, 2, 150, 12_500, 8),
        ((0, 1), (1, 1)): (1, 1, 1, 100, 10_000, 7),
        ((0, 1), (1, 2)): (2, 2, 1, -250, 92_500, 10),
        ((1, 1),): (1, 1, 1, 100, 10_000, 7),
        ((1, 2),): (2, 2, 1, -250, 92_500, 10),
    }


def test_no_rows_and_one_row() -> None:
    assert len(tree_of([], [0, 1, 1], 2, n_dims=2).n) == 0
    assert len(read(tree_of([Row(1, (1,) * 8, 5, 5)], np.ones(9), 8))) == 2**8 - 1
    assert len(read(tree_of([Row(1, (0,) * 8, 5, 5)], np.ones(9), 8))) == 0, "a missing value is never pinned"


def test_thirty_one_dimensions() -> None:
    rows = [Row(i, tuple(1 + (i >> d) % 2 for d in range(31)), i, i) for i in range(64)]
    n_min = np.full(32, 9)
    assert read(tree_of(rows, n_min, 3)) == counted(rows, n_min, 3)
    deepest = read(tree_of([Row(1, (0,) * 30 + (1,), 3, 4)] * 3, np.full(32, 1), 31))
    assert deepest == {((30, 1),): (1, 3, 1, 3, 9, 4)}


def test_as_many_values_as_codes() -> None:
    """Each value once but 65,535, and a dimension that halves each segment below it."""
    n_rows = 65_600
    codes = np.empty((3, n_rows), dtype=np.uint16)
    codes[0] = 1 + np.arange(n_rows) % 300
    codes[1] = np.minimum(1 + np.arange(n_rows), 65_535)
    codes[2] = 1 + np.arange(n_rows) % 2
    ones = np.ones(n_rows, dtype=np.int64)
    cardinalities = np.array([301, 65_536, 3])
    tree = enumerate_tree(codes, np.arange(n_rows), ones, ones, cardinalities, np.array([0, 5, 20, 20]), 3)
    found = read(tree)
    assert found[((1, 65_535),)][:2] == (66, 66)
    assert found[((1, 65_535), (2, 1))][0] == 33
    assert {subset: sums[0] for subset, sums in found.items() if subset[0] == (0, 1)} == {
        ((0, 1),): 219,
        ((0, 1), (2, 1)): 219,
    }
    assert len(found) == 300 * 2 + 1 + 2 + 2


def test_sums_at_the_bounds_of_rr_do_not_overflow() -> None:
    n_rows = 1_000_000
    rr_q, longest = np.full(n_rows, -RR_BOUND), np.full(n_rows, 90 * 86_400_000)
    codes = np.ones((1, n_rows), dtype=np.uint8)
    tree = enumerate_tree(codes, np.arange(n_rows), rr_q, longest, np.array([2]), np.array([0, 10]), 1)
    assert read(tree) == {((0, 1),): (n_rows, n_rows, 0, -(10**12), 10**18, n_rows * 90 * 86_400_000)}


def test_a_code_beyond_the_cardinality_is_an_error() -> None:
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(ValueError, match=r"codes below the cardinalities \[1\], were \[1\]"):
        enumerate_tree(np.ones((1, 1), dtype=np.uint16), one, one, one, np.array([1]), np.array([0, 1]), 1)
