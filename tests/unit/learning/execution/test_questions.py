"""Questions: many subsets at once are each by itself, and more caution never makes anything surer."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.execution.findings import AcceptedLever
from learning.execution.questions import PreparedRows, Questions
from tests.unit.learning.execution.planting import ENTRY, START_MS, Scope, cells_of, deltas_of, logged, world

LEVER, VALUES = "entry_delay_bars", (1.0, 2.0, 3.0)
SUBSETS: list[Scope] = [
    {}, {"bucket": "micro"}, {"bucket": "micro", "timeframe": "1h"}, {"macro_phase": "Dip"},
    {"macro_phase": "Dip", "bucket": "nano"}, {"bucket": "nano"}, {"bucket": "xl"},
]  # fmt: skip
accepted = st.lists(
    st.builds(
        AcceptedLever, group=st.just(ENTRY), scope=st.sampled_from(SUBSETS), lever=st.just(LEVER),
        target=st.sampled_from(VALUES),
    ),
    max_size=3,
)  # fmt: skip


def worth(scope: Scope, value: str) -> float:
    return 0.5 * (value == "2") + 0.5 * (scope["bucket"] == "micro")


def prepared(seed: int, trades: int = 150) -> PreparedRows:
    cells = cells_of(world(seed, worth, trades=trades))
    return PreparedRows(cells, cells.counted(START_MS), 10.0)


@settings(max_examples=25)
@given(st.integers(0, 20), accepted)
def test_screening_is_weighing_with_less_caution(seed: int, stands: list[AcceptedLever]) -> None:
    rows = prepared(seed)
    questions = Questions(rows, stands)
    codes = np.array([rows.cells.codes_of(scope) for scope in SUBSETS])
    screened = questions.screened(codes, LEVER, VALUES)
    for i, scope in enumerate(SUBSETS):
        for j, value in enumerate(VALUES):
            found = questions.weighed(codes[i], LEVER, value)
            if found is None:
                assert screened.n_clusters[i, j] <= 1 or "macro_phase" in scope
                continue
            assert found.effect_rr == screened.effect_rr[i, j]
            assert found.n == screened.n[i, j]
            assert found.n_clusters <= screened.n_clusters[i, j]
            if "macro_phase" in scope:
                assert found.error_rr > 0.0
                assert found.p_value >= min(screened.p[i, j], 0.5) - 1e-12
            else:
                assert found.p_value == pytest.approx(screened.p[i, j], abs=1e-12)
            assert found.ci_low <= found.effect_rr <= found.ci_high
            assert found.added_rr <= found.effect_rr or stands


@settings(max_examples=25)
@given(st.integers(0, 20), accepted, st.permutations(range(3)))
def test_the_order_of_what_stands_does_not_matter(seed: int, stands: list[AcceptedLever], order: list[int]) -> None:
    rows = prepared(seed, trades=80)
    other = [stands[i] for i in order if i < len(stands)]
    for scope in SUBSETS:
        codes = rows.cells.codes_of(scope)
        assert Questions(rows, stands).weighed(codes, LEVER, 2.0) == Questions(rows, other).weighed(codes, LEVER, 2.0)


@given(accepted)
def test_what_stands_and_does_not_stand_again_is_as_before(stands: list[AcceptedLever]) -> None:
    rows = ROWS
    added = AcceptedLever(group=ENTRY, scope={"timeframe": "4h"}, lever=LEVER, target=1.0)
    before, after = Questions(rows, stands), Questions(rows, stands).beside(added).but(added)
    for scope in SUBSETS:
        codes = rows.cells.codes_of(scope)
        assert before.weighed(codes, LEVER, 2.0) == after.weighed(codes, LEVER, 2.0)


def test_trades_of_a_lever_beside_it_are_not_asked() -> None:
    rows = ROWS
    nano = AcceptedLever(group=ENTRY, scope={"bucket": "nano"}, lever=LEVER, target=3.0)
    other = AcceptedLever(group=ENTRY, scope={"bucket": "nano"}, lever="wait_n_bars_after_trim", target=3.0)
    whole, hour = (rows.cells.codes_of(scope) for scope in ({}, {"timeframe": "1h"}))
    for codes in (whole, hour):
        alone, beside = (Questions(rows, each).weighed(codes, LEVER, 2.0) for each in ([], [nano]))
        assert alone is not None
        assert beside is not None
        assert 0 < beside.n < alone.n
        assert Questions(rows, [other]).weighed(codes, LEVER, 2.0) == alone


def test_a_refinement_is_asked_what_it_adds_and_keeps_its_trades() -> None:
    rows = ROWS
    whole = AcceptedLever(group=ENTRY, scope={}, lever=LEVER, target=1.0)
    codes = rows.cells.codes_of({"bucket": "micro"})
    alone, beside = (Questions(rows, each).weighed(codes, LEVER, 2.0) for each in ([], [whole]))
    assert alone is not None
    assert beside is not None
    assert (beside.n, beside.effect_rr) == (alone.n, alone.effect_rr)
    assert beside.added_rr == pytest.approx(0.5, abs=0.2)
    assert alone.added_rr == alone.effect_rr == pytest.approx(1.0, abs=0.2)
    assert beside.p_value > alone.p_value


ROWS = prepared(1, trades=600)


def test_a_subset_that_has_met_no_loss_is_no_finding() -> None:
    """Twenty gain 0.2 R to one that loses 4 R, in all subsets alike: nothing is gained, and nothing is found."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        outcomes = [
            msgspec.structs.replace(
                outcome,
                counterfactual=logged({v: float(rng.choice([0.2, -4.0], p=[20 / 21, 1 / 21])) for v in ("1", "2")}),
            )
            for outcome in world(seed, trades=300)
        ]
        found += bool(deltas_of(outcomes).discover(0.01).candidates)
    assert found <= 1
