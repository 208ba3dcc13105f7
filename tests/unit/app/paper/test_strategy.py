"""More appetite asks less of an entry, more assertiveness draws stops closer; values stay in their range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.indicators import Reading
from app.paper.resample import Bar
from app.paper.strategy import (
    KNOBS,
    Scores,
    a_value,
    add_fraction,
    allows_add,
    e_value,
    entry_quality,
    find_setup,
    leaves,
    trail_distance,
    tuned,
)

unit = st.floats(0.0, 1.0)
signal_sets = st.fixed_dictionaries({"TS": unit, "OX": unit, "DX": unit, "EDX": unit, "OBV_z": st.floats(-5, 5)})
score = st.floats(-1, 1)
all_scores = st.builds(Scores, score, score, score, st.none() | st.integers(1, 5))
SIGNALS = {"TS": 0.6, "OX": 0.3, "DX": 0.4, "EDX": 0.1, "OBV_z": 1.0}
CLOSE = Bar(1_515_560_400_000, 100.0, 103.0, 99.0, 102.0, 1.0)


def reading(**fields: object) -> Reading:
    known: dict[str, object] = {
        "state": "S1", "signals": SIGNALS, "atr": 1.0, "fast": 100.0, "fall_atr": 0.0, "high_before": 101.0, "flag_atr": 2.0,
        "dips": 0, "bounced": False,
    }  # fmt: skip
    return Reading(**known | fields)  # type: ignore[arg-type]


@given(scores=all_scores, signals=signal_sets)
def test_a_and_e_are_fractions(scores: Scores, signals: dict[str, float]) -> None:
    assert 0.0 <= a_value(scores, signals) <= 1.0
    assert 0.0 <= e_value(scores, signals) <= 1.0


@given(less=unit, more=unit)
def test_levers_on_a_and_e_work_in_their_direction(less: float, more: float) -> None:
    less, more = sorted((less, more))
    assert entry_quality(more) <= entry_quality(less)
    assert add_fraction(more) >= add_fraction(less)
    assert trail_distance(reading(), more) <= trail_distance(reading(), less)
    assert tuned(KNOBS, "trim", 0.5, more).min_ox_for_trim <= tuned(KNOBS, "trim", 0.5, less).min_ox_for_trim
    assert tuned(KNOBS, "add", more, 0.5).min_ts_for_add <= tuned(KNOBS, "add", less, 0.5).min_ts_for_add
    for ts in (0.1, 0.15, 0.2):
        over = reading(state="S0", signals=SIGNALS | {"TS": ts})
        assert leaves(over, less, hold_bars=1) is None or leaves(over, more, hold_bars=1) is not None


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({}, "pm.uptrend.S1.buy_flag"),
        ({"state": "S2"}, "pm.uptrend.S2.buy_flag"),
        ({"state": "S0"}, None),
        ({"state": "S3"}, None),
        ({"high_before": 102.0}, None),
        ({"flag_atr": 9.0}, None),
        ({"high_before": 110.0, "bounced": True, "dips": 1}, "pm.uptrend.S1.first_dip_buy"),
        ({"high_before": 110.0, "bounced": True, "dips": 2}, None),
        ({"high_before": 110.0, "bounced": True, "dips": 1, "state": "S2"}, None),
    ],
)
def test_setups(fields: dict[str, object], pattern: str | None) -> None:
    setup = find_setup(reading(**fields), CLOSE)
    assert (setup and setup.pattern_key) == pattern


def test_the_strategy_leaves_in_the_end() -> None:
    assert leaves(reading(), 1.0, hold_bars=10) is None
    assert leaves(reading(), 0.0, hold_bars=120) == "held_long"
    assert leaves(reading(state="S0", signals=SIGNALS | {"TS": 0.05}), 0.5, hold_bars=1) == "trend_over"


@pytest.mark.parametrize("knob", [{"min_ts_for_add": 1.0}, {"min_dx_for_add": 1.0}, {"max_edx_for_add": 0.0}])
def test_each_threshold_forbids_adds(knob: dict[str, float]) -> None:
    assert allows_add(SIGNALS, KNOBS)
    assert not allows_add(SIGNALS, type(KNOBS)(**knob))
