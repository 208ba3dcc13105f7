"""The life of one lesson: candidate, active, dormant, retired, and why (spec section 7)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.forward import level
from learning.half_life import HalfLife
from learning.lessons import Evidence, Forward, Lesson, LessonState, activation_e, lesson_id, reviewed, unseen
from learning.parameters import Parameters
from tests.laws.examples import DAY_MS, EPOCH_MS, START_MS, some_evidence, some_stats, strong
from tests.laws.strategies import evidences

PARAMETERS = Parameters(insignificant_epochs=2, rest_ms=EPOCH_MS)
GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|exit", "pm.up.S2.a|add", "dm.alloc.new.buy|allocation")
SCOPES: tuple[dict[str, Any], ...] = (
    {"bucket": "micro"},
    {"bucket": "mid", "macro_phase": "Dip"},
    {"bucket": "nano", "macro_phase": "Dip", "bucket_rank_position": 2},
)
CONFIRMING = Forward(n=80, n_clusters=40, effect_rr=0.8, error_rr=0.1)


@given(st.permutations(sorted(SCOPES[2].items())))
def test_the_id_of_a_lesson_is_what_it_is_about(items: list[tuple[str, Any]]) -> None:
    plain = lesson_id("pm_strength", GROUPS[0], SCOPES[2])
    assert lesson_id("pm_strength", GROUPS[0], dict(items)) == plain
    others = {
        lesson_id("pm_tuning", GROUPS[0], SCOPES[2]),
        lesson_id("pm_strength", GROUPS[1], SCOPES[2]),
        lesson_id("pm_strength", GROUPS[0], SCOPES[0]),
        lesson_id("pm_strength", GROUPS[0], SCOPES[2] | {"bucket_rank_position": "2"}),
    }
    assert len(others | {plain}) == 5


def alive(**fields: Any) -> Lesson:
    lesson = Lesson(
        id="ls_1", lesson_type="pm_strength", module="pm", group=GROUPS[0], scope=SCOPES[0], direction=1,
        state="active", reason="significant", created_at_ms=START_MS, changed_at_ms=START_MS, evidence=strong(epoch_at_ms=START_MS),
    )  # fmt: skip
    return msgspec.structs.replace(lesson, **fields)


@given(st.lists(evidences(), min_size=1, max_size=6))
def test_a_lesson_lives_until_its_evidence_turns_fades_or_falls_silent(found: list[Evidence]) -> None:
    lesson, weak = alive(), 0
    for i, drawn in enumerate(found):
        evidence = msgspec.structs.replace(drawn, epoch_at_ms=START_MS + (i + 1) * EPOCH_MS)
        before = lesson
        lesson, event = reviewed(lesson, evidence, PARAMETERS)
        assert lesson.evidence == evidence
        if before.state == "retired":
            assert (lesson.state, event) == ("retired", None)
            continue
        weak = weak + 1 if evidence.p_value > PARAMETERS.alpha else 0
        silent_ms = evidence.epoch_at_ms - evidence.stats.last_closed_at_ms
        forward = evidence.forward
        turned = evidence.effect_rr <= 0 or (forward.n_clusters >= 8 and forward.effect_rr <= 0)
        gone = turned or weak >= 2 or silent_ms > PARAMETERS.unseen_ms
        assert (lesson.state == "retired") is gone
        assert (event is not None) is gone


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (some_evidence(effect_rr=-0.1), "effect_turned"),
        (some_evidence(effect_rr=0.0), "effect_turned"),
        (some_evidence(some_stats(last_closed_at_ms=START_MS - 31 * 86_400_000)), "no_trade_matched"),
    ],
)
def test_why_a_lesson_retires(evidence: Evidence, reason: str) -> None:
    retired, event = reviewed(alive(), evidence, PARAMETERS)
    assert event is not None
    assert (retired.state, retired.reason, event.reason, event.from_state) == ("retired", reason, reason, "active")


def test_significance_may_be_gone_for_a_while_but_not_for_long() -> None:
    lesson, event = reviewed(alive(), some_evidence(p_value=0.5), PARAMETERS)
    assert (lesson.state, event) == ("active", None)
    back, _ = reviewed(lesson, strong(epoch_at_ms=START_MS), PARAMETERS)
    assert back.insignificant_epochs == 0
    retired, event = reviewed(lesson, some_evidence(p_value=0.5), PARAMETERS)
    assert (retired.state, retired.reason) == ("retired", "significance_gone")
    assert event is not None


@given(evidences(), st.integers(1, 10**4))
def test_a_candidate_is_confirmed_by_trades_after_its_nomination_and_by_nothing_else(
    found: Evidence, ordinal: int
) -> None:
    evidence = msgspec.structs.replace(found, epoch_at_ms=START_MS + EPOCH_MS)
    candidate = alive(state="candidate", ordinal=ordinal)
    lesson, event = reviewed(candidate, evidence, PARAMETERS)
    e, wanted = activation_e(lesson, PARAMETERS)
    assert wanted == pytest.approx(1 / level(PARAMETERS.alpha, ordinal))
    if lesson.state == "active":
        assert e >= wanted
        assert evidence.shrunk_rr >= PARAMETERS.effect_min_rr
        assert evidence.forward.effect_rr > 0
    assert (event is not None) is (lesson.state != "candidate")
    unseen = msgspec.structs.replace(evidence, forward=Forward())
    assert reviewed(candidate, unseen, PARAMETERS)[1] is None, "without a trade since there is nothing to say"


def test_what_becomes_of_a_candidate() -> None:
    def after(forward: Forward, days: int = 1, **fields: Any) -> tuple[str, str]:
        at_ms = START_MS + days * 86_400_000
        found = some_evidence(epoch_at_ms=at_ms, forward=forward, **fields)
        lesson, _ = reviewed(alive(state="candidate", reason="discovered"), found, PARAMETERS)
        return lesson.state, lesson.reason

    assert after(CONFIRMING) == ("active", "confirmed")
    assert after(CONFIRMING, shrunk_rr=0.1) == ("candidate", "discovered")
    assert after(Forward(n=20, n_clusters=8, effect_rr=-0.3, error_rr=0.2)) == ("retired", "not_confirmed")
    assert after(Forward(n=20, n_clusters=8, effect_rr=-0.1, error_rr=0.2)) == ("candidate", "discovered")
    assert after(Forward(n=20, n_clusters=7, effect_rr=-0.3, error_rr=0.2)) == ("candidate", "discovered")
    assert after(Forward(n=900, n_clusters=80, effect_rr=0.03, error_rr=0.05)) == ("retired", "too_small")
    assert after(Forward(n=9, n_clusters=4, effect_rr=0.3, error_rr=0.3), days=366) == ("retired", "not_confirmed")


def test_a_lever_is_confirmed_only_if_it_would_bear_a_loss_and_not_refuted_by_one_that_was_none() -> None:
    def after(with_loss_rr: float) -> str:
        forward = Forward(
            n=80, n_clusters=40, effect_rr=0.8, error_rr=0.1, with_loss_rr=with_loss_rr, with_loss_error_rr=0.1
        )
        found = some_evidence(epoch_at_ms=START_MS + EPOCH_MS, forward=forward)
        return reviewed(alive(state="candidate", lever="entry_delay_bars"), found, PARAMETERS)[0].state

    assert (after(0.7), after(0.1), after(-0.1)) == ("active", "candidate", "candidate")


def test_a_lesson_sleeps_while_its_regime_is_away_and_does_not_retire_for_it() -> None:
    day_ms = 86_400_000
    lesson = alive()
    for days, regime, state in ((7, 0, "active"), (8, 0, "dormant"), (60, 0, "dormant"), (61, 61, "retired")):
        found = some_evidence(epoch_at_ms=START_MS + days * day_ms)
        lesson, _ = reviewed(lesson, found, PARAMETERS, regime_at_ms=START_MS + regime * day_ms)
        assert lesson.state == state
    assert lesson.reason == "no_trade_matched", "the regime was there, and no trade"
    found = some_evidence(some_stats(last_closed_at_ms=START_MS + 61 * day_ms), epoch_at_ms=START_MS + 62 * day_ms)
    woken, event = reviewed(alive(state="dormant"), found, PARAMETERS, regime_at_ms=START_MS + 61 * day_ms)
    assert (woken.state, woken.reason, event is not None) == ("active", "regime_back", True)


def test_a_lesson_whose_effect_has_faded_retires_unless_half_lives_are_switched_off() -> None:
    def after(now_rr: float, parameters: Parameters, state: LessonState = "active") -> str:
        known = HalfLife(hours=480, high_hours=700, n_windows=9, effect_now_rr=now_rr, effect_now_error_rr=0.05)
        return reviewed(alive(state=state), strong(half_life=known), parameters)[0].reason

    assert after(0.05, PARAMETERS) == after(0.05, PARAMETERS, "candidate") == "faded"
    assert after(0.1, PARAMETERS) == "significant"
    assert after(0.05, Parameters(v5_meta_learning_enabled=False)) == "significant"


def test_a_lesson_that_dies_within_days_is_not_activated() -> None:
    known = HalfLife(hours=30, high_hours=71, n_windows=5, effect_now_rr=0.6, effect_now_error_rr=0.1)
    lesson, event = reviewed(alive(state="candidate"), strong(forward=CONFIRMING, half_life=known), PARAMETERS)
    assert (lesson.state, lesson.reason) == ("retired", "dies_too_fast")
    assert event is not None


def test_the_history_of_an_edge_has_a_point_a_day_and_its_first_for_ever() -> None:
    lesson = alive()
    for epoch in range(1, 900):
        at_ms = START_MS + epoch * EPOCH_MS
        stats = some_stats(edge_raw=float(epoch), last_closed_at_ms=at_ms)
        lesson, _ = reviewed(lesson, strong(epoch_at_ms=at_ms, stats=stats), PARAMETERS)
    points = lesson.edge_history
    assert (points[0], len(points)) == ((START_MS + EPOCH_MS, 1.0), 200)
    assert sorted({at_ms // 86_400_000 for at_ms, _ in points}) == [at_ms // 86_400_000 for at_ms, _ in points]


days = st.integers(0, 500)


@given(st.sampled_from(("candidate", "active", "dormant", "disabled")), days, days, days, st.none() | days)
def test_a_lesson_that_nothing_is_known_of_ends(
    state: LessonState, now: int, created: int, closed: int, regime: int | None
) -> None:
    """Of a candidate after a year; of others after 30 days of its regime, or when its trades are forgotten."""
    stats = some_stats(last_closed_at_ms=closed * DAY_MS)
    lesson = alive(state=state, created_at_ms=created * DAY_MS, evidence=some_evidence(stats))
    after, event = unseen(lesson, now * DAY_MS, None if regime is None else regime * DAY_MS, PARAMETERS)
    ends = {
        "candidate": now - created > 365,
        "disabled": False,
    }.get(state, (now if regime is None else regime) - closed > 30 or now - closed > 365)
    if not ends:
        assert (after, event) == (lesson, None)
        return
    reason = "not_confirmed" if state == "candidate" else "no_trade_matched"
    assert (after.state, after.reason, after.changed_at_ms) == ("retired", reason, now * DAY_MS)
    assert event is not None
    assert (event.from_state, event.to_state, event.epoch_at_ms) == (state, "retired", now * DAY_MS)
