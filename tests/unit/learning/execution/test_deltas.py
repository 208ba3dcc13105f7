"""Execution levers from logged deltas: what was planted is found, once, in its place; noise is not."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.execution.deltas import GroupDeltas
from learning.execution.findings import AcceptedLever, LeverCandidate, LeverSearch
from learning.outcome import Companion
from leverloop.events import Controls
from tests.laws.examples import DAY_MS, an_outcome
from tests.unit.learning.execution.planting import (
    ADD,
    ALPHA,
    ENTRY,
    PARAMETERS,
    START_MS,
    TRIM,
    Scope,
    cells_of,
    deltas_of,
    logged,
    world,
)  # fmt: skip

WHERE = {"timeframe": "15m"}


def planted(scope: Scope, value: str) -> float:
    return 0.9 * (scope["timeframe"] == "15m" and value == "2")


def everywhere(_scope: Scope, value: str) -> float:
    return 0.4 * (value == "3")


def standing(scope: Scope, target: float, group: str = ENTRY, lever: str = "entry_delay_bars") -> AcceptedLever:
    return AcceptedLever(group=group, scope=scope, lever=lever, target=target)


def what(found: LeverSearch) -> list[tuple[Scope, str, float]]:
    return [(each.scope, each.evidence.lever, each.evidence.target) for each in found.candidates]


def simplest(found: LeverSearch) -> LeverCandidate:
    return min(found.candidates, key=lambda each: (len(each.scope), each.evidence.p_value))


# what was planted


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_delta_is_found_with_its_lever_its_value_and_its_scope(seed: int) -> None:
    found = simplest(deltas_of(world(seed, planted)).discover(ALPHA))
    assert (found.scope, found.evidence.lever, found.evidence.target) == (WHERE, "entry_delay_bars", 2.0)
    assert found.evidence.effect_rr == pytest.approx(0.9, abs=0.25)
    assert found.evidence.ci_low < found.evidence.effect_rr < found.evidence.ci_high
    assert found.evidence.ci_low > 0.0


@pytest.mark.parametrize("seed", range(5))
def test_what_holds_for_the_whole_group_pins_nothing(seed: int) -> None:
    found = simplest(deltas_of(world(seed, everywhere)).discover(ALPHA))
    assert (found.scope, found.evidence.target) == ({}, 3.0)


def test_of_values_beyond_doubt_the_one_that_is_worth_most_is_the_target() -> None:
    worth = {"1": 0.4, "2": 0.8, "3": 0.6}
    found = simplest(deltas_of(world(1, lambda _, value: worth[value])).discover(ALPHA))
    assert (found.scope, found.evidence.target) == ({}, 2.0)


def test_what_harms_moves_nothing() -> None:
    assert deltas_of(world(1, lambda _, value: -0.6)).discover(ALPHA).candidates == ()


@pytest.mark.parametrize("lever", ["trim_delay_mult", "trail_mult"])
def test_multipliers_are_found_at_trims(lever: str) -> None:
    outcomes = world(
        2, lambda _, value: 0.5 * (value == "1.25"), group=TRIM, lever=lever, values=("0.75", "1.25", "9.0")
    )
    assert what(deltas_of(outcomes).discover(ALPHA))[0] == ({}, lever, 1.25)


def test_a_lever_that_is_applied_keeps_its_evidence() -> None:
    """Half of the trades get the value that is best for them: their deltas are all about losing it."""
    before = simplest(deltas_of(world(3, planted)).discover(ALPHA)).evidence
    applied = []
    for i, outcome in enumerate(world(3, planted)):
        assert outcome.counterfactual is not None
        deltas = outcome.counterfactual.deltas["entry_delay_bars"]
        if i % 2:
            rest = {value: deltas[value] - deltas["2"] for value in ("1", "3")} | {"0": -deltas["2"]}
            under = Controls(applied_knobs={"entry_delay_bars": 2})
            applied.append(_with(outcome, controls=under, counterfactual=logged(rest)))
        else:
            applied.append(outcome)
    after = simplest(deltas_of(applied).discover(ALPHA)).evidence
    assert (after.lever, after.target, after.n) == (before.lever, before.target, before.n)
    assert after.effect_rr == pytest.approx(before.effect_rr, abs=1e-5)
    assert after.error_rr == pytest.approx(before.error_rr, abs=1e-5)


# what was not


def test_noise_is_found_no_more_often_than_alpha_allows() -> None:
    """Over all sizes, subsets and values together; 60 searches at 10 % would find 6, were every bound tight."""
    found = [seed for seed in range(60) if deltas_of(world(seed, trades=240)).discover(0.1).candidates]
    assert len(found) <= 9


def test_noise_that_the_days_share_is_not_found() -> None:
    found = 0
    for seed in range(30):
        shock = np.random.default_rng(1_000 + seed).normal(size=100)
        shared = []
        for outcome in world(seed, trades=400):
            assert outcome.counterfactual is not None
            day = (outcome.closed_at_ms - START_MS) // DAY_MS
            deltas = outcome.counterfactual.deltas["entry_delay_bars"]
            more = {value: delta + float(shock[day]) for value, delta in deltas.items()}
            shared.append(_with(outcome, counterfactual=logged(more)))
        found += bool(deltas_of(shared).discover(0.05).candidates)
    assert found <= 3


def test_the_accident_of_one_spell_is_no_finding() -> None:
    """Two long spells of a regime: a hundred trades that gained together are one observation."""
    outcomes = []
    for i, outcome in enumerate(world(4, trades=400)):
        dip = i // 100 % 2 == 1
        scope = outcome.scope | {"macro_phase": "Dip" if dip else "Good"}
        gained = {"1": 0.0, "2": 1.0 * dip + 0.01 * (i % 7), "3": 0.0}
        outcomes.append(_with(outcome, scope=scope, counterfactual=logged(gained)))
    deltas = deltas_of(outcomes)
    assert ({"macro_phase": "Dip"}, "entry_delay_bars", 2.0) not in what(deltas.discover(ALPHA))
    weighed = deltas.weigh({"macro_phase": "Dip"}, "entry_delay_bars", 2.0)
    assert weighed is not None
    assert weighed.n_clusters <= 6


def test_too_few_trades_are_not_looked_at() -> None:
    found = deltas_of(world(1, everywhere, trades=PARAMETERS.lesson_n_min - 1)).discover(ALPHA)
    assert (found.candidates, set(found.tested_by_dims)) == ((), {0})


def test_everything_that_is_looked_at_is_counted() -> None:
    found = deltas_of(world(1, trades=900)).discover(ALPHA)
    assert found.tested_by_dims == (3, 3 * 8, 3 * (9 + 6 + 6), 3 * 18)
    assert found.candidates == ()


# beside what stands


def test_what_stands_is_not_found_again_nor_a_part_of_it() -> None:
    assert deltas_of(world(1, planted), standing(WHERE, 2.0)).discover(ALPHA).candidates == ()
    assert deltas_of(world(1, everywhere), standing({}, 3.0)).discover(ALPHA).candidates == ()


def test_another_group_does_not_mirror_it() -> None:
    def entered(_i: int, scope: Scope) -> tuple[Companion, ...]:
        return (Companion(group=ENTRY, scope=scope),)

    outcomes = world(1, planted, group=ADD, companions=entered)
    assert what(deltas_of(outcomes).discover(ALPHA))[0] == (WHERE, "entry_delay_bars", 2.0)
    assert deltas_of(outcomes, standing(WHERE, 2.0)).discover(ALPHA).candidates == ()
    assert deltas_of(outcomes, standing(WHERE, 2.0)).weigh(WHERE, "entry_delay_bars", 2.0) is None
    elsewhere = standing(WHERE, 2.0, group="pm.up.S9.other|entry")
    assert what(deltas_of(outcomes, elsewhere).discover(ALPHA))[0] == (WHERE, "entry_delay_bars", 2.0)


def test_a_refinement_that_adds_is_found_and_leaves_the_rest_to_its_ancestor() -> None:
    def both(scope: Scope, value: str) -> float:
        return {"2": 0.3, "3": 0.9 * (scope["bucket"] == "micro")}.get(value, 0.0)

    outcomes = world(6, both, trades=800)
    found = simplest(deltas_of(outcomes, standing({}, 2.0)).discover(ALPHA))
    assert (found.scope, found.evidence.target) == ({"bucket": "micro"}, 3.0)
    assert found.evidence.effect_rr == pytest.approx(0.9, abs=0.2)
    assert found.evidence.added_rr == pytest.approx(0.6, abs=0.2)
    both_stand = deltas_of(outcomes, standing({}, 2.0), standing({"bucket": "micro"}, 3.0))
    assert both_stand.discover(ALPHA).candidates == ()
    rest, whole = (each.weigh({}, "entry_delay_bars", 2.0) for each in (both_stand, deltas_of(outcomes)))
    assert rest is not None
    assert whole is not None
    assert 400 < rest.n < whole.n == 800


def test_a_diluted_ancestor_is_worth_nothing_beside_its_refinement() -> None:
    outcomes = world(7, lambda scope, value: 1.2 * (scope["bucket"] == "nano" and value == "1"), trades=600)
    refined = simplest(deltas_of(outcomes, standing({}, 1.0)).discover(ALPHA))
    assert (refined.scope, refined.evidence.target) == ({"bucket": "nano"}, 1.0)
    rest = deltas_of(outcomes, standing({}, 1.0), standing({"bucket": "nano"}, 1.0)).weigh({}, "entry_delay_bars", 1.0)
    assert rest is not None
    assert abs(rest.effect_rr) < 2.5 * rest.error_rr


def test_a_better_target_of_the_same_scope_is_found() -> None:
    worth = {"1": 0.4, "2": 1.0, "3": 0.0}
    found = simplest(deltas_of(world(8, lambda _, value: worth[value]), standing({}, 1.0)).discover(ALPHA))
    assert (found.scope, found.evidence.target) == ({}, 2.0)
    assert found.evidence.added_rr == pytest.approx(0.6, abs=0.2)


# laws


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_arrival_does_not_matter(random: Any, seed: int) -> None:
    outcomes = world(seed, planted, trades=150)
    shuffled = random.sample(outcomes, len(outcomes))
    accepted = (standing({"bucket": "nano"}, 1.0),)
    one, other = deltas_of(outcomes, *accepted), deltas_of(shuffled, *accepted)
    assert one.discover(1.0 - 1e-9) == other.discover(1.0 - 1e-9)
    assert one.weigh(WHERE, "entry_delay_bars", 2.0) == other.weigh(WHERE, "entry_delay_bars", 2.0)


@settings(max_examples=15)
@given(st.integers(0, 50))
def test_what_is_found_is_weighed_the_same(seed: int) -> None:
    deltas = deltas_of(world(seed, planted, trades=200))
    for each in deltas.discover(1.0 - 1e-9).candidates:
        assert deltas.weigh(each.scope, each.evidence.lever, each.evidence.target) == each.evidence


def test_more_actions_of_a_trade_are_no_more_evidence() -> None:
    outcomes = world(9, planted, trades=200)
    again = [_with(outcome, outcome_id=f"{outcome.outcome_id}+", action_at_ms=outcome.action_at_ms + 5)
             for outcome in outcomes]  # fmt: skip
    one, other = (deltas_of(each).weigh(WHERE, "entry_delay_bars", 2.0) for each in (outcomes, outcomes + again))
    assert one == other


def test_later_trades_can_be_weighed_by_themselves() -> None:
    cells = cells_of(world(10, planted, trades=400))
    rows = cells.counted(START_MS)
    later = rows[cells.column("closed_at_ms", rows) > START_MS + 50 * DAY_MS]

    whole, part = (GroupDeltas(cells, each, (), PARAMETERS) for each in (rows, later))
    found = [each.weigh(WHERE, "entry_delay_bars", 2.0) for each in (whole, part)]
    assert found[0] is not None
    assert found[1] is not None
    assert 0 < found[1].n < found[0].n
    assert found[1].effect_rr == pytest.approx(0.9, abs=0.3)


def test_what_nobody_logged_is_not_known() -> None:
    deltas = deltas_of(world(1, trades=30))
    assert deltas.weigh(WHERE, "phase1_frac_mult", 1.2) is None
    assert deltas.weigh(WHERE, "entry_delay_bars", 2.5) is None
    assert deltas.weigh({"bucket": "xl"}, "entry_delay_bars", 2.0) is None
    assert deltas_of([an_outcome(group=ENTRY)]).discover(ALPHA) == LeverSearch(tested_by_dims=(0, 0, 0, 0))


def _with(outcome: Any, **fields: Any) -> Any:

    return msgspec.structs.replace(outcome, **fields)
