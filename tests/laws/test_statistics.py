"""Statistics of subsets: each number of spec section 6 against a plain count over the raw documents.

Every field of `GroupStats` is compared, for every tracked subset unless `every` says otherwise.
"""

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.parameters import Parameters
from learning.statistics import GroupStats, group_stats, missed_bucket, tracked_stats
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema
from tests.laws import brute_force
from tests.laws.agreement import all_tracked, differences, disagreements
from tests.laws.examples import DAY_MS, START_MS
from tests.laws.feeding import FOREVER_MS, Groups, baselines_of, fed, in_order
from tests.laws.streams import Stream, planted_stream, small_stream
from tests.laws.worlds import mild_rr, numbers_of, worlds


def up_to(dims: int) -> ScopeSchema:
    modules = {name: msgspec.structs.replace(module, max_dims=dims) for name, module in DEFAULT_SCHEMA.modules.items()}
    return msgspec.structs.replace(DEFAULT_SCHEMA, modules=modules)


few = settings(max_examples=25)
EVERYTHING = Parameters(n_min_by_dims=(1,))
MANY_SMALL = Parameters(n_min_by_dims=(1, 2))


def compared(
    stream: Stream,
    parameters: Parameters,
    schema: ScopeSchema,
    *,
    every: int = 1,
    epoch_at_ms: int = FOREVER_MS,
) -> int:
    """Fail where a number differs; return how many subsets were compared."""
    groups = fed(in_order(stream), parameters, schema)
    rows = brute_force.rows_of(*stream)
    n, wrong = disagreements(groups, rows, epoch_at_ms, parameters, schema, every=every)
    assert wrong == []
    return n


@settings(max_examples=50)
@given(worlds(max_trades=14))
def test_every_number_of_any_few_trades(documents: list[Any]) -> None:
    compared(numbers_of(documents), EVERYTHING, DEFAULT_SCHEMA)


@few
@given(worlds(mended=True))
def test_every_number_after_revisions_voids_and_duplicates(documents: list[Any]) -> None:
    stream = numbers_of(documents)
    groups = fed(documents, EVERYTHING, DEFAULT_SCHEMA)
    _, wrong = disagreements(groups, brute_force.rows_of(*stream), FOREVER_MS, EVERYTHING, DEFAULT_SCHEMA)
    assert wrong == []


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_of_a_small_stream(seed: int) -> None:
    assert compared(small_stream(seed, trades=90), MANY_SMALL, up_to(2)) > 300


def test_every_number_of_all_dimensions_of_a_small_stream() -> None:
    assert compared(small_stream(6, trades=120), MANY_SMALL, DEFAULT_SCHEMA, every=3) > 300


def test_every_number_of_a_long_stream_with_windows() -> None:
    assert compared(small_stream(7, trades=900, days=90, edge_rr=1.0), Parameters(), up_to(1), every=2) > 30


@pytest.mark.parametrize("epoch_at_ms", [START_MS, START_MS + 6 * DAY_MS, START_MS + 9 * DAY_MS])
def test_at_an_epoch_only_what_closed_by_its_end_counts(epoch_at_ms: int) -> None:
    found = compared(small_stream(8), MANY_SMALL, up_to(2), every=2, epoch_at_ms=epoch_at_ms)
    assert (found > 100) is (epoch_at_ms > START_MS)


def test_every_number_of_a_planted_stream() -> None:
    assert compared(planted_stream(5, trades=400, days=40), Parameters(), up_to(2), every=3) > 900


def test_every_number_of_a_planted_stream_with_windows_and_blocks() -> None:
    assert compared(planted_stream(4, trades=1200, days=60), Parameters(), up_to(1), every=4) > 80


def test_tracked_are_the_subsets_with_enough_trades_and_no_others() -> None:
    stream, parameters = small_stream(3), Parameters(n_min_by_dims=(6, 9, 12))
    groups = fed(in_order(stream), parameters, DEFAULT_SCHEMA)
    rows = brute_force.rows_of(*stream)
    for name, stats in all_tracked(groups, FOREVER_MS, parameters, DEFAULT_SCHEMA).items():
        max_dims = DEFAULT_SCHEMA.modules[groups[name].module].max_dims
        expected = brute_force.tracked(rows, name, max_dims, parameters.n_min_by_dims)
        scopes = [tuple(sorted(groups[name].scope_of(codes).items())) for codes in stats.codes]
        assert dict(zip(scopes, stats.n.tolist(), strict=True)) == expected
        assert len(scopes) == len(expected)


# --- any subsets asked for


def asked(groups: Groups, name: str, scopes: list[dict[str, Any]]) -> GroupStats:
    cells = groups[name]
    codes = np.array([cells.codes_of(scope) for scope in scopes], dtype=np.int32).reshape(-1, len(cells.dimensions))
    baselines = baselines_of(groups, FOREVER_MS, DEFAULT_SCHEMA)
    return group_stats(cells, codes, FOREVER_MS, baselines, EVERYTHING, DEFAULT_SCHEMA)


@few
@given(worlds(max_trades=10), st.randoms(use_true_random=False))
def test_one_subset_asked_for_has_the_bits_it_has_among_all(documents: list[Any], random: Random) -> None:
    groups = fed(documents, EVERYTHING, DEFAULT_SCHEMA)
    for name, stats in all_tracked(groups, FOREVER_MS, EVERYTHING, DEFAULT_SCHEMA).items():
        some = random.sample(range(len(stats)), min(3, len(stats)))
        for chosen in (some, some[:1]):
            alone = asked(groups, name, [groups[name].scope_of(stats.codes[i]) for i in chosen])
            for j, i in enumerate(chosen):
                assert bits(alone, j) == bits(stats, i)


def bits(stats: GroupStats, i: int) -> dict[str, Any]:
    """Every field of one subset, bit for bit; the level by its name."""
    names = set(GroupStats.__struct_fields__) - {"levels", "rr_baseline_level"}
    found: dict[str, Any] = {name: getattr(stats, name)[i].tobytes() for name in names}
    return found | {"level": stats.levels[stats.rr_baseline_level[i]]}


@few
@given(worlds(max_trades=10))
def test_the_group_itself_is_the_subset_that_pins_nothing(documents: list[Any]) -> None:
    groups = fed(documents, EVERYTHING, DEFAULT_SCHEMA)
    brute = brute_force.BruteForce(brute_force.rows_of(*numbers_of(documents)))
    for name in groups:
        stats = asked(groups, name, [{}])
        assert differences(stats, 0, brute.statistics(name, {})) == {}
        assert np.isnan([stats.effect_rr[0], stats.effect_error_rr[0], stats.emergence_score[0]]).all()


def test_what_nobody_traded_has_no_numbers() -> None:
    groups = fed(in_order(small_stream(4)), EVERYTHING, DEFAULT_SCHEMA)
    stats = asked(groups, "pm.uptrend.S1.buy_flag|entry", [{"bucket": "xl"}, {"bucket": "nano", "timeframe": "1m"}])
    assert stats.n.tolist() == stats.n_actions.tolist() == stats.n_clusters.tolist() == [0, 0]
    for name in ("avg_rr", "variance", "win_rate", "effect_rr", "effect_error_rr", "delta_rr", "edge_raw"):
        assert np.isnan(getattr(stats, name)).all(), name


def test_nothing_asked_for_and_nothing_there() -> None:
    groups = fed(in_order(small_stream(4)), EVERYTHING, DEFAULT_SCHEMA)
    cells = groups["pm.uptrend.S1.buy_flag|entry"]
    baselines = baselines_of(groups, FOREVER_MS, DEFAULT_SCHEMA)
    none = np.zeros((0, len(cells.dimensions)), dtype=np.int32)
    assert len(group_stats(cells, none, FOREVER_MS, baselines, EVERYTHING, DEFAULT_SCHEMA)) == 0
    assert len(tracked_stats(cells, START_MS - DAY_MS, baselines, EVERYTHING, DEFAULT_SCHEMA)) == 0


# --- what is not known


@few
@given(worlds(max_trades=8))
def test_one_trade_has_no_variance_and_one_cluster_no_error(documents: list[Any]) -> None:
    groups = fed(documents, EVERYTHING, DEFAULT_SCHEMA)
    for name, stats in all_tracked(groups, FOREVER_MS, EVERYTHING, DEFAULT_SCHEMA).items():
        assert (np.isnan(stats.variance) == (stats.n == 1)).all()
        assert (np.isnan(stats.edge_raw) == (stats.n == 1)).all()
        assert np.isnan(stats.emergence_score[stats.n == 1]).all()
        rows = brute_force.rows_of(*numbers_of(documents))
        trades = {row.trade_id for row in rows if row.group == name}
        assert (np.isnan(stats.effect_rr) == (stats.n == len(trades))).all()
        if len({row.closed_at_ms // DAY_MS for row in rows if row.group == name}) == 1:
            by_day = [i for i in range(len(stats)) if not pins_a_regime(groups[name].scope_of(stats.codes[i]))]
            assert np.isnan(stats.effect_error_rr[by_day]).all()


def pins_a_regime(scope: dict[str, Any]) -> bool:
    return any(name in brute_force.REGIME for name in scope)


def test_a_row_says_none_where_the_arrays_say_nan() -> None:
    groups = fed(in_order(small_stream(9, trades=30)), EVERYTHING, up_to(3))
    for stats in all_tracked(groups, FOREVER_MS, EVERYTHING, up_to(3)).values():
        for i in range(0, len(stats), 7):
            row = msgspec.structs.asdict(stats.row(i))
            for name in set(row) & set(GroupStats.__struct_fields__) - {"rr_baseline_level", "trend", "codes"}:
                value = getattr(stats, name)[i].item()
                assert row[name] == (None if value != value else value), name  # noqa: PLR0124 - NaN differs from itself
            for name in ("missed_entry", "missed_exit"):
                assert missed_bucket(row[f"{name}_rr"]) == brute_force.bucket(row[f"{name}_rr"])
            assert row["rr_baseline_level"] == stats.levels[stats.rr_baseline_level[i]]


# --- what a constant does


@few
@given(worlds(min_trades=2, max_trades=12, rr=mild_rr), st.integers(-300_000, 300_000))
def test_a_constant_moves_the_mean_and_leaves_variance_effects_and_errors(documents: list[Any], more: int) -> None:
    moved = [{**d, "rr": round(d["rr"] * 100_000 + more) / 100_000} if "rr" in d else d for d in documents]
    before, after = (
        all_tracked(fed(each, EVERYTHING, DEFAULT_SCHEMA), FOREVER_MS, EVERYTHING, DEFAULT_SCHEMA)
        for each in (documents, moved)
    )
    assert before.keys() == after.keys()
    for name in before:
        one, other = before[name], after[name]
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_allclose(other.avg_rr - one.avg_rr, more / 100_000, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.rr_baseline - one.rr_baseline, more / 100_000, rtol=0, atol=1e-12)
        for field in ("variance", "effect_rr", "effect_error_rr", "delta_rr", "recurrence_raw", "decay_rr_per_day"):
            np.testing.assert_allclose(getattr(other, field), getattr(one, field), rtol=1e-9, atol=1e-11)
        assert (other.n_clusters == one.n_clusters).all()
