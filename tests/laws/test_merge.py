"""Sums are put together in any order and grouping, and hold whatever is put into them (spec section 6)."""

from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.baseline import Baselines, GroupBaseline, baseline_sums, merged
from learning.cells import GroupCells
from learning.packing import PackedRows
from learning.parameters import Parameters
from learning.rows import FIXED, Row, packed_names, row_of
from learning.statistics import GroupStats, tracked_stats
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, START_MS, an_outcome
from tests.laws.feeding import FOREVER_MS, Groups, fed
from tests.laws.worlds import worlds

EVERYTHING = Parameters(n_min_by_dims=(1,))
Parts = tuple[GroupBaseline, ...]

segments = st.dictionaries(
    st.tuples(st.sampled_from(["", "micro", "mid"]), st.sampled_from(["", "1h"])),
    st.tuples(st.integers(0, 10**6), st.integers(-(10**12), 10**12)),
    max_size=4,
)
part = st.builds(
    GroupBaseline,
    group=st.sampled_from(["a", "b", "c"]),
    category=st.sampled_from(["pm|entry", "dm|allocation"]),
    segments=segments.map(lambda of: tuple(of.items())),
)
parts = st.lists(part, max_size=5).map(tuple)


@given(parts, parts, parts)
def test_merging_is_associative(a: Parts, b: Parts, c: Parts) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(a, b, c)


@given(parts, parts)
def test_merging_is_commutative(a: Parts, b: Parts) -> None:
    assert merged(a, b) == merged(b, a)


@given(parts)
def test_nothing_is_the_identity(a: Parts) -> None:
    assert merged(a, ()) == merged((), a) == merged(merged(a)) == merged(a)
    assert merged() == ()


@given(st.lists(part, max_size=9), st.integers(1, 4), st.randoms(use_true_random=False))
def test_it_does_not_matter_which_worker_has_what(of: list[GroupBaseline], workers: int, random: Random) -> None:
    held: list[list[GroupBaseline]] = [[] for _ in range(workers)]
    for each in random.sample(of, len(of)):
        held[random.randrange(workers)].append(each)
    assert merged(*(merged(some) for some in held)) == merged(of)
    sums: Counter[Any] = Counter()
    for each in of:
        for segment, (n, rr_q) in each.segments:
            sums[each.category, each.group, segment, "n"] += n
            sums[each.category, each.group, segment, "rr_q"] += rr_q
    found = {(g.category, g.group, segment): pair for g in merged(of) for segment, pair in g.segments}
    assert found == {key[:3]: (sums[(*key[:3], "n")], sums[(*key[:3], "rr_q")]) for key in sums}


@settings(max_examples=40)
@given(worlds(max_trades=10), st.randoms(use_true_random=False))
def test_trades_on_two_workers_sum_to_those_on_one(documents: list[Any], random: Random) -> None:
    here = {name for name in {d["trade_id"] for d in documents} if random.random() < 0.5}
    one, other = ([d for d in documents if (d["trade_id"] in here) is at_home] for at_home in (True, False))
    assert merged(sums_of(fed_all(one)), sums_of(fed_all(other))) == merged(sums_of(fed_all(documents)))


def fed_all(documents: list[Any]) -> Groups:
    return fed(documents, EVERYTHING, DEFAULT_SCHEMA)


def sums_of(groups: Groups) -> list[GroupBaseline]:
    return [baseline_sums(cells, FOREVER_MS, DEFAULT_SCHEMA.modules[cells.module].segment) for cells in groups.values()]


# --- a million trades at the bounds of rr

MILLION = 1_000_000
GROUP = "pm.uptrend.S1.buy_flag|entry"


def a_million() -> GroupCells:
    """Half of the trades now 10 R, now -10 R; a quarter always -10 R; a quarter always 10 R."""
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    template = {
        bucket: row_of(an_outcome(scope={"bucket": bucket}), START_MS, DEFAULT_SCHEMA)
        for bucket in ("micro", "nano", "mid")
    }
    for first in range(0, MILLION, 100_000):
        at = np.arange(first, first + 100_000)
        fixed = np.repeat(np.frombuffer(template["micro"].fixed, dtype=FIXED), len(at))
        fixed["trade"] = fixed["action"] = at
        fixed["closed_at_ms"] = START_MS + at % 40 * DAY_MS
        fixed["rr_q"] = np.choose(at % 4, [1_000_000, -1_000_000, -1_000_000, 1_000_000])
        raw, size = fixed.tobytes(), FIXED.itemsize
        bucket = [template[name] for name in ("micro", "micro", "nano", "mid")]
        rows = [
            Row(
                outcome_id=b"%d" % (first + i),
                fixed=raw[i * size : (i + 1) * size],
                place=bucket[i % 4].place,
                companions=b"",
                names=packed_names(()),
                values=b"",
            )
            for i in range(len(at))
        ]
        cells.load(PackedRows.of(rows))
    return cells


@pytest.fixture(scope="module")
def million() -> tuple[dict[str, int], GroupStats]:
    """Subset by bucket -> its row, and the statistics."""
    cells = a_million()
    baselines = Baselines([baseline_sums(cells, START_MS, ("bucket", "timeframe"))])
    stats = tracked_stats(cells, START_MS, baselines, EVERYTHING, DEFAULT_SCHEMA)
    return {str(cells.scope_of(codes)["bucket"]): i for i, codes in enumerate(stats.codes)}, stats


@pytest.mark.parametrize(
    ("bucket", "n", "mean", "mean_of_others"),
    [
        ("micro", 500_000, Fraction(0), Fraction(0)),
        ("nano", 250_000, Fraction(-10), Fraction(10, 3)),
        ("mid", 250_000, Fraction(10), Fraction(-10, 3)),
    ],
)
def test_a_million_trades_at_the_bounds_overflow_nowhere(
    million: tuple[dict[str, int], GroupStats], bucket: str, n: int, mean: Fraction, mean_of_others: Fraction
) -> None:
    rows, stats = million
    i = rows[bucket]
    assert (stats.n[i], stats.n_actions[i]) == (n, n)
    assert stats.avg_rr[i] == float(mean)
    assert stats.variance[i] == (float(Fraction(100 * n, n - 1)) if bucket == "micro" else 0.0)
    assert stats.win_rate[i] == {"micro": 0.5, "nano": 0.0, "mid": 1.0}[bucket]
    assert stats.effect_rr[i] == pytest.approx(float(mean - mean_of_others), rel=1e-12, abs=1e-12)
    assert stats.effect_error_rr[i] >= 0.0
    assert (stats.rr_baseline[i], stats.delta_rr[i]) == (0.0, pytest.approx(float(mean), abs=1e-12))


@settings(max_examples=40)
@given(st.lists(st.sampled_from([-10.0, 10.0, 9.99999, -9.99999]) | st.floats(-10, 10), min_size=2, max_size=30))
def test_the_variance_is_exact(rr: list[float]) -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i, value in enumerate(rr):
        cells.put(an_outcome(f"a{i}", f"t{i}", scope={"bucket": "micro"}, rr=value), START_MS)
    stats = tracked_stats(cells, START_MS, Baselines([]), EVERYTHING, DEFAULT_SCHEMA)
    rr_q = [round(value * 100_000) for value in rr]
    exact = sum((x - Fraction(sum(rr_q), len(rr_q))) ** 2 for x in rr_q) / (len(rr_q) - 1) / 10**10
    assert stats.variance.tolist() == [pytest.approx(float(exact), rel=1e-14)]
    assert stats.avg_rr.tolist() == [pytest.approx(sum(rr_q) / len(rr_q) / 100_000, rel=1e-15)]
