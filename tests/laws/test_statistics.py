"""Statistics of subsets: each number of spec section 6 against a plain count over the raw documents."""

import math
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.replay import Replay
from learning.baseline import Baselines, GroupBaseline, baseline_sums
from learning.edge import EdgeWeights, edge_raw
from learning.parameters import Parameters
from learning.statistics import _variance
from learning.tracked import Tracked, tracked
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema
from tests.laws import brute_force
from tests.laws.streams import Stream, planted_stream, small_stream

CLOSE = pytest.approx
UP_TO_TWO = msgspec.structs.replace(
    DEFAULT_SCHEMA,
    modules={name: msgspec.structs.replace(module, max_dims=2) for name, module in DEFAULT_SCHEMA.modules.items()},
)
MANY_SMALL = Parameters(n_min_by_dims=(1, 2))


def replayed(stream: Stream, parameters: Parameters, schema: ScopeSchema) -> Replay:
    """Everything in one epoch's statistics: the whole stream, then the end."""
    replay = Replay(parameters, schema)
    for action in stream[0]:
        replay.action(msgspec.json.encode(action))
    for trade in stream[1]:
        replay.trade(msgspec.json.encode(trade))
    assert not replay.dead_letters
    return replay


def all_tracked(stream: Stream, parameters: Parameters, schema: ScopeSchema) -> list[tuple[str, Tracked]]:
    # One epoch as long as the stream: the subject is the statistics, not when they are taken.
    long = msgspec.structs.replace(parameters, epoch_ms=10**12)
    replay = replayed(stream, long, schema)
    groups = replay.partition.groups
    segments = {name: schema.modules[cells.module].segment for name, cells in groups.items()}
    end_ms = 2**53
    baselines = Baselines([baseline_sums(cells, end_ms, segments[name]) for name, cells in groups.items()])
    return [
        (name, row) for name in sorted(groups) for row in tracked(groups[name], end_ms, baselines, parameters, schema)
    ]


def compare(stream: Stream, parameters: Parameters, every: int) -> int:
    """Compare every so-manieth tracked subset with the brute force; return how many there were."""
    rows = brute_force.rows_of(*stream)
    found = all_tracked(stream, parameters, UP_TO_TWO)
    for group, row in found[::every]:
        expected = brute_force.statistics(rows, group, row.scope)
        levels = expected.pop("rr_baseline_levels")
        given_ = msgspec.structs.asdict(row.stats)
        assert given_.pop("rr_baseline_level") in levels
        where = (group, row.scope)
        assert (where, given_) == (where, {name: _close(value) for name, value in expected.items()})
        effect, error, n_clusters = brute_force.effect(rows, group, row.scope)
        assert (where, row.effect_rr, row.effect_error_rr, row.n_clusters) == (
            where,
            _close(effect),
            _close(error),
            n_clusters,
        )
    return len(found)


def _close(value: Any) -> Any:
    return CLOSE(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_of_a_small_stream(seed: int) -> None:
    assert compare(small_stream(seed, trades=60), MANY_SMALL, every=3) > 200


def test_every_number_of_a_planted_stream() -> None:
    assert compare(planted_stream(5, trades=400, days=40), Parameters(), every=23) > 500


def test_tracked_are_the_subsets_with_enough_trades_and_no_others() -> None:
    stream = small_stream(3)
    rows = brute_force.rows_of(*stream)
    for group, row in all_tracked(stream, Parameters(n_min_by_dims=(6, 9)), UP_TO_TWO):
        trades = {r.trade_id for r in rows if r.group == group and brute_force.inside(r, row.scope)}
        assert len(trades) == row.stats.n >= (6, 9)[len(row.scope) - 1]


def test_one_trade_has_no_variance_and_no_edge() -> None:
    stream = small_stream(4, trades=30)
    single = [row.stats for _, row in all_tracked(stream, MANY_SMALL, UP_TO_TWO) if row.stats.n == 1]
    assert single
    assert {(stats.variance, stats.edge_raw) for stats in single} == {(None, None)}


@given(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=30))
def test_the_variance_is_exact_however_large_the_sums(rr_q: list[int]) -> None:
    mean = Fraction(sum(rr_q), len(rr_q))
    exact = sum((Fraction(x) - mean) ** 2 for x in rr_q) / (len(rr_q) - 1) / 10**10
    assert _variance(np.array(rr_q, dtype=np.int64)) == CLOSE(float(exact), rel=1e-14)


sums = st.tuples(st.integers(1, 15), st.integers(-(10**6), 10**6))
names = st.sampled_from(["", "micro", "mid"])
parts = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.tuples(names, st.sampled_from(["", "1h", "4h"])), sums, max_size=5),
    max_size=3,
)


@given(parts, st.sampled_from(["a", "b", "z"]), st.tuples(names, st.sampled_from(["", "1h", "4h", "1d"])))
def test_baselines_go_from_segment_to_marginals_to_category_to_nothing(
    of: dict[str, dict[tuple[str, str], tuple[int, int]]], group: str, segment: tuple[str, str]
) -> None:
    merged = Baselines(
        GroupBaseline(group=name, category="pm|entry", segments=tuple(sorted(known.items())))
        for name, known in of.items()
    )
    rows = []
    for name, known in of.items():
        for (bucket, timeframe), (n, rr_q) in known.items():
            shares = [rr_q // n] * (n - 1)  # any rr of the trades with that sum
            for i, rr in enumerate([*shares, rr_q - sum(shares)]):
                scope = {"bucket": bucket, "timeframe": timeframe}
                rows.append(
                    brute_force.Row(f"{name}{bucket}{timeframe}{i}", "a", f"{name}|entry", "pm", 0, scope, rr, 0, 0)
                )
    value, level = merged.value("pm|entry", group, segment)
    expected, expected_level = brute_force.baseline(rows, f"{group}|entry", "pm|entry", segment)
    assert (value, level) == (CLOSE(float(expected), abs=1e-12), expected_level)


@pytest.mark.parametrize(("factors", "edge"), [((0.75, 0.82, 0.45), 1.17395), ((1.0, 1.0, 0.0), 1.16927)])
def test_the_vectors_of_the_specification(factors: tuple[float, float, float], edge: float) -> None:
    efficiency, coherence, recurrence = factors
    found = edge_raw(
        delta_rr=0.65, variance=0.32, n=42,
        time_efficiency=efficiency, field_coherence=coherence, recurrence_score=recurrence,
    )  # fmt: skip
    assert found == CLOSE(edge, abs=2e-5)


def test_each_regime_weight_stands_where_the_formula_has_it() -> None:
    weighed = EdgeWeights(time_efficiency=0.5, field_coherence=1.5, recurrence_score=1.25, variance=0.7)
    found = edge_raw(
        delta_rr=-0.4,
        variance=0.6,
        n=30,
        time_efficiency=0.6,
        field_coherence=0.9,
        recurrence_score=0.2,
        weights=weighed,
    )
    c = 1 / 1.6
    steadiness = 0.5 + 0.5 * (0.5 * 0.6 + 1.5 * 0.9 + 1.25 * 0.2) / 3
    assert found == CLOSE(-0.4 * c * math.log(31) * steadiness * c**0.7)


unit = st.floats(0.0, 1.0)
weights = st.builds(EdgeWeights, **{name: st.floats(0.3, 1.7) for name in EdgeWeights.__struct_fields__})


@given(
    st.floats(-10, 10),
    st.floats(0, 100),
    st.integers(2, 10**6),
    unit,
    st.none() | unit,
    unit,
    weights,
    st.floats(0, 10),
)
def test_an_edge_has_the_sign_of_its_delta_and_shrinks_with_variance(
    delta: float,
    variance: float,
    n: int,
    efficiency: float,
    coherence: float | None,
    recurrence: float,
    weighed: EdgeWeights,
    more: float,
) -> None:
    def edge(spread: float) -> float:
        found = edge_raw(
            delta_rr=delta, variance=spread, n=n, time_efficiency=efficiency, field_coherence=coherence,
            recurrence_score=recurrence, weights=weighed,
        )  # fmt: skip
        assert found is not None
        return found

    assert edge(variance) * delta >= 0
    assert abs(edge(variance + more)) <= abs(edge(variance))


@given(st.floats(-10, 10), st.floats(0, 100), st.integers(2, 10**6), unit, unit)
def test_a_missing_factor_is_not_a_zero(
    delta: float, variance: float, n: int, efficiency: float, recurrence: float
) -> None:
    def edge(coherence: float | None) -> float:
        found = edge_raw(
            delta_rr=delta, variance=variance, n=n, time_efficiency=efficiency, field_coherence=coherence,
            recurrence_score=recurrence,
        )  # fmt: skip
        assert found is not None
        return found

    assert edge(None) == CLOSE(edge((efficiency + recurrence) / 2), rel=1e-12, abs=1e-300)
