"""Counting: exact where it says so, and of a subset's own trades alone."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.counting import Counts, Trades, counted
from learning.parameters import DAY_MS
from learning.postings import Inside

RR = st.integers(-(10**6), 10**6)
TAU_MS = 30.0 * DAY_MS


def counts_of(rr_q: list[int], *, segment: list[int] | None = None, segment_rr: tuple[float, ...] = (0.0,)) -> Counts:
    """Counts of one subset with all of some trades inside, a day apart."""
    n = len(rr_q)
    trades = Trades(
        rr_q=np.array(rr_q, dtype=np.int64),
        closed_at_ms=np.arange(n) * DAY_MS,
        payback_days=np.ones(n),
        segment=np.zeros(n, dtype=np.int64) if segment is None else np.array(segment),
        missed_entry_rr=np.full(n, np.nan),
        missed_exit_rr=np.arange(n, dtype=np.float64),
        segment_rr=np.array(segment_rr),
        segment_level=np.arange(len(segment_rr)) % 2,
    )
    inside = Inside(start=np.array([0, n]), rows=np.arange(n, dtype=np.int32), n_actions=np.array([n]))
    return counted(inside, trades, TAU_MS)


@given(st.lists(RR | st.integers(-(2**40), 2**40), min_size=2, max_size=30))
def test_the_variance_is_exact_however_large_the_sums(rr_q: list[int]) -> None:
    mean = Fraction(sum(rr_q), len(rr_q))
    exact = sum((Fraction(x) - mean) ** 2 for x in rr_q) / (len(rr_q) - 1) / 10**10
    assert counts_of(rr_q).variance[0] == pytest.approx(float(exact), rel=1e-14)


@given(st.lists(RR, min_size=2, max_size=30), st.integers(-(10**9), 10**9))
def test_neither_a_constant_nor_an_order_changes_a_bit_of_the_variance(rr_q: list[int], more: int) -> None:
    before = counts_of(rr_q).variance.tobytes()
    assert counts_of([x + more for x in rr_q]).variance.tobytes() == before
    assert counts_of(sorted(rr_q)).variance.tobytes() == before


def test_a_million_trades_at_the_bounds_of_rr_do_not_overflow() -> None:
    rr_q = np.resize([-1_000_000, 1_000_000], 10**6)
    found = counts_of(rr_q.tolist())
    assert found.avg_rr[0] == 0.0
    assert found.variance[0] == pytest.approx(100.0 * 10**6 / (10**6 - 1), rel=1e-15)
    assert counts_of([1_000_000] * 10**6).variance[0] == 0.0


def test_a_coherent_segment_has_the_sign_of_all() -> None:
    rr_q = [*[100_000] * 5, *[-50_000] * 5, *[900_000] * 4]
    found = counts_of(rr_q, segment=[0] * 5 + [1] * 5 + [2] * 4, segment_rr=(0.5, -0.5, 0.0))
    assert (found.segments_tested[0], found.segments_positive[0], found.field_coherence[0]) == (2, 1, 0.5)
    assert found.rr_baseline[0] == 0.0
    assert found.delta_rr[0] == pytest.approx((5 * 0.5 + 5 * 0.0 + 4 * 9.0) / 14)
    assert found.rr_baseline_level[0] == 0


def test_what_was_missed_is_a_mean_over_those_who_say() -> None:
    found = counts_of([1, 2, 3])
    assert (found.missed_exit_n[0], found.missed_exit_rr[0]) == (3, 1.0)
    assert found.missed_entry_n[0] == 0
    assert np.isnan(found.missed_entry_rr[0])


def test_of_nothing_nothing_is_known() -> None:
    trades = counts_of([1]).__class__.__struct_fields__
    none = Inside(start=np.zeros(2, dtype=np.int64), rows=np.zeros(0, dtype=np.int32), n_actions=np.zeros(1))
    nothing = np.zeros(0, dtype=np.int64)
    empty = Trades(
        rr_q=nothing, closed_at_ms=nothing, payback_days=np.zeros(0), segment=nothing,
        missed_entry_rr=np.zeros(0), missed_exit_rr=np.zeros(0), segment_rr=np.zeros(0), segment_level=nothing,
    )  # fmt: skip
    found = counted(none, empty, TAU_MS)
    for name in trades:
        value = getattr(found, name)[0]
        assert value == 0 if value.dtype == np.int64 else np.isnan(value)
