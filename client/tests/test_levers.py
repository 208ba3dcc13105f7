"""Levers: the table of spec section 8, written out once more."""

import pytest

from leverloop.levers import CAPITAL_LEVERS, EXECUTION_LEVERS, LEVERS, levers_of

TABLE = [
    ("size_mult", {"entry", "add"}, 0.7, 1.3, 1.0),
    ("entry_aggression_mult", {"entry", "add"}, 0.8, 1.2, 1.0),
    ("exit_aggression_mult", {"trim", "exit"}, 0.8, 1.2, 1.0),
    ("alloc_mult", {"allocation"}, 0.7, 1.3, 1.0),
    ("entry_delay_bars", {"entry", "add"}, 0.0, 5.0, 0.0),
    ("phase1_frac_mult", {"entry"}, 0.5, 1.5, 1.0),
    ("phase_scaling.S1", {"add"}, 0.5, 1.5, 1.0),
    ("phase_scaling.S2", {"add"}, 0.5, 1.5, 1.0),
    ("phase_scaling.S3", {"add"}, 0.5, 1.5, 1.0),
    ("trim_delay_mult", {"trim"}, 0.5, 2.0, 1.0),
    ("trail_mult", {"trim", "exit"}, 0.5, 2.0, 1.0),
    ("panic_trigger_mult", {"exit"}, 0.5, 1.5, 1.0),
    ("wait_n_bars_after_trim", {"trim", "add"}, 0.0, 10.0, 0.0),
    ("signal_thresholds.min_ts_for_add", {"add"}, 0.0, 1.0, None),
    ("signal_thresholds.min_dx_for_add", {"add"}, 0.0, 1.0, None),
    ("signal_thresholds.max_edx_for_add", {"add"}, 0.0, 1.0, None),
    ("signal_thresholds.min_ox_for_trim", {"trim"}, 0.0, 1.0, None),
    ("signal_thresholds.wait_for_signal", {"entry"}, 0.0, 1.0, None),
]


@pytest.mark.parametrize(("name", "categories", "low", "high", "neutral"), TABLE)
def test_a_lever_is_what_the_specification_says(
    name: str, categories: set[str], low: float, high: float, neutral: float | None
) -> None:
    lever = LEVERS[name]
    assert (set(lever.categories), lever.low, lever.high, lever.neutral) == (categories, low, high, neutral)
    assert lever.holds(low)
    assert lever.holds(high)
    assert not lever.holds(low - 1e-9)
    assert not lever.holds(high + 1e-9)
    assert not lever.holds(float("nan"))
    assert not lever.holds(float("inf"))


def test_there_are_no_others() -> None:
    assert set(LEVERS) == {row[0] for row in TABLE}
    assert {row[0] for row in TABLE[:4]} == CAPITAL_LEVERS
    assert {row[0] for row in TABLE[4:]} == EXECUTION_LEVERS


def test_a_good_edge_lowers_only_the_readiness_to_leave() -> None:
    assert [lever.name for lever in LEVERS.values() if lever.direction < 0] == ["exit_aggression_mult"]


def test_levers_of_a_category_by_kind() -> None:
    assert [lever.name for lever in levers_of("trim", "execution")] == [
        "trim_delay_mult",
        "trail_mult",
        "wait_n_bars_after_trim",
        "signal_thresholds.min_ox_for_trim",
    ]
