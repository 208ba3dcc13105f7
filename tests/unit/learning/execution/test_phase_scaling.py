"""Adds by state: against the pool, whatever group they come from, and never beyond the bounds."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import RR_SCALE
from learning.execution.phase_scaling import FamilyScaling, StateDay, passing, scalings, state_days
from leverloop.levers import LEVERS
from tests.laws.examples import DAY_MS, an_outcome
from tests.unit.learning.execution.planting import PARAMETERS, START_MS, cells_of

days = st.lists(
    st.builds(
        StateDay, family=st.sampled_from(["pm.up", "pm.down"]), state=st.sampled_from(["S1", "S2", "S3"]),
        day=st.integers(0, 30), n=st.integers(1, 9), rr_q=st.integers(-2_000_000, 2_000_000),
    ),
    max_size=40,
)  # fmt: skip


def noise(seed: int, **worth: float) -> list[StateDay]:
    rng = np.random.default_rng(seed)
    found = []
    for day in range(120):
        shock = rng.normal(0.0, 0.3)
        for state in ("S1", "S2", "S3"):
            n = int(rng.integers(1, 6))
            rr = float(0.9 * rng.standard_t(4, n).sum() + n * (shock + worth.get(state, 0.0)))
            found.append(StateDay(family="pm.up", state=state, day=day, n=n, rr_q=round(rr * RR_SCALE)))
    return found


@given(days, st.randoms(use_true_random=False))
def test_neither_order_nor_grouping_matters(parts: list[StateDay], random: object) -> None:
    once = scalings(parts, PARAMETERS)
    assert scalings(random.sample(parts, len(parts)), PARAMETERS) == once  # type: ignore[attr-defined]
    halves = [
        msgspec.structs.replace(part, n=n, rr_q=rr_q) for part in parts for n, rr_q in ((part.n, 7), (0, part.rr_q - 7))
    ]
    assert scalings(halves, PARAMETERS) == once


@given(days)
def test_targets_are_in_bounds_and_on_the_side_of_the_effect(parts: list[StateDay]) -> None:
    for found in scalings(parts, PARAMETERS):
        assert LEVERS[f"phase_scaling.{found.state}"].name == found.evidence.lever
        assert LEVERS[found.evidence.lever].holds(found.evidence.target)
        assert (found.evidence.target - 1.0) * found.evidence.effect_rr >= 0.0
        assert 0.0 <= found.evidence.p_value <= 1.0
        assert found.evidence.ci_low <= found.evidence.effect_rr <= found.evidence.ci_high


@given(days)
def test_what_the_states_are_worth_against_the_pool_sums_up_to_nothing(parts: list[StateDay]) -> None:
    by_family: dict[str, list[FamilyScaling]] = {}
    for found in scalings(parts, PARAMETERS):
        by_family.setdefault(found.family, []).append(found)
    for family, found in by_family.items():
        n = sum(part.n for part in parts if part.family == family)
        if sum(each.evidence.n for each in found) == n:  # every state could be measured
            assert sum(each.evidence.n * each.evidence.effect_rr for each in found) == pytest.approx(0.0, abs=1e-6 * n)


def test_what_was_planted_is_found() -> None:
    found = {each.state: each for each in passing(scalings(noise(1, S1=0.9), PARAMETERS), 0.01, PARAMETERS)}
    assert found["S1"].evidence.effect_rr == pytest.approx(0.6, abs=0.2)
    assert found["S1"].evidence.target > 1.2
    assert all(each.evidence.target < 1.0 for state, each in found.items() if state != "S1")


def test_noise_is_found_no_more_often_than_alpha_allows() -> None:
    assert sum(bool(passing(scalings(noise(seed), PARAMETERS), 0.1, PARAMETERS)) for seed in range(100)) <= 15


def test_a_shock_that_all_states_share_is_no_effect() -> None:
    alone = {each.state: each.evidence for each in scalings(noise(2), PARAMETERS)}
    shocked = [msgspec.structs.replace(day, rr_q=day.rr_q + day.n * RR_SCALE * (day.day % 5)) for day in noise(2)]
    for each in scalings(shocked, PARAMETERS):
        assert each.evidence.effect_rr == pytest.approx(alone[each.state].effect_rr, abs=0.4)
        assert each.evidence.p_value > 0.01


def test_a_family_with_one_state_has_nothing_to_compare_with() -> None:
    assert scalings([day for day in noise(3) if day.state == "S3"], PARAMETERS) == ()


@pytest.mark.parametrize(("group", "counted"), [
    ("pm.up.S2.a|add", 2), ("pm.up.S2.a|trim", 0), ("pm.up.S0.a|add", 0),
])  # fmt: skip
def test_a_trade_counts_once_in_the_state_of_its_first_add(group: str, counted: int) -> None:
    outcomes = [
        an_outcome(f"a{i}{j}", f"t{i}", group=group, rr=1.5 + i, first_of_category=j == 0, closed_at_ms=START_MS + i * DAY_MS)
        for i in range(2) for j in range(3)
    ]  # fmt: skip
    cells = cells_of(outcomes)
    rows = cells.counted(START_MS)
    found = state_days(cells, rows, cells.column("rr_q", rows) / RR_SCALE)
    day = START_MS // DAY_MS
    assert found == tuple(
        StateDay(family="pm.up", state="S2", day=day + i, n=1, rr_q=150_000 + i * RR_SCALE) for i in range(counted)
    )
