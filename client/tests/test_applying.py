"""Levers meet the trader's own values: bounds hold, and neutral levers change nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.applying import (
    StrengthLevers,
    apply_alloc_overrides,
    apply_pattern_execution_overrides,
    apply_pattern_strength_overrides,
    whole_bars,
)
from leverloop.book import OverrideBook
from leverloop.errors import BadInput
from leverloop.levers import LEVERS
from leverloop.patterns import ACTION_CATEGORIES
from leverloop.resolution import Resolution
from leverloop.testing import AT_MS, make_override, make_snapshot

from .strategies import unit

levers = st.fixed_dictionaries({}, optional={name: st.floats(lever.low, lever.high) for name, lever in LEVERS.items()})
resolutions = st.builds(Resolution, reason=st.just("MATCHED"), levers=levers)
knobs = st.fixed_dictionaries(
    {},
    optional={
        "entry_delay_bars": st.integers(0, 9),
        "phase1_frac": unit,
        "phase_scaling": st.dictionaries(st.sampled_from(["S1", "S2", "S3"]), st.floats(0.1, 2.0)),
        "trim_delay": st.floats(0.0, 50.0),
        "trail_mult": st.floats(0.1, 5.0),
        "panic_trigger_level": st.floats(-1.0, 1.0),
        "wait_n_bars_after_trim": st.integers(0, 9),
        "min_ts_for_add": unit,
        "venue": st.just("binance"),
    },
)
NEUTRAL = Resolution(reason="NO_MATCH")
WAIT = "signal_thresholds.wait_for_signal"


def matched(**levers: float) -> Resolution:
    return Resolution(reason="MATCHED", levers=levers)


@given(resolutions, st.sampled_from(ACTION_CATEGORIES), unit, unit, unit)
def test_strength_stays_a_fraction_and_moves_only_what_the_category_has(
    resolution: Resolution, category: Any, a: float, e: float, size: float
) -> None:
    out = apply_pattern_strength_overrides(resolution, category=category, a_value=a, e_value=e, position_size_frac=size)
    assert 0.0 <= out.a_value <= 1.0
    assert 0.0 <= out.e_value <= 1.0
    assert 0.0 <= out.position_size_frac <= 1.0
    if category not in {"entry", "add"}:
        assert (out.a_value, out.position_size_frac) == (a, size)
    if category not in {"trim", "exit"}:
        assert out.e_value == e


def test_strength_by_hand() -> None:
    resolution = matched(size_mult=1.25, entry_aggression_mult=0.8, exit_aggression_mult=1.2)
    how = {"a_value": 0.5, "e_value": 0.5, "position_size_frac": 0.9}
    entry = apply_pattern_strength_overrides(resolution, category="entry", **how)
    leave = apply_pattern_strength_overrides(resolution, category="exit", **how)
    assert entry == StrengthLevers(a_value=0.4, e_value=0.5, position_size_frac=1.0)
    assert leave == StrengthLevers(a_value=0.5, e_value=0.6, position_size_frac=0.9)


@given(st.sampled_from(ACTION_CATEGORIES), unit, unit, unit, knobs, st.floats(0.001, 0.2))
def test_neutral_levers_change_nothing(
    category: Any, a: float, e: float, size: float, controls: dict[str, Any], alloc: float
) -> None:
    out = apply_pattern_strength_overrides(NEUTRAL, category=category, a_value=a, e_value=e, position_size_frac=size)
    assert out == StrengthLevers(a_value=a, e_value=e, position_size_frac=size)
    assert apply_pattern_execution_overrides(NEUTRAL, controls) == controls
    assert apply_alloc_overrides(NEUTRAL, alloc) == alloc


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None, True])
@pytest.mark.parametrize("field", ["a_value", "e_value", "position_size_frac"])
def test_what_is_no_number_is_not_traded_on(field: str, value: Any) -> None:
    how: dict[str, Any] = {"a_value": 0.5, "e_value": 0.5, "position_size_frac": 0.5} | {field: value}
    with pytest.raises(BadInput, match=field):
        apply_pattern_strength_overrides(NEUTRAL, category="entry", **how)


def test_an_unknown_category_is_never_a_default() -> None:
    with pytest.raises(BadInput, match="category"):
        apply_pattern_strength_overrides(
            NEUTRAL,
            category="E1",  # type: ignore[arg-type]
            a_value=0.5,
            e_value=0.5,
            position_size_frac=0.5,
        )


@given(resolutions, knobs)
def test_knobs_that_no_lever_moves_come_back_and_the_given_ones_are_not_touched(
    resolution: Resolution, controls: dict[str, Any]
) -> None:
    before = {name: dict(value) if isinstance(value, dict) else value for name, value in controls.items()}
    out = apply_pattern_execution_overrides(resolution, controls)
    assert controls == before
    assert out.get("venue") == controls.get("venue")
    assert 0.0 <= out.get("phase1_frac", 0.0) <= 1.0
    for name in ("entry_delay_bars", "wait_n_bars_after_trim"):
        if name in resolution.levers:
            assert out[name] == whole_bars(resolution.levers[name])
            assert isinstance(out[name], int)


def test_knobs_by_hand() -> None:
    resolution = matched(
        **{
            "entry_delay_bars": 1.6,
            "wait_n_bars_after_trim": 2.5,
            "phase1_frac_mult": 1.5,
            "phase_scaling.S1": 0.5,
            "phase_scaling.S3": 1.5,
            "trim_delay_mult": 2.0,
            "trail_mult": 0.5,
            "panic_trigger_mult": 1.5,
            "signal_thresholds.min_ts_for_add": 0.61,
            "signal_thresholds.max_edx_for_add": 0.3,
        }
    )
    controls = {
        "entry_delay_bars": 0,
        "phase1_frac": 0.8,
        "phase_scaling": {"S1": 0.9, "S2": 1.1},
        "trim_delay": 3.0,
        "trail_mult": 2.0,
        "panic_trigger_level": -0.2,
        "min_ts_for_add": 0.5,
        "min_dx_for_add": 0.4,
    }
    assert apply_pattern_execution_overrides(resolution, controls) == {
        "entry_delay_bars": 2,
        "wait_n_bars_after_trim": 2,
        "phase1_frac": 1.0,
        "phase_scaling": {"S1": 0.45, "S2": 1.1, "S3": 1.5},
        "trim_delay": 6.0,
        "trail_mult": 1.0,
        "panic_trigger_level": pytest.approx(-0.3),
        "min_ts_for_add": 0.61,
        "min_dx_for_add": 0.4,
        "max_edx_for_add": 0.3,
    }


@pytest.mark.parametrize(
    ("own", "waits_for", "applied"),
    [
        ({"TS": 0.3}, None, {"TS": 0.3, "DX": 0.6}),
        ({"DX": 0.7}, None, {"DX": 0.7}),
        (0.7, "DX", 0.7),
        ({"DX": 0.3}, "TS", {"DX": 0.6}),
        (None, None, {"DX": 0.6}),
        (0.3, "DX", 0.6),
        (0.3, "TS", 0.3),
        (0.3, None, 0.3),
    ],
)
def test_an_entry_waits_for_the_signal_that_was_learned_of_and_for_no_other(
    own: Any, waits_for: str | None, applied: Any
) -> None:
    override = make_override({WAIT: 0.6, "entry_delay_bars": 0.0}, {"bucket": "micro"})
    named = msgspec.structs.replace(override, signals={WAIT: "DX"})
    book = OverrideBook(make_snapshot(named), holdout_share=0.0)
    resolution = book.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)
    assert resolution.signals == {WAIT: "DX"}
    controls = {"entry_delay_bars": 0} | ({} if own is None else {"wait_for_signal": own})
    assert apply_pattern_execution_overrides(resolution, controls, waits_for=waits_for) == {
        "entry_delay_bars": 0,
        "wait_for_signal": applied,
    }
    held_out = OverrideBook(make_snapshot(named), holdout_share=1.0)
    neutral = held_out.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)
    assert (neutral.signals, apply_pattern_execution_overrides(neutral, controls)) == ({}, controls)
    by_signal = {"wait_for_signal": {"TS": 0.3}}
    assert apply_pattern_execution_overrides(matched(**{WAIT: 0.6}), by_signal) == by_signal, "of which it is not known"


@given(unit, unit, st.sampled_from(["min_ts_for_add", "min_dx_for_add", "min_ox_for_trim", "max_edx_for_add"]))
def test_a_threshold_is_never_looser_than_the_trader_s_own(own: float, value: float, name: str) -> None:
    resolution = matched(**{f"signal_thresholds.{name}": value})
    stricter = min if name.startswith("max") else max
    assert apply_pattern_execution_overrides(resolution, {name: own})[name] == stricter(own, value)
    for unknown in (None, float("nan"), "none"):
        assert apply_pattern_execution_overrides(resolution, {name: unknown})[name] == value


def test_a_knob_that_the_trader_does_not_have_is_not_made_up() -> None:
    resolution = matched(phase1_frac_mult=0.5, trim_delay_mult=2.0, panic_trigger_mult=1.2, trail_mult=1.5)
    assert apply_pattern_execution_overrides(resolution, {}) == {"trail_mult": 1.5}


@pytest.mark.parametrize(
    ("controls", "field"),
    [
        ({"phase1_frac": "half"}, "phase1_frac"),
        ({"phase_scaling": 1.0}, "phase_scaling"),
        ({"phase_scaling": {"S1": None}}, "phase_scaling.S1"),
    ],
)
def test_a_knob_that_cannot_be_multiplied_is_refused(controls: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match="expected") as refused:
        apply_pattern_execution_overrides(matched(**{"phase1_frac_mult": 0.5, "phase_scaling.S1": 1.2}), controls)
    assert refused.value.field == field


@given(resolutions, st.floats(0.0, 1.0))
def test_an_allocation_stays_within_its_share(resolution: Resolution, alloc: float) -> None:
    out = apply_alloc_overrides(resolution, alloc)
    assert out == 0.0 if alloc == 0.0 else 0.001 <= out <= 0.2


@pytest.mark.parametrize(("alloc", "out"), [(0.1, 0.12), (0.19, 0.2), (0.0001, 0.001), (0.0, 0.0), (0.0009, 0.00108)])
def test_allocations_by_hand(alloc: float, out: float) -> None:
    assert apply_alloc_overrides(matched(alloc_mult=1.2), alloc) == pytest.approx(out)


@pytest.mark.parametrize("alloc", [-0.1, float("nan"), float("inf")])
def test_an_allocation_that_is_none_is_refused(alloc: float) -> None:
    with pytest.raises(BadInput, match="alloc_frac"):
        apply_alloc_overrides(NEUTRAL, alloc)


@given(st.floats(0.0, 10.0))
def test_bars_are_rounded_to_the_nearest_and_halves_down(bars: float) -> None:
    assert abs(whole_bars(bars) - bars) <= 0.5
    assert whole_bars(int(bars) + 0.5) == int(bars)
