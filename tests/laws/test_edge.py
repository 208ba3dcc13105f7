"""edge_raw: the specification's vectors, and what the formula promises (spec section 6)."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.edge import EdgeWeights, edge_raw, edges_raw

CLOSE = pytest.approx


@pytest.mark.parametrize(("factors", "edge"), [((0.75, 0.82, 0.45), 1.17395), ((1.0, 1.0, 0.0), 1.16927)])
def test_the_vectors_of_the_specification(factors: tuple[float, float, float], edge: float) -> None:
    efficiency, coherence, recurrence = factors
    found = edge_raw(
        delta_rr=0.65, variance=0.32, n=42,
        time_efficiency=efficiency, field_coherence=coherence, recurrence_score=recurrence,
    )  # fmt: skip
    assert found == CLOSE(edge, abs=2e-5)


def test_each_regime_weight_stands_where_the_formula_has_it() -> None:
    weighed = EdgeWeights(time_efficiency=0.5, field_coherence=1.5, recurrence_score=1.25, variance=0.7)
    found = edge_raw(
        delta_rr=-0.4,
        variance=0.6,
        n=30,
        time_efficiency=0.6,
        field_coherence=0.9,
        recurrence_score=0.2,
        weights=weighed,
    )
    c = 1 / 1.6
    steadiness = 0.5 + 0.5 * (0.5 * 0.6 + 1.5 * 0.9 + 1.25 * 0.2) / 3
    assert found == CLOSE(-0.4 * c * math.log(31) * steadiness * c**0.7)


unit = st.floats(0.0, 1.0)
weights = st.builds(EdgeWeights, **{name: st.floats(0.3, 1.7) for name in EdgeWeights.__struct_fields__})


@given(
    st.floats(-10, 10),
    st.floats(0, 100),
    st.integers(2, 10**6),
    unit,
    st.none() | unit,
    unit,
    weights,
    st.floats(0, 10),
)
def test_an_edge_has_the_sign_of_its_delta_and_shrinks_with_variance(
    delta: float,
    variance: float,
    n: int,
    efficiency: float,
    coherence: float | None,
    recurrence: float,
    weighed: EdgeWeights,
    more: float,
) -> None:
    def edge(spread: float) -> float:
        found = edge_raw(
            delta_rr=delta, variance=spread, n=n, time_efficiency=efficiency, field_coherence=coherence,
            recurrence_score=recurrence, weights=weighed,
        )  # fmt: skip
        assert found is not None
        return found

    assert edge(variance) * delta >= 0
    assert abs(edge(variance + more)) <= abs(edge(variance))


@given(st.floats(-10, 10), st.floats(0, 100), st.integers(2, 10**6), unit, unit)
def test_a_missing_factor_is_not_a_zero(
    delta: float, variance: float, n: int, efficiency: float, recurrence: float
) -> None:
    def edge(coherence: float | None) -> float:
        found = edge_raw(
            delta_rr=delta, variance=variance, n=n, time_efficiency=efficiency, field_coherence=coherence,
            recurrence_score=recurrence,
        )  # fmt: skip
        assert found is not None
        return found

    assert edge(None) == CLOSE(edge((efficiency + recurrence) / 2), rel=1e-12, abs=1e-300)


known = st.tuples(st.floats(-10, 10), st.floats(0, 100), st.integers(2, 10**6), unit, st.none() | unit, unit)


@given(st.lists(st.tuples(known, weights), min_size=1, max_size=6))
def test_each_subset_may_have_weights_of_its_own(subsets: list[tuple[tuple[float, ...], EdgeWeights]]) -> None:
    names = ("delta_rr", "variance", "n", "time_efficiency", "field_coherence", "recurrence_score")
    columns = dict(zip(names, np.array([numbers for numbers, _ in subsets], dtype=np.float64).T, strict=True))
    columns["n"] = columns["n"].astype(np.int64)
    each = np.array([msgspec.structs.astuple(weighed) for _, weighed in subsets])
    together = edges_raw(**columns, weights=each)
    alone = [edge_raw(**dict(zip(names, numbers, strict=True)), weights=weighed) for numbers, weighed in subsets]
    assert together.tolist() == alone
