"""Deltas in absolute knob values: what was applied neither hides nor erases what a value is worth."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.execution.values import DeltaValues
from leverloop.events import Controls
from leverloop.levers import LEVERS
from tests.laws.examples import an_outcome
from tests.unit.learning.execution.planting import ENTRY, START_MS, TRIM, cells_of, logged


def values_of(deltas: dict[str, float], lever: str = "entry_delay_bars", **knobs: Any) -> DeltaValues:
    group = TRIM if lever.startswith("trim") else ENTRY
    outcome = an_outcome(
        group=group, controls=Controls(applied_knobs=knobs), counterfactual=logged(deltas, lever)
    )  # fmt: skip
    cells = cells_of([outcome])
    return DeltaValues(cells, cells.counted(START_MS), 10.0)


rr_of_values = st.dictionaries(st.integers(0, 5), st.floats(-2, 2, width=32), min_size=6, max_size=6)


@given(rr_of_values, st.integers(0, 5))
def test_whatever_was_applied_the_evidence_is_the_same(rr: dict[int, float], applied: int) -> None:
    deltas = {str(value): rr[value] - rr[applied] for value in rr if value != applied}
    found = values_of(deltas, entry_delay_bars=applied)
    for value in range(1, 6):
        assert found.deltas("entry_delay_bars", value)[0] == pytest.approx(rr[value] - rr[0], abs=1e-5)


def test_without_the_neutral_nothing_is_known_of_a_trade_under_another_value() -> None:
    found = values_of({"1": 0.5}, entry_delay_bars=2)
    assert np.isnan(found.deltas("entry_delay_bars", 1.0)).all()
    assert np.isnan(found.deltas("entry_delay_bars", 2.0)).all()


def test_a_knob_that_was_not_logged_is_neutral_unless_the_neutral_has_a_delta() -> None:
    assert values_of({"1": 0.5}).deltas("entry_delay_bars", 1.0).tolist() == [0.5]
    assert values_of({"1": 0.5, "0": 0.25}).deltas("entry_delay_bars", 1.0).tolist() == [0.25]


def test_a_delta_is_bounded_like_rr() -> None:
    assert values_of({"1": 1e30}).deltas("entry_delay_bars", 1.0).tolist() == [10.0]
    assert values_of({"1": -1e30}).deltas("entry_delay_bars", 1.0).tolist() == [-10.0]


def test_two_ways_to_write_a_number_are_one_value() -> None:
    found = values_of({"1.0": 0.5, "1": 0.5, "2e0": 0.25})
    assert found.values("entry_delay_bars", np.array([True]), 1) == (1.0, 2.0)


def test_only_levers_of_the_category_and_values_within_bounds_are_looked_at() -> None:
    assert values_of({"1": 0.5, "6": 0.5, "-1": 0.5, "0": 0.5}).values("entry_delay_bars", np.array([True]), 1) == (
        1.0,
    )
    assert values_of({"1.25": 0.5}, "trim_delay_mult").levers == ("trim_delay_mult",)
    assert values_of({"1": 0.5}, "trail_mult").levers == (), "an entry has no trail"
    assert values_of({"1": 0.5}, "size_mult").levers == (), "no execution lever"
    assert values_of({"1": 0.5}, "nonsense").levers == ()


def test_a_lever_without_a_neutral_is_left_out() -> None:
    assert LEVERS["signal_thresholds.wait_for_signal"].neutral is None
    assert values_of({"0.5": 0.5}, "signal_thresholds.wait_for_signal").levers == ()


def test_of_a_continuum_the_values_that_most_trades_know_are_looked_at() -> None:
    outcomes = [
        an_outcome(
            f"a{i}", f"t{i}", group=ENTRY, controls=Controls(), counterfactual=logged({f"{1 + i % 40 / 10}": 0.1})
        )
        for i in range(39 * 3 + 1)
    ]
    cells = cells_of(outcomes)
    rows = cells.counted(START_MS)
    found = DeltaValues(cells, rows, 10.0).values("entry_delay_bars", np.ones(len(rows), dtype=np.bool_), 2)
    assert len(found) == 16
    assert list(found) == sorted(found)
    assert 1.0 in found
