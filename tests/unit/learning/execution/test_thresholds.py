"""Thresholds: the planted cut is found where it is; what a search finds in noise is worth nothing afterwards."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.cells import RR_SCALE, GroupCells
from learning.execution.findings import AcceptedLever, LeverSearch
from learning.execution.thresholds import BARS_SINCE_TRIM, GroupThresholds
from leverloop.events import Controls
from tests.laws.examples import DAY_MS, HOUR_MS, an_outcome
from tests.unit.learning.execution.planting import (
    ADD,
    ALPHA,
    ENTRY,
    PARAMETERS,
    START_MS,
    TRIM,
    Scope,
    cells_of,
    scopes,
)  # fmt: skip

Edge = Callable[[Scope, dict[str, float]], float]
MIN_TS, MAX_EDX = "signal_thresholds.min_ts_for_add", "signal_thresholds.max_edx_for_add"


def nothing(_scope: Scope, _signals: dict[str, float]) -> float:
    return 0.0


BOUNDS_NOTHING: dict[str, Any] = {
    "min_ts_for_add": 0.0, "min_dx_for_add": 0.0, "max_edx_for_add": 1.0, "min_ox_for_trim": 0.0, "wait_for_signal": 0.0,
}  # fmt: skip


def traded(
    seed: int,
    edge: Edge = nothing,
    *,
    group: str = ADD,
    trades: int = 600,
    bars: bool = False,
    knobs: dict[str, Any] = BOUNDS_NOTHING,
) -> list[Any]:
    rng = np.random.default_rng(seed)
    found = []
    for i in range(trades):
        scope, at_ms = scopes(rng), START_MS + i * 6 * HOUR_MS
        signals = {name: float(rng.uniform()) for name in ("TS", "DX", "EDX", "OX")}
        signals |= {BARS_SINCE_TRIM: float(rng.integers(0, 12))} if bars else {}
        rr = float(np.clip(0.9 * rng.standard_t(4) + edge(scope, signals), -10, 10))
        found.append(
            an_outcome(
                f"a{i}", f"t{i}", group=group, scope=scope, rr=rr, action_at_ms=at_ms, closed_at_ms=at_ms + HOUR_MS,
                controls=Controls(signals=signals, applied_knobs=knobs),
            )
        )  # fmt: skip
    return found


def searched(
    outcomes: list[Any],
    *accepted: AcceptedLever,
    before_ms: int = 2**60,
    knobs: dict[tuple[str, str], float] | None = None,
) -> GroupThresholds:
    cells: GroupCells = cells_of(outcomes)
    rows = cells.counted(START_MS)
    rows = rows[cells.column("closed_at_ms", rows) < before_ms]
    return GroupThresholds(cells, rows, cells.column("rr_q", rows) / RR_SCALE, accepted, PARAMETERS, knobs=knobs)


def what(found: LeverSearch) -> list[tuple[Scope, str, str]]:
    return [(each.scope, each.evidence.lever, each.evidence.signal) for each in found.candidates if not each.scope]


@pytest.mark.parametrize("cut", [0.3, 0.6])
def test_the_cut_is_found_where_it_was_planted(cut: float) -> None:
    found = searched(traded(1, lambda _, signals: 1.0 * (signals["TS"] >= cut))).discover(ALPHA)
    assert what(found) == [({}, MIN_TS, "TS")]
    evidence = found.candidates[0].evidence
    assert evidence.target == pytest.approx(cut, abs=0.08)
    assert evidence.effect_rr == pytest.approx(1.0, abs=0.35)
    assert evidence.n_stopped == pytest.approx(cut * evidence.n, rel=0.2)


def test_an_upper_bound_stops_what_is_above_it() -> None:
    found = searched(traded(2, lambda _, signals: -1.0 * (signals["EDX"] > 0.7))).discover(ALPHA)
    assert what(found) == [({}, MAX_EDX, "EDX")]
    assert found.candidates[0].evidence.target == pytest.approx(0.7, abs=0.08)
    assert found.candidates[0].evidence.n_stopped < 0.5 * found.candidates[0].evidence.n


def test_a_signal_of_the_wrong_sign_is_no_threshold() -> None:
    assert searched(traded(2, lambda _, signals: -1.0 * (signals["TS"] >= 0.5))).discover(ALPHA).candidates == ()


@pytest.mark.parametrize(("group", "lever", "signal"), [
    (TRIM, "signal_thresholds.min_ox_for_trim", "OX"), (ENTRY, "signal_thresholds.wait_for_signal", "DX"),
])  # fmt: skip
def test_each_category_has_its_own(group: str, lever: str, signal: str) -> None:
    found = searched(traded(3, lambda _, signals: 1.0 * (signals[signal] >= 0.5), group=group)).discover(ALPHA)
    assert what(found) == [({}, lever, signal)]


def test_readds_wait_where_the_gap_after_the_trim_was_logged() -> None:
    outcomes = traded(4, lambda _, signals: 1.0 * (signals[BARS_SINCE_TRIM] >= 5), bars=True)
    found = searched(outcomes).discover(ALPHA)
    assert what(found) == [({}, "wait_n_bars_after_trim", BARS_SINCE_TRIM)]
    assert found.candidates[0].evidence.target == 5.0


def test_noise_is_found_no_more_often_than_alpha_allows() -> None:
    """Three signals, ten subsets, nineteen cuts each; 60 searches at 10 % would find 6, were every bound tight."""
    assert sum(bool(searched(traded(seed, trades=300)).discover(0.1).candidates) for seed in range(60)) <= 9


def test_p_is_as_often_small_as_it_says() -> None:
    """Also in the tail: were later trades to have a say, 1 % would be under 0.2 %. And the mean gap is none."""
    p, gaps = [], []
    for seed in range(100):
        thresholds = searched(traded(seed, trades=240))
        for test in thresholds._tests():
            found = thresholds._validated(np.zeros(10, dtype=np.int32), np.arange(240), test, ALPHA)
            p += [] if found is None else [found.p_value]
            gaps += [] if found is None else [found.effect_rr]
    assert len(p) > 250
    assert np.mean(np.array(p) <= 0.1) < 0.14
    assert np.mean(np.array(p) <= 0.01) < 0.02
    assert abs(np.mean(gaps)) < 0.05


def test_it_holds_on_trades_that_came_later() -> None:
    outcomes = traded(5, lambda _, signals: 1.0 * (signals["TS"] >= 0.5), trades=900)
    half_ms = START_MS + 450 * 6 * HOUR_MS
    found = searched(outcomes, before_ms=half_ms).discover(ALPHA).candidates[0]
    cells = cells_of(outcomes)
    rows = cells.counted(START_MS)
    rows = rows[cells.column("closed_at_ms", rows) >= half_ms]
    later = GroupThresholds(cells, rows, cells.column("rr_q", rows) / RR_SCALE, (), PARAMETERS)
    evidence = later.weigh(found.scope, MIN_TS, "TS", found.evidence.target)
    assert evidence is not None
    assert evidence.effect_rr == pytest.approx(1.0, abs=0.35)
    assert evidence.ci_low > 0.5


def test_what_stands_leaves_only_what_it_lets_through() -> None:
    outcomes = traded(6, lambda _, signals: 1.0 * (signals["TS"] >= 0.5))
    target = searched(outcomes).discover(ALPHA).candidates[0].evidence.target
    stands = AcceptedLever(group=ADD, scope={}, lever=MIN_TS, target=target, signal="TS")
    beside = searched(outcomes, stands)
    assert beside.discover(ALPHA).candidates == ()
    assert beside.weigh({}, MIN_TS, "TS", target) == searched(outcomes).weigh({}, MIN_TS, "TS", target)


def test_the_days_are_shared() -> None:
    """Ten trades a day with one rr: an error over trades would be a third of what it is."""
    outcomes = []
    rng = np.random.default_rng(7)
    for i in range(600):
        day = i // 10
        shared = float(np.random.default_rng(day).normal())
        signals = {"TS": float(rng.uniform()) * 0.2 + 0.8 * (day % 2)}
        outcomes.append(
            an_outcome(
                f"a{i}", f"t{i}", group=ADD, scope={"bucket": "micro"}, rr=shared, controls=Controls(signals=signals),
                closed_at_ms=START_MS + day * DAY_MS,
            )
        )  # fmt: skip
    found = searched(outcomes).weigh({}, MIN_TS, "TS", 0.5)
    assert found is not None
    assert found.n_clusters == 30
    assert found.error_rr == pytest.approx(2 / np.sqrt(60), rel=0.3)


def test_the_trader_s_own_value_is_the_neutral_as_it_was_before_it_was_moved() -> None:
    mixed = [
        an_outcome(f"a{i}", f"t{i}", group=ADD, controls=Controls(applied_knobs={"min_ts_for_add": knob}))
        for i, knob in enumerate((0.2, 0.3, 0.3, 0.45, 0.1))
    ]
    assert searched(mixed).neutral(MIN_TS, "TS") == 0.3, "the decimal that the trader wrote, not its 32-bit float"
    assert searched(mixed).neutral(MAX_EDX, "EDX") is None
    assert searched(mixed, knobs={(MIN_TS, "TS"): 0.2}).neutral(MIN_TS, "TS") == 0.2
    assert searched(mixed).neutral("wait_n_bars_after_trim", BARS_SINCE_TRIM) == 0.0


def test_without_a_knob_there_is_nothing_to_be_stricter_than_and_nothing_is_paid_for() -> None:
    outcomes = traded(1, lambda _, signals: 1.0 * (signals["TS"] >= 0.6), knobs={"max_edx_for_add": 50.0})
    assert searched(outcomes).discover(ALPHA) == LeverSearch(tested_by_dims=(0, 0, 0, 0))


@pytest.mark.parametrize(("knob", "is_found"), [(0.3, True), (0.6, False), (0.8, False)])
def test_only_what_is_stricter_than_today_is_a_finding(knob: float, is_found: bool) -> None:
    """Trades below today's bound are exceptions: nothing is asked of them, and looser bounds let in what nobody saw."""
    outcomes = traded(1, lambda _, signals: 1.0 * (signals["TS"] >= 0.6), knobs={"min_ts_for_add": knob}, trades=900)
    found = searched(outcomes).discover(ALPHA)
    assert bool(what(found)) is is_found
    for each in found.candidates:
        assert each.evidence.target > knob
        assert each.evidence.n <= 900 * (1.0 - knob) * 1.1


def test_an_upper_bound_is_stricter_below() -> None:
    outcomes = traded(2, lambda _, signals: -1.0 * (signals["EDX"] > 0.5), knobs={"max_edx_for_add": 0.8}, trades=900)
    found = searched(outcomes).discover(ALPHA)
    assert what(found) == [({}, MAX_EDX, "EDX")]
    assert found.candidates[0].evidence.target == pytest.approx(0.5, abs=0.08)


def test_an_entry_that_waits_for_one_signal_says_which() -> None:
    """A knob for each signal: of those that have none, nothing is known."""
    lever, knobs = "signal_thresholds.wait_for_signal", {"wait_for_signal": {"DX": 0.1}}
    good = traded(3, lambda _, signals: 1.0 * (signals["DX"] >= 0.5), group=ENTRY, knobs=knobs)
    assert what(searched(good).discover(ALPHA)) == [({}, lever, "DX")]
    assert searched(good).neutral(lever, "DX") == 0.1
    other = traded(3, lambda _, signals: 1.0 * (signals["TS"] >= 0.5), group=ENTRY, knobs=knobs)
    assert what(searched(other).discover(ALPHA)) == []


@settings(max_examples=10)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_arrival_does_not_matter(random: Any, seed: int) -> None:
    outcomes = traded(seed, lambda _, signals: 0.5 * (signals["TS"] >= 0.5), trades=120)
    one, other = searched(outcomes), searched(random.sample(outcomes, len(outcomes)))
    assert one.discover(1e6) == other.discover(1e6)
    assert one.weigh({"bucket": "nano"}, MIN_TS, "TS", 0.5) == other.weigh({"bucket": "nano"}, MIN_TS, "TS", 0.5)


def test_too_few_trades_and_no_signal_are_not_looked_at() -> None:
    few = searched(traded(9, trades=2 * PARAMETERS.lesson_n_min - 1)).discover(ALPHA)
    none = searched([an_outcome(group=ADD)]).discover(ALPHA)
    assert few == none == LeverSearch(tested_by_dims=(0, 0, 0, 0))
    assert searched([an_outcome(group=ADD)]).weigh({}, MIN_TS, "TS", 0.5) is None
