"""Clusters of a mean: blocks of days, spells and runs, as the effects of lessons have them."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.execution.clusterings import Clusterings
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, an_outcome
from tests.unit.learning.execution.planting import cells_of

phases = st.sampled_from([None, "Good", "Dip"])
actions = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 60), phases, phases), min_size=1, max_size=25, unique_by=lambda a: a[1]
)


def clusterings_of(found: list[Any]) -> tuple[GroupCells, npt.NDArray[np.int64], Clusterings]:
    outcomes = []
    for i, (trade, hour, macro, micro) in enumerate(found):
        scope = {"macro_phase": macro, "micro_phase": micro, "bucket": "micro"}
        outcomes.append(
            an_outcome(
                f"a{i}", f"t{trade}", action_at_ms=START_MS + hour * HOUR_MS, closed_at_ms=START_MS + trade * DAY_MS,
                scope={name: value for name, value in scope.items() if value is not None},
            )
        )  # fmt: skip
    cells = cells_of(outcomes)
    rows = cells.counted(START_MS + DAY_MS)
    return cells, rows, Clusterings(ClusteredGroup(cells, rows))


@given(actions)
def test_a_spell_is_a_run_in_which_the_pinned_values_hold_or_do_not(found: list[Any]) -> None:
    cells, rows, clusterings = clusterings_of(found)
    codes = cells.codes_of({"macro_phase": "Dip", "micro_phase": "Good"})
    spells, macro, micro = clusterings.of_regime(codes)
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
    cells, _, clusterings = clusterings_of([(0, 0, "Dip", None), (1, 30, "Good", None)])
    assert clusterings.of_regime(cells.codes_of({"bucket": "micro"})) == []
    assert clusterings.of_regime(cells.codes_of({})) == []


def daily(rho: float) -> list[npt.NDArray[np.int64]]:
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        cells, rows, clusterings = clusterings_of([(day, day, None, None) for day in range(150)])
        day = ((cells.column("closed_at_ms", rows) - START_MS) // DAY_MS).astype(int)
        noise = rng.normal(size=150)
        for i in range(1, 150):
            noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
        found.append(clusterings.blocks(noise[day]))
    return found


@pytest.mark.parametrize(("rho", "fewest", "most"), [(0.0, 120, 150), (0.9, 2, 30)])
def test_blocks_grow_with_the_memory_of_the_days(rho: float, fewest: int, most: int) -> None:
    assert fewest <= np.median([len(np.unique(blocks)) for blocks in daily(rho)]) <= most


def test_without_a_known_value_or_a_row_there_are_blocks_all_the_same() -> None:
    cells, rows, clusterings = clusterings_of([(0, 0, None, None), (1, 1, None, None)])
    assert len(np.unique(clusterings.blocks(np.full(2, np.nan)))) == 2
    nothing = rows[:0]
    assert Clusterings(ClusteredGroup(cells, nothing)).blocks(np.zeros(0)).tolist() == []
