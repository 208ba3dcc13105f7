from typing import Any

import pytest

from benchmarks.lessons.deltas import deltas
from benchmarks.lessons.replayed import Moved, off_neutral
from leverloop.testing import make_override, make_snapshot

ENTRY: dict[str, Any] = {
    "pattern_key": "pm.uptrend.S1.buy_flag", "action_category": "entry", "scope": {"timeframe": "15m"},
    "lever": "entry_delay_bars", "value": "2", "effect_rr": 0.35,
}  # fmt: skip
TRIM: dict[str, Any] = {
    "pattern_key": "pm.uptrend.S3.exhaustion_trim", "action_category": "trim", "scope": {},
    "lever": "trim_delay_mult", "value": "1.25", "effect_rr": 0.25,
}  # fmt: skip
GROUP = "pm.uptrend.S1.buy_flag|entry"


def moved(lever: str = "entry_delay_bars", value: float = 1.2, group: str = GROUP, **scope: str) -> Moved:
    return Moved(group=group, scope=dict(scope), lever=lever, value=value)


def test_a_lever_on_its_way_to_the_planted_value_finds_it() -> None:
    later = moved("trim_delay_mult", 1.08, "pm.uptrend.S3.exhaustion_trim|trim", bucket="micro")
    found = deltas([moved(timeframe="15m"), moved(timeframe="15m", bucket="nano"), later], [ENTRY, TRIM])
    assert (found.planted, found.found, len(found.about), found.others) == (2, 2, 3, [])


@pytest.mark.parametrize(
    "lever",
    [
        moved(timeframe="1h"),
        moved(bucket="micro"),
        moved(timeframe="15m", group="pm.uptrend.S2.buy_flag|entry"),
        moved("phase1_frac_mult", 1.2, timeframe="15m"),
        moved("signal_thresholds.wait_for_signal", 0.4, timeframe="15m"),
        moved("trim_delay_mult", 0.9, "pm.uptrend.S3.exhaustion_trim|trim", bucket="micro"),
    ],
)
def test_another_scope_group_lever_or_side_is_about_nothing_planted(lever: Moved) -> None:
    found = deltas([lever], [ENTRY, TRIM])
    assert (found.found, found.about, found.others) == (0, [], [lever])


def test_levers_at_neutral_and_capital_levers_are_not_execution_that_moved() -> None:
    book = make_snapshot(
        make_override({"size_mult": 1.2}, {"bucket": "micro"}),
        make_override({"entry_delay_bars": 0.0, "phase1_frac_mult": 1.1}, {"bucket": "nano"}),
        make_override({"signal_thresholds.wait_for_signal": 0.5}, {"bucket": "mid"}),
    )
    assert off_neutral([book]) == [
        moved("phase1_frac_mult", 1.1, bucket="nano"),
        moved("signal_thresholds.wait_for_signal", 0.5, bucket="mid"),
    ]
