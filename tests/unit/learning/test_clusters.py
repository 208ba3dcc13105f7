"""Blocks of days: as long as the days are autocorrelated, one day where they are not."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup, block_days
from learning.evidence import effects
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
PHASES = st.sampled_from([None, "Good", "Dip"])
ACTIONS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 60), PHASES, PHASES), min_size=1, max_size=25, unique_by=lambda a: a[1]
)
"""Trade, hour of the action, macro and micro phase; a trade closes on the day of its number."""


def noise(seed: int, n: int, rho: float) -> npt.NDArray[np.float64]:
    """Days that each remember rho of the day before."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=n)
    for i in range(1, n):
        found[i] = rho * found[i - 1] + np.sqrt(1 - rho**2) * found[i]
    return found


def test_independent_days_are_nearly_always_blocks_of_their_own() -> None:
    blocks = [block_days(np.arange(180), noise(seed, 180, 0.0)) for seed in range(200)]
    assert sum(b > 1 for b in blocks) <= 10


@pytest.mark.parametrize(("rho", "shortest", "longest"), [(0.5, 3, 14), (0.8, 7, 30), (0.9, 10, 41)])
def test_blocks_grow_with_the_memory_of_the_days(rho: float, shortest: int, longest: int) -> None:
    blocks = [block_days(np.arange(180), noise(seed, 180, rho)) for seed in range(100)]
    assert shortest <= np.median(blocks) <= longest
    assert sum(b == 1 for b in blocks) <= 5


def test_a_weekend_without_trades_is_no_evidence_of_independence() -> None:
    days = np.array([day for day in range(260) if day % 7 < 5])
    blocks = [block_days(days, noise(seed, 260, 0.8)[days]) for seed in range(60)]
    assert np.median(blocks) >= 7


def test_few_days_days_that_are_alike_and_days_that_offset_each_other_are_no_blocks() -> None:
    assert block_days(np.arange(19), np.arange(19.0)) == 1
    assert block_days(np.arange(100), np.ones(100)) == 1
    assert block_days(np.arange(100), np.resize([1.0, -1.0], 100)) == 1
    assert block_days(np.arange(0), np.zeros(0)) == 1


rr_of_days = st.lists(st.floats(-10, 10), min_size=20, max_size=80)


@given(rr_of_days, st.integers(0, 30_000), st.integers(-5, 5).filter(bool))
def test_neither_when_nor_how_much_matters(rr: list[float], day: int, times: int) -> None:
    means, days = np.array(rr), np.arange(len(rr))
    found = block_days(days, means)
    assert 1 <= found <= max(1, np.ceil(len(rr) / 3))
    assert block_days(days + day, means) == found
    assert block_days(days, means * 2.0**times) == found


def clustered(rr_of_day: npt.NDArray[np.float64], a_day: int) -> tuple[ClusteredGroup, npt.NDArray[np.float64]]:
    """A group with some trades a day, each with an entry in two buckets in turn."""
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for day, rr in enumerate(rr_of_day.tolist()):
        for i in range(a_day):
            at_ms = START_MS + day * DAY_MS + i
            scope = {"bucket": "micro" if (day // 9) % 2 else "mid"}
            cells.put(
                an_outcome(f"a{day}-{i}", f"t{day}-{i}", scope=scope, rr=round(rr, 5), closed_at_ms=at_ms), START_MS
            )
    rows = cells.counted(START_MS)
    return ClusteredGroup(cells, rows), cells.column("rr_q", rows) / 100_000


def test_a_block_is_consecutive_days_and_no_day_is_in_two() -> None:
    group, rr = clustered(np.clip(noise(3, 120, 0.8), -9, 9), 2)
    block = group.blocks(rr)
    length = block_days(np.arange(120), rr_by_day(group, rr))
    assert length > 1
    assert block.tolist() == ((group.day - group.day.min()) // length).tolist()


def rr_by_day(group: ClusteredGroup, rr: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    since = group.day - group.day.min()
    return np.bincount(since, weights=rr) / np.bincount(since)


def test_errors_of_days_that_remember_are_larger_than_those_of_independent_days() -> None:
    larger = 0
    for seed in range(20):
        group, rr = clustered(np.clip(noise(seed, 120, 0.8), -9, 9), 1)
        subsets = np.array([[*[0] * 6, 1, 0, 0, 0]], dtype=np.int32)
        by_block = group.effects(subsets, rr, rr)
        by_day = effects(group.codes, group.trade, rr, group.day - group.day.min(), subsets)
        assert by_block.effect_rr == pytest.approx(by_day.effect_rr)
        assert by_block.n_clusters[0] <= by_day.n_clusters[0]
        larger += by_block.error_rr[0] > by_day.error_rr[0]
    assert larger >= 16


def test_a_regime_has_spells_whatever_the_days_do() -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for day in range(60):
        scope = {"macro_phase": "Dip" if day % 20 < 10 else "Good"}
        at_ms = START_MS + day * DAY_MS
        cells.put(
            an_outcome(
                f"a{day}", f"t{day}", scope=scope, action_at_ms=at_ms, closed_at_ms=at_ms, rr=float(day % 20 < 10)
            ),
            START_MS,
        )
    rows = cells.counted(START_MS)
    rr = cells.column("rr_q", rows) / 100_000
    group = ClusteredGroup(cells, rows)
    found = group.effects(cells.codes_of({"macro_phase": "Dip"})[None, :], rr, rr)
    assert (found.effect_rr[0], found.n_clusters[0]) == (1.0, 3)


def test_no_rows_no_blocks() -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    group = ClusteredGroup(cells, cells.counted(START_MS))
    assert len(group.blocks(np.zeros(0))) == 0


def group_of(found: list[Any]) -> tuple[GroupCells, npt.NDArray[np.int64], ClusteredGroup]:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i, (trade, hour, macro, micro) in enumerate(found):
        scope = {"macro_phase": macro, "micro_phase": micro, "bucket": "micro"}
        outcome = an_outcome(
            f"a{i}", f"t{trade}", action_at_ms=START_MS + hour * HOUR_MS, closed_at_ms=START_MS + trade * DAY_MS,
            scope={name: value for name, value in scope.items() if value is not None},
        )  # fmt: skip
        cells.put(outcome, START_MS)
    rows = cells.counted(START_MS)
    return cells, rows, ClusteredGroup(cells, rows)


@given(ACTIONS)
def test_a_spell_is_a_run_in_which_the_pinned_values_hold_or_do_not(found: list[Any]) -> None:
    cells, rows, group = group_of(found)
    spells, macro, micro = group.of_regime(cells.codes_of({"macro_phase": "Dip", "micro_phase": "Good"}))
    in_time = np.argsort(cells.column("action_at_ms", rows))
    by_hour = sorted(found, key=lambda action: action[1])
    for clusters, of in (
        (spells, [(a[2], a[3]) == ("Dip", "Good") for a in by_hour]),
        (macro, [a[2] for a in by_hour]),
        (micro, [a[3] for a in by_hour]),
    ):
        run = np.cumsum([False, *(a != b for a, b in pairwise(of))])
        assert clusters[in_time].tolist() == run.tolist()


def test_a_subset_that_pins_no_regime_has_no_spells() -> None:
    cells, _, group = group_of([(0, 0, "Dip", None), (1, 30, "Good", None)])
    assert group.of_regime(cells.codes_of({"bucket": "micro"})) == []
    assert group.of_regime(cells.codes_of({})) == []


def test_a_trade_counts_in_a_block_with_its_first_known_value() -> None:
    days = [(day, 2 * day + i, None, None) for day in range(150) for i in range(2)]
    cells, rows, group = group_of(days)
    value = noise(2, 150, 0.9)[group.day - group.day.min()]
    gaps = np.where(group.first & (cells.column("closed_at_ms", rows) // DAY_MS % 2 == 0), np.nan, value)
    assert len(np.unique(group.blocks(value))) < 75
    assert group.blocks(gaps).tolist() == group.blocks(value).tolist()
    assert len(np.unique(group.blocks(np.full(len(rows), np.nan)))) == 150
