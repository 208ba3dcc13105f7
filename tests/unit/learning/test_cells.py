"""Cells: examples beside the laws in tests/laws/test_cells.py."""

import numpy as np

from learning.cells import GroupCells, day_of, quantised
from learning.cube import enumerate_subsets
from learning.outcome import Companion
from learning.parameters import Parameters
from leverloop.events import Controls
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, START_MS, an_outcome


def test_a_group_knows_its_category() -> None:
    assert GroupCells("dm.alloc.any.buy|allocation", "dm", DEFAULT_SCHEMA).action_category == "allocation"


def test_codes_go_to_scopes_and_back() -> None:
    cells = GroupCells("pm.uptrend.S1.buy_flag|entry", "pm", DEFAULT_SCHEMA)
    scope = {"bucket_rank_position": 3, "bucket": "micro", "timeframe": "1h"}
    cells.put(an_outcome(scope=scope), START_MS)
    assert cells.scope_of(cells.codes_of(scope)) == scope
    assert cells.scope_of(cells.codes(np.array([0]))[0]) == scope
    bucket = cells.dimensions.index("bucket")
    assert [cells.value_name(bucket, code) for code in (0, 1)] == ["", "micro"]


def test_a_dimension_of_another_module_is_no_part_of_a_cell() -> None:
    cells = GroupCells("pm.uptrend.S1.buy_flag|entry", "pm", DEFAULT_SCHEMA)
    cells.put(an_outcome(scope={"chain": "sol", "bucket": "micro"}), START_MS)
    assert cells.scope_of(cells.codes(np.array([0]))[0]) == {"bucket": "micro"}


def test_values_past_what_a_code_can_hold_are_counted_and_form_no_subset() -> None:
    cells = GroupCells("dm.alloc.any.buy|allocation", "dm", DEFAULT_SCHEMA)
    held = 65_534
    for i in range(held + 30):
        cells.put(an_outcome(f"a{i}", f"t{i}", module="dm", group=cells.group, scope={"curator": f"c{i}"}), START_MS)
    rows = np.arange(cells.n)
    assert cells.matching({"curator": f"c{held - 1}"}, rows).sum() == 1
    assert not cells.matching({"curator": f"c{held}"}, rows).any()
    assert not cells.matching({"curator": "never seen"}, rows).any()
    assert cells.scope_of(cells.codes(np.array([held]))[0]) == {}
    assert cells.folded() == {"curator": 30}
    assert cells.remove(f"a{held + 3}".encode())
    assert cells.folded() == {"curator": 29}
    cube = enumerate_subsets(cells, cells.counted(START_MS), Parameters(), 1)
    assert len(cube.n) == 0, "30 trades of values that have no code are no subset"


def test_days_are_utc() -> None:
    assert day_of(np.array([START_MS - 1, START_MS])).tolist() == [START_MS // DAY_MS - 1, START_MS // DAY_MS]


def test_rr_is_kept_to_a_hundred_thousandth() -> None:
    assert [quantised(rr) for rr in (1e-5, -2.5, 9.999994)] == [1, -250_000, 999_999]


def test_companions_of_many_values_are_told_apart() -> None:
    """Codes are bytes until a vocabulary has more than 255 words."""
    cells = GroupCells("pm.uptrend.S1.buy_flag|entry", "pm", DEFAULT_SCHEMA)
    dm = "dm.alloc.any.buy|allocation"
    for i in range(300):
        companion = Companion(group=dm, scope={"curator": f"c{i}"})
        cells.put(an_outcome(f"a{i}", f"t{i}", companions=(companion,)), START_MS)
    rows = np.arange(cells.n)
    for i in (0, 254, 255, 299):
        assert np.flatnonzero(cells.met(dm, {"curator": f"c{i}"}, rows)).tolist() == [i]
    assert not cells.met(dm, {"curator": "c300"}, rows).any()
    assert not cells.met(dm, {"timeframe": "1h"}, rows).any(), "no dimension of a DM"
    assert cells.met(dm, {}, rows).all()


def test_what_changes_size_is_reclaimed() -> None:
    cells = GroupCells("pm.uptrend.S1.buy_flag|entry", "pm", DEFAULT_SCHEMA)
    names = [f"x{i}" for i in range(40)]
    for turn in range(60):
        signals = dict.fromkeys(names[: turn % 40 + 1], float(turn))
        for i in range(20):
            cells.put(an_outcome(f"a{i}", f"t{i}", controls=Controls(signals=signals)), START_MS)
    rows = np.arange(20)
    assert np.array_equal(cells.measure("signals.x19", rows), np.full(20, 59.0))
    assert np.isnan(cells.measure("signals.x20", rows)).all()
    assert cells.measure_names() == tuple(
        sorted(["max_drawdown_frac", "return_frac", "rr_raw", *(f"signals.{name}" for name in names)])
    )
    assert len(cells._measures.values.data) < 20 * 60 * 43
