"""The forward test: however often one looks, no effect is rarely taken for one (spec section 7)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.forward import e_value, level

EFFECTS = st.floats(-5, 5)
ERRORS = st.floats(1e-3, 5)


@given(EFFECTS, ERRORS, st.integers(0, 2_000))
def test_an_e_value_is_finite_and_the_other_direction_mirrors_it(effect: float, error: float, n_clusters: int) -> None:
    found = e_value(effect, error, n_clusters, 1)
    assert 0.0 <= found < math.inf
    assert found == e_value(-effect, error, n_clusters, -1)


@given(EFFECTS, EFFECTS, ERRORS, st.integers(2, 2_000))
def test_a_larger_effect_is_more_evidence(one: float, other: float, error: float, n_clusters: int) -> None:
    low, high = sorted((one, other))
    assert e_value(low, error, n_clusters, 1) <= e_value(high, error, n_clusters, 1)


@given(EFFECTS, st.sampled_from([0.0, -1.0, math.nan]), st.integers(0, 1))
def test_what_has_no_error_is_no_evidence(effect: float, error: float, n_clusters: int) -> None:
    assert e_value(effect, error, 50, 1) == 1.0
    assert e_value(effect, 0.5, n_clusters, 1) == 1.0


@pytest.mark.parametrize("draw", ["normal", "student"])
def test_however_often_one_looks_nothing_is_rarely_taken_for_something(draw: str) -> None:
    """1,500 histories of up to 150 clusters without an effect, looked at after each of them."""
    rng = np.random.default_rng(7)
    histories = rng.standard_t(4, (1_500, 150)) if draw == "student" else rng.normal(size=(1_500, 150))
    n = np.arange(1, 151)
    mean = histories.cumsum(axis=1) / n
    variance = ((histories**2).cumsum(axis=1) - n * mean**2) / np.maximum(n - 1, 1)
    error = np.sqrt(np.maximum(variance, 1e-12) / n)
    highest = [
        max(e_value(m, e, int(g), 1) for m, e, g in zip(means[4:], errors[4:], n[4:], strict=True))
        for means, errors in zip(mean, error, strict=True)
    ]
    for x in (10.0, 50.0):
        assert np.mean(np.array(highest) >= x) <= 1.2 / x


def test_all_candidates_together_spend_alpha_and_no_more() -> None:
    assert math.fsum(level(0.02, i) for i in range(1, 10_001)) == pytest.approx(0.02 * (1 - 1 / 10_001))
