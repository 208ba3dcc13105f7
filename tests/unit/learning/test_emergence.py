"""Emergence: what a subset adds to each of its parents, asked for together with them or not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.emergence import Lineage, emergence

CODES = st.integers(0, 3)
SUBSETS = st.lists(st.tuples(CODES, CODES, st.integers(0, 65_535)), max_size=30)
EFFECTS = st.none() | st.floats(-10, 10)


def codes(subsets: list[tuple[int, ...]]) -> npt.NDArray[Any]:
    return np.array(subsets, dtype=np.int32).reshape(-1, 3)


@given(SUBSETS, st.data())
def test_it_is_the_least_gain_over_the_parents(subsets: list[tuple[int, ...]], data: st.DataObject) -> None:
    lineage = Lineage(codes(subsets))
    of = {subset: data.draw(EFFECTS) for subset in sorted(set(map(tuple, lineage.codes.tolist())))}
    effect = np.array([of[tuple(row)] for row in lineage.codes.tolist()], dtype=np.float64)
    n, variance = np.arange(len(subsets)), np.linspace(0, 3, len(subsets))
    found = emergence(lineage, effect, n, variance)
    for i, subset in enumerate(subsets):
        own, pinned = of[subset], [d for d in range(3) if subset[d]]
        if own is None or not pinned:
            assert np.isnan(found[i])
            continue
        parents = [tuple(0 if d == without else v for d, v in enumerate(subset)) for without in pinned]
        known = [0.0 if len(pinned) == 1 else of[parent] or 0.0 for parent in parents]
        least = min(float(np.sign(own)) * (own - other) for other in known)
        assert found[i] == pytest.approx(least / (1 + variance[i]) / max(n[i], 3) ** 0.5, abs=1e-12)


@given(SUBSETS)
def test_parents_that_were_not_asked_for_come_after_and_once(subsets: list[tuple[int, ...]]) -> None:
    lineage = Lineage(codes(subsets))
    assert lineage.codes[: lineage.n_subsets].tolist() == [list(subset) for subset in subsets]
    extra = [tuple(row) for row in lineage.codes[lineage.n_subsets :].tolist()]
    parents = {
        tuple(0 if d == without else v for d, v in enumerate(subset))
        for subset in subsets
        if sum(v > 0 for v in subset) > 1
        for without in range(3)
        if subset[without]
    }
    assert extra == sorted(parents - set(subsets))


def test_without_a_variance_there_is_no_score() -> None:
    found = emergence(Lineage(codes([(1, 0, 0)])), np.array([0.5]), np.array([1]), np.array([np.nan]))
    assert np.isnan(found).all()
