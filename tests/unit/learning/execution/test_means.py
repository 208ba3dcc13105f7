"""Means with clustered errors: against the same written the plain way."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.execution.means import Means, clustered_means, interval, upper_p, with_a_loss, with_spread
from learning.postings import Inside

CLOSE = pytest.approx
numbers = st.one_of(st.floats(-10, 10), st.just(float("nan")))


@st.composite
def data(draw: st.DrawFn) -> tuple[Inside, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(subsets as rows, two columns, a clustering of each)."""
    n = draw(st.integers(1, 12))
    subsets = [sorted(draw(st.sets(st.integers(0, n - 1)))) for _ in range(3)]
    start = np.cumsum([0, *(len(rows) for rows in subsets)])
    rows = np.array([row for rows in subsets for row in rows], dtype=np.int32)
    columns = np.array([draw(st.lists(numbers, min_size=n, max_size=n)) for _ in range(2)])
    clusters = np.array([draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)) for _ in range(2)])
    return Inside(start=start, rows=rows, n_actions=np.diff(start)), columns, clusters


def plain(values: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> tuple[float, float, int, int]:
    known = ~np.isnan(values)
    values, clusters = values[known], clusters[known]
    groups = np.unique(clusters)
    if not len(values):
        return np.nan, np.nan, 0, 0
    if len(groups) == 1:
        return values.mean(), np.nan, len(values), 1
    scores = np.array([(values - values.mean())[clusters == g].sum() for g in groups]) / len(values)
    g = len(groups)
    return values.mean(), np.sqrt((scores**2).sum() * g / (g - 1)), len(values), g


@given(data())
def test_means_and_errors_are_those_of_the_formula(found: Any) -> None:
    inside, columns, clusters = found
    means = clustered_means(inside, columns, clusters)
    for s in range(3):
        rows = inside.rows[inside.start[s] : inside.start[s + 1]]
        for c in range(2):
            mean, error, n, n_clusters = plain(columns[c, rows], clusters[c, rows])
            assert means.mean[s, c] == CLOSE(mean, abs=1e-9, nan_ok=True)
            assert means.error[s, c] == CLOSE(error, abs=1e-9, nan_ok=True)
            assert (means.n[s, c], means.n_clusters[s, c]) == (n, n_clusters)


@given(data(), st.permutations(range(5)))
def test_the_names_of_the_clusters_do_not_matter(found: Any, names: list[int]) -> None:
    inside, columns, clusters = found
    before, after = (clustered_means(inside, columns, c) for c in (clusters, np.array(names)[clusters]))
    assert after.error == CLOSE(before.error, abs=1e-9, nan_ok=True)
    assert after.n_clusters.tolist() == before.n_clusters.tolist()


@given(data())
def test_a_subset_does_not_depend_on_those_beside_it(found: Any) -> None:
    inside, columns, clusters = found
    together = clustered_means(inside, columns, clusters)
    for s in range(3):
        rows = inside.rows[inside.start[s] : inside.start[s + 1]]
        alone = clustered_means(
            Inside(start=np.array([0, len(rows)]), rows=rows, n_actions=np.array([len(rows)])), columns, clusters
        )
        assert alone.mean[0].tobytes() == together.mean[s].tobytes()
        assert alone.error[0].tobytes() == together.error[s].tobytes()


@given(data(), st.floats(-5, 5))
def test_p_falls_as_less_is_claimed_and_is_one_without_an_error(found: Any, more: float) -> None:
    inside, columns, clusters = found
    means = clustered_means(inside, columns, clusters)
    p, higher = upper_p(means), upper_p(means, above=-abs(more))
    assert ((p >= 0.0) & (p <= 1.0)).all()
    assert (higher <= p).all()
    assert (p[~(means.error > 0.0)] == 1.0).all()


@given(data(), st.floats(0, 10))
def test_one_more_loss_and_the_spread_of_the_group_never_make_anything_surer(found: Any, loss: float) -> None:
    means = clustered_means(*found)
    p, spread = upper_p(means), np.full(2, loss)
    known = means.error > 0.0
    assert (upper_p(with_a_loss(means, loss))[known] >= np.minimum(p, 0.5)[known] - 1e-9).all()
    assert (upper_p(with_spread(means, spread))[known] >= np.minimum(p, 0.5)[known] - 1e-9).all()


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=30), st.floats(2, 10))
def test_one_more_loss_is_one_more_trade(values: list[float], loss: float) -> None:
    """To the order of the mean over the loss: the error is taken about the old mean."""
    rows = np.arange(len(values), dtype=np.int32)
    inside = Inside(start=np.array([0, len(rows)]), rows=rows, n_actions=np.array([len(rows)]))
    means = with_a_loss(clustered_means(inside, np.array([values]), rows[None].astype(np.int64)), loss)
    exact = np.array([*values, -loss])
    assert means.mean[0, 0] == CLOSE(exact.mean())
    assert means.error[0, 0] == CLOSE(exact.std(ddof=1) / np.sqrt(len(exact)), rel=0.5)


@given(st.floats(-10, 10), st.floats(0.001, 10), st.integers(2, 500))
def test_an_interval_excludes_zero_where_p_is_under_its_half(mean: float, error: float, n_clusters: int) -> None:
    low, high = interval(mean, error, n_clusters)
    one = Means(mean=np.array([mean]), error=np.array([error]), n=np.array([500]), n_clusters=np.array([n_clusters]))
    p = float(upper_p(one)[0])
    assert low <= mean <= high
    if abs(p - 0.025) > 1e-9:
        assert (low > 0.0) == (p < 0.025)


def test_values_that_are_all_alike_are_no_certainty() -> None:
    rows = np.arange(90, dtype=np.int32)
    whole = Inside(start=np.array([0, 90]), rows=rows, n_actions=np.array([90]))
    means = clustered_means(whole, np.full((1, 90), 0.1), (rows[None] % 7).astype(np.int64))
    assert means.error.tolist() == [[0.0]]
    assert upper_p(means).tolist() == [[1.0]]


@pytest.mark.parametrize("clustered", [False, True])
def test_p_is_as_often_small_as_it_says(clustered: bool) -> None:
    """Heavy tails and shared days: 5 % of noise is under 5 %, were the days known, and more were they not."""
    rng = np.random.default_rng(5)
    rows = np.arange(200, dtype=np.int32)
    whole = Inside(start=np.array([0, 200]), rows=rows, n_actions=np.array([200]))
    day = (rows // 5).astype(np.int64)
    small = 0
    for _ in range(1_000):
        noise = rng.standard_t(4, 200) + rng.normal(size=40)[day]
        means = clustered_means(whole, noise[None], (day if clustered else rows.astype(np.int64))[None])
        small += int(upper_p(means)[0, 0] <= 0.05)
    assert (30 <= small <= 75) if clustered else small > 75
