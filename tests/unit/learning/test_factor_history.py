"""Factors before a trade: what the statistics of that epoch would have said, and nothing of what came after."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import Baselines, GroupBaseline
from learning.cells import GroupCells
from learning.factor_history import FactorsBefore, factors_before
from learning.parameters import Parameters
from learning.statistics import group_stats, group_view
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, EPOCH_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
SEGMENT = DEFAULT_SCHEMA.modules["pm"].segment
TAU_MS = Parameters().recurrence_tau_days * DAY_MS
OTHERS = GroupBaseline(
    group="pm.other.S1.a|entry",
    category="pm|entry",
    segments=((("micro", "1h"), (20, 1_500_000)), (("mid", "1h"), (20, -500_000))),
)

trades = st.lists(
    st.tuples(
        st.integers(0, 40),  # epoch from which it counts
        st.integers(-600_000, 600_000),
        st.integers(0, 80 * HOUR_MS),
        st.sampled_from(["micro", "mid", "xl"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=40,
)


def cells_of(drawn: list[tuple[int, int, int, str, int]]) -> GroupCells:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i, (epoch, rr_q, hold_ms, bucket, more) in enumerate(drawn):
        closed_at_ms = START_MS + epoch * EPOCH_MS
        for k in range(1 + more):
            outcome = an_outcome(
                f"a{i}.{k}",
                f"t{i}",
                rr=rr_q / 100_000,
                opened_at_ms=closed_at_ms - hold_ms,
                action_at_ms=closed_at_ms - hold_ms + k,
                closed_at_ms=closed_at_ms,
                payback_ms=hold_ms // 2 if i % 3 else None,
                scope={"bucket": bucket, "timeframe": "1h"},
            )
            cells.put(outcome, closed_at_ms)
    return cells


def before(cells: GroupCells, known_at_ms: int) -> tuple[FactorsBefore, int]:
    """Factors as of one epoch, wanted by every trade."""
    view = group_view(cells, START_MS + 100 * EPOCH_MS, Baselines([OTHERS]), SEGMENT)
    rows = np.flatnonzero(view.clustered.first)
    counts_from_ms = cells.column("counts_from_ms", view.rows[rows])
    known = np.full(len(rows), known_at_ms)
    return factors_before(view.trades, rows, counts_from_ms, known, TAU_MS), int((counts_from_ms <= known_at_ms).sum())


@given(trades, st.integers(-1, 41))
def test_they_are_the_statistics_of_the_group_as_of_that_epoch(
    drawn: list[tuple[int, int, int, str, int]], epoch: int
) -> None:
    cells, known_at_ms = cells_of(drawn), START_MS + epoch * EPOCH_MS
    found, n = before(cells, known_at_ms)
    whole = np.zeros((1, len(cells.dimensions)), dtype=np.int32)
    if n == 0:
        assert np.isnan([getattr(found, name)[0] for name in FactorsBefore.__struct_fields__]).all()
        return
    stats = group_stats(cells, whole, known_at_ms, Baselines([OTHERS]), Parameters(), DEFAULT_SCHEMA).row(0)
    assert stats.n == n
    assert stats.delta_rr is not None
    if abs(stats.delta_rr) > 1e-9:  # the sign of rounding is nobody's business
        assert found.sign[0] == np.sign(stats.delta_rr)
        coherence = np.nan if stats.field_coherence is None else stats.field_coherence
        assert found.field_coherence[0] == pytest.approx(coherence, nan_ok=True)
        assert found.recurrence_score[0] == pytest.approx(stats.recurrence_score, abs=1e-9)
    assert found.time_efficiency[0] == pytest.approx(stats.time_efficiency)
    if stats.variance is None:
        assert np.isnan(found.variance[0])
    else:
        assert found.variance[0] == pytest.approx(stats.variance, abs=1e-9)


@given(trades, trades)
def test_what_comes_after_changes_nothing(
    early: list[tuple[int, int, int, str, int]], late: list[tuple[int, int, int, str, int]]
) -> None:
    known_at_ms = START_MS + 40 * EPOCH_MS
    later = [(epoch + 41, *rest) for epoch, *rest in late]
    alone, n = before(cells_of(early), known_at_ms)
    followed, m = before(cells_of([*early, *later]), known_at_ms)  # type: ignore[list-item]
    assert n == m
    for name in FactorsBefore.__struct_fields__:
        assert getattr(alone, name)[0] == pytest.approx(getattr(followed, name)[0], nan_ok=True)


@given(trades, st.randoms())
def test_the_order_of_arrival_changes_no_bit(
    drawn: list[tuple[int, int, int, str, int]], random: st.DataObject
) -> None:
    view_at = START_MS + 100 * EPOCH_MS
    found = []
    for turn in range(2):
        cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
        rows = list(cells_of(drawn).rows())
        if turn:
            random.shuffle(rows)  # type: ignore[attr-defined]
        for row in rows:
            cells.put_row(row)
        view = group_view(cells, view_at, Baselines([OTHERS]), SEGMENT)
        first = np.flatnonzero(view.clustered.first)
        counts_from_ms = cells.column("counts_from_ms", view.rows[first])
        asked = cells.column("action_at_ms", view.rows[first])
        history = factors_before(view.trades, first, counts_from_ms, asked, TAU_MS)
        found.append(np.stack([getattr(history, name) for name in FactorsBefore.__struct_fields__]).tobytes())
    assert found[0] == found[1]
