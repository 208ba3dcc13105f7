"""Levers: always within bounds, never faster than allowed, back to neutral by their half-life (spec section 8)."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.decay import UNKNOWN_HALF_LIFE_HOURS
from learning.half_life import HalfLife
from learning.lessons import Evidence, Lesson, nominated
from learning.levers import confidence, half_life_hours, seen_by_now, stepped, still_there, target
from learning.outcome import group_of
from learning.parameters import HOUR_MS, Parameters
from leverloop.errors import InvariantBroken
from leverloop.levers import LEVERS, levers_of
from leverloop.patterns import ActionCategory
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, some_evidence, some_stats
from tests.laws.strategies import evidences, wild

PARAMETERS = Parameters()
CATEGORIES: tuple[ActionCategory, ...] = ("entry", "add", "trim", "exit", "allocation")


def a_lesson(evidence: Evidence, category: ActionCategory = "entry", **fields: object) -> Lesson:
    module = "dm" if category == "allocation" else "pm"
    kind = "dm_alloc" if module == "dm" else "pm_strength"
    group = group_of(f"{module}.f.s.m", category)
    lesson, _ = nominated(kind, module, group, {"bucket": "micro"}, evidence, epoch_at_ms=START_MS, ordinal=1)  # type: ignore[arg-type]
    return msgspec.structs.replace(lesson, **({"state": "active"} | fields))


@given(st.lists(evidences(), min_size=1, max_size=8), st.sampled_from(CATEGORIES))
def test_whatever_the_evidence_levers_stay_in_bounds_and_in_step(
    found: list[Evidence], category: ActionCategory
) -> None:
    lesson = a_lesson(found[0], category)
    for evidence in found:
        before = lesson.levers
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
        assert set(lesson.levers) <= {lever.name for lever in levers_of(category, "capital")}
        for name, value in lesson.levers.items():
            assert LEVERS[name].holds(value)
            assert abs(math.log(value / before.get(name, 1.0))) <= math.log(1.02) + 1e-12
        assert (lesson.stepped_n, lesson.stepped_closed_ms) == (evidence.stats.n, evidence.stats.last_closed_at_ms)


@given(evidences(), st.sampled_from(CATEGORIES))
def test_levers_go_where_the_edge_points_or_rest(evidence: Evidence, category: ActionCategory) -> None:
    lesson = stepped(a_lesson(evidence, category), PARAMETERS)
    agreed = evidence.stats.edge_raw is not None and evidence.stats.delta_rr * lesson.direction > 0
    for name, value in lesson.levers.items():
        pull = (evidence.stats.edge_raw or 0.0) * LEVERS[name].direction if agreed else 0.0
        assert (value - 1.0) * pull >= 0.0
        if pull == 0.0:
            assert value == 1.0


@given(evidences())
def test_without_new_trades_a_lever_halves_in_its_half_life(evidence: Evidence) -> None:
    epochs = round(UNKNOWN_HALF_LIFE_HOURS * HOUR_MS / EPOCH_MS)
    lesson = seen_by_now(a_lesson(evidence, levers={"size_mult": 1.21, "entry_aggression_mult": 0.9}))
    for _ in range(epochs):
        lesson = stepped(lesson, PARAMETERS)
    assert math.log(lesson.levers["size_mult"]) == pytest.approx(math.log(1.21) / 2)
    assert math.log(lesson.levers["entry_aggression_mult"]) == pytest.approx(math.log(0.9) / 2)


@given(st.integers(-20, 0), st.integers(1, DAY_MS), st.booleans())
def test_a_new_trade_is_fresh_evidence_though_others_are_forgotten(
    more: int, later_ms: int, is_execution: bool
) -> None:
    """As many trades as before, or fewer: what tells that one of them is new is when it closed."""
    lever = {"lever": "entry_delay_bars", "lever_target": 3.0} if is_execution else {}
    before = stepped(a_lesson(some_evidence(), **lever), PARAMETERS)
    seen = some_stats(n=100 + more, last_closed_at_ms=START_MS + later_ms)
    after = stepped(msgspec.structs.replace(before, evidence=some_evidence(seen)), PARAMETERS)
    (name, value), *_ = before.levers.items()
    assert after.levers[name] > value
    assert stepped(after, PARAMETERS).levers[name] < after.levers[name], "and it is so once"


@given(evidences(), st.floats(0.8, 1.2))
def test_a_dormant_lesson_drifts_even_with_new_trades(evidence: Evidence, at: float) -> None:
    lesson = stepped(a_lesson(evidence, levers={"size_mult": at}, state="dormant"), PARAMETERS)
    assert abs(math.log(lesson.levers["size_mult"])) <= abs(math.log(at))


@given(wild, st.floats(0, 1), st.sampled_from([lever for lever in LEVERS.values() if lever.kind == "capital"]))
def test_a_target_is_in_bounds_and_grows_with_confidence(edge: float, strength: float, lever: object) -> None:
    found = target(lever, edge, strength, PARAMETERS)  # type: ignore[arg-type]
    surer = target(lever, edge, 1.0, PARAMETERS)  # type: ignore[arg-type]
    assert lever.holds(found)  # type: ignore[attr-defined]
    assert abs(math.log(found)) <= abs(math.log(surer)) + 1e-12
    assert target(lever, edge, 0.0, PARAMETERS) == 1.0  # type: ignore[arg-type]


@given(evidences())
def test_confidence_is_a_share_and_nothing_without_an_effect(evidence: Evidence) -> None:
    assert 0.0 <= confidence(evidence) <= 1.0
    assert confidence(msgspec.structs.replace(evidence, shrunk_rr=0.0)) == 0.0


def test_steady_evidence_reaches_its_target_and_stays() -> None:
    lesson = a_lesson(some_evidence())
    for more in range(1, 40):
        evidence = some_evidence(some_stats(n=100 + more))
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
    wanted = target(LEVERS["size_mult"], 1.0, confidence(lesson.evidence), PARAMETERS)
    assert lesson.levers["size_mult"] == pytest.approx(wanted)
    assert 1.25 < wanted < 1.3


@given(evidences(), st.floats(0, 2), st.floats(0.01, 1))
def test_what_has_decayed_pulls_less_and_by_its_own_half_life(evidence: Evidence, left: float, error_rr: float) -> None:
    lasting = a_lesson(evidence, levers={"size_mult": 1.2})
    known = HalfLife(
        hours=96, low_hours=48, high_hours=200, n_windows=9, effect_now_rr=left, effect_now_error_rr=error_rr
    )
    decaying = msgspec.structs.replace(lasting, half_life=known)
    assert still_there(lasting, PARAMETERS) == 1.0
    assert 0.0 <= still_there(decaying, PARAMETERS) <= 1.0
    assert half_life_hours(decaying, PARAMETERS) == 96
    switched_off = Parameters(v5_half_life_enabled=False)
    assert half_life_hours(decaying, switched_off) == UNKNOWN_HALF_LIFE_HOURS
    assert stepped(decaying, switched_off).levers == stepped(lasting, PARAMETERS).levers


def test_the_switch_of_half_lives_changes_a_published_lever() -> None:
    known = HalfLife(hours=96, low_hours=48, high_hours=200, n_windows=9, effect_now_rr=0.0, effect_now_error_rr=0.1)
    lesson = a_lesson(some_evidence(some_stats(n=101)), levers={"size_mult": 1.2}, half_life=known)
    on, off = (stepped(lesson, Parameters(v5_half_life_enabled=switch)).levers["size_mult"] for switch in (True, False))
    assert on == pytest.approx(1.2 / 1.02)
    assert off == pytest.approx(1.2 * 1.02)


@given(
    st.lists(evidences(), min_size=1, max_size=12),
    st.sampled_from([("entry_delay_bars", 3.0), ("phase1_frac_mult", 1.4), ("phase1_frac_mult", 0.5)]),
)
def test_an_execution_lever_stays_in_bounds_and_in_step(found: list[Evidence], aim: tuple[str, float]) -> None:
    name, wanted = aim
    lesson = a_lesson(found[0], lever=name, lever_target=wanted)
    neutral = LEVERS[name].neutral
    assert neutral is not None
    for evidence in found:
        before = lesson.levers.get(name, neutral)
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
        (value,) = lesson.levers.values()
        assert LEVERS[name].holds(value)
        step = abs(value - before) if neutral == 0.0 else abs(math.log(value / before))
        assert step <= (0.2 if neutral == 0.0 else math.log(1.02)) + 1e-12
        assert min(neutral, wanted) - 1e-12 <= value <= max(neutral, wanted) + 1e-12


def test_an_execution_lever_reaches_its_value_and_drifts_home_without_trades() -> None:
    lesson = a_lesson(some_evidence(), lever="entry_delay_bars", lever_target=2.0)
    for more in range(10):
        evidence = some_evidence(some_stats(n=101 + more))
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
    assert lesson.levers["entry_delay_bars"] == pytest.approx(2.0)
    for _ in range(round(UNKNOWN_HALF_LIFE_HOURS * HOUR_MS / EPOCH_MS)):
        lesson = stepped(lesson, PARAMETERS)
    assert lesson.levers["entry_delay_bars"] == pytest.approx(1.0)


@given(st.lists(evidences(), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_threshold_goes_from_the_trader_s_own_value_by_no_more_than_its_step(
    found: list[Evidence], neutral: float, wanted: float
) -> None:
    name = "signal_thresholds.min_ts_for_add"
    lesson = a_lesson(found[0], lever=name, lever_target=wanted, lever_neutral=neutral, lever_basis="signal")
    for evidence in found:
        before = lesson.levers.get(name, neutral)
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
        assert LEVERS[name].holds(lesson.levers[name])
        assert abs(lesson.levers[name] - before) <= 0.05 + 1e-12
        assert min(neutral, wanted) - 1e-12 <= lesson.levers[name] <= max(neutral, wanted) + 1e-12
    for _ in range(round(UNKNOWN_HALF_LIFE_HOURS * HOUR_MS / EPOCH_MS)):
        before = lesson.levers[name]
        lesson = stepped(lesson, PARAMETERS)
    assert abs(lesson.levers[name] - neutral) <= abs(before - neutral)
    assert lesson.lever_neutral == neutral


@given(st.lists(evidences(), min_size=1, max_size=12), st.floats(0.5, 1.5))
def test_a_phase_scaling_follows_its_effect_either_way(found: list[Evidence], nominated_with: float) -> None:
    name = "phase_scaling.S2"
    lesson = a_lesson(found[0], "add", lever=name, lever_target=nominated_with, lever_basis="state")
    for evidence in found:
        before = lesson.levers.get(name, 1.0)
        lesson = stepped(msgspec.structs.replace(lesson, evidence=evidence), PARAMETERS)
        assert LEVERS[name].holds(lesson.levers[name])
        assert abs(math.log(lesson.levers[name] / before)) <= math.log(1.02) + 1e-12
        assert lesson.lever_target == target(LEVERS[name], evidence.effect_rr, confidence(evidence), PARAMETERS)
        assert (lesson.lever_target - 1.0) * evidence.effect_rr >= 0.0


def test_a_threshold_has_no_home_of_its_own() -> None:
    lesson = a_lesson(some_evidence(), lever="signal_thresholds.wait_for_signal", lever_target=0.5)
    with pytest.raises(InvariantBroken, match="no neutral to drift to"):
        stepped(lesson, PARAMETERS)
