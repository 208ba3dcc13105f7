"""Regimes: what a trade falls back to, and the weights that a subset's edge is given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells
from learning.cube import enumerate_subsets
from learning.edge import NEUTRAL_WEIGHTS, EdgeWeights
from learning.parameters import Parameters
from learning.postings import Postings
from learning.regimes import RegimeWeight, RegimeWeights, levels, mean_weights, signature_of, weights_of_rows
from leverloop.scope import DEFAULT_SCHEMA, Scope
from tests.laws.examples import START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
PHASES = ("Good", "Dip", None)


def weight(value: float) -> RegimeWeight:
    return RegimeWeight(weights=EdgeWeights(time_efficiency=value), n_samples=40, confidence=2 / 3)


def test_a_regime_falls_back_in_the_order_of_the_specification() -> None:
    scope: Scope = {"macro_phase": "Dip", "meso_phase": "Good", "micro_phase": "Chop", "bucket_rank_position": 3}
    assert list(levels(GROUP, signature_of(scope))) == [
        (GROUP, "macro=Dip|meso=Good|micro=Chop|bucket_rank=3"),
        (GROUP, "macro=Dip|meso=Good|micro=Chop"),
        (GROUP, "macro=Dip|meso=Good"),
        (GROUP, "macro=Dip"),
        (GROUP, ""),
        ("pm|entry", ""),
    ]


def test_the_narrowest_level_that_is_known_decides_and_without_any_all_is_neutral() -> None:
    keys = list(levels(GROUP, "macro=Dip|meso=Good|micro=Chop|bucket_rank=3"))
    values = [1.6, 1.5, 1.4, 1.3, 1.2, 1.1]
    for i, value in enumerate(values):
        known: dict[str, dict[str, RegimeWeight]] = {}
        for (group, signature), other in zip(keys[i:], values[i:], strict=True):
            known.setdefault(group, {})[signature] = weight(other)
        weights = RegimeWeights(at_ms=0, of=known)
        found = weights.weights_of(GROUP, "macro=Dip|meso=Good|micro=Chop|bucket_rank=3")
        assert found.time_efficiency == value
        assert weights.weights_of("dm.alloc.a.b|allocation", "") == NEUTRAL_WEIGHTS
    assert RegimeWeights(at_ms=0).weights_of(GROUP, "macro=Dip") == NEUTRAL_WEIGHTS


drawn = st.lists(
    st.fixed_dictionaries(
        {
            "macro_phase": st.sampled_from(PHASES),
            "meso_phase": st.sampled_from(PHASES),
            "bucket_rank_position": st.sampled_from([1, 2, None]),
            "bucket": st.sampled_from(["micro", "mid"]),
        }
    ),
    min_size=1,
    max_size=30,
)


@given(drawn, st.lists(st.floats(0.3, 1.7), min_size=4, max_size=4))
def test_a_subset_takes_the_mean_over_its_trades_signatures(scopes: list[Scope], values: list[float]) -> None:
    category, dip, rank, unseen = map(weight, values)
    own = {"macro=Dip": dip, "macro=Good|meso=|micro=|bucket_rank=1": rank, "macro=Dip|meso=Chop": unseen}
    weights = RegimeWeights(at_ms=0, of={"pm|entry": {"": category}, GROUP: own})
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i, scope in enumerate(scopes):
        held = {name: value for name, value in scope.items() if value is not None}
        cells.put(an_outcome(f"a{i}", f"t{i // 2}", scope=held), START_MS)
    rows = cells.counted(START_MS)
    of_rows = weights_of_rows(weights, cells, rows)
    for row, found in zip(rows.tolist(), of_rows, strict=True):
        alone = weights.weights_of(GROUP, signature_of(cells.scope_of(cells.codes(np.array([row]))[0])))
        assert found.tolist() == [alone.time_efficiency, 1.0, 1.0, 1.0]
    subsets = enumerate_subsets(cells, rows, Parameters(n_min_by_dims=(1,)), 2).codes
    postings = Postings(cells.codes(rows).astype(np.int32), cells.column("trade", rows))
    together = mean_weights(postings.inside(subsets), of_rows)
    for i, codes in enumerate(subsets):
        inside = postings.inside(codes[None, :])
        assert together[i] == pytest.approx(of_rows[inside.rows].mean(axis=0))
        assert together[i].tolist() == mean_weights(inside, of_rows)[0].tolist(), "whatever else is asked for"


def test_a_subset_of_nothing_and_a_book_without_weights_are_neutral() -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    assert weights_of_rows(RegimeWeights(at_ms=0), cells, cells.counted(0)).shape == (0, 4)
    for i in range(3):
        cells.put(an_outcome(f"a{i}", f"t{i}"), START_MS)
    rows = cells.counted(START_MS)
    of_rows = weights_of_rows(RegimeWeights(at_ms=0), cells, rows)
    postings = Postings(cells.codes(rows).astype(np.int32), cells.column("trade", rows))
    none = np.full((1, len(cells.dimensions)), 9, dtype=np.int32)
    assert mean_weights(postings.inside(np.concatenate([none, none * 0])), of_rows).tolist() == [[1.0] * 4] * 2


def test_a_module_without_a_dimension_of_the_regime_has_it_missing() -> None:
    schema = DEFAULT_SCHEMA
    cells = GroupCells("dm.alloc.any.buy|allocation", "dm", schema)
    cells.put(an_outcome(group=cells.group, module="dm", scope={"micro_phase": "Dip"}), START_MS)
    known = RegimeWeights(at_ms=0, of={cells.group: {"macro=|meso=|micro=Dip": weight(0.5)}})
    assert weights_of_rows(known, cells, cells.counted(START_MS))[0, 0] == 0.5
