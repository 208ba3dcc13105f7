"""Evidence: the clustered difference of means, against NumPy written the plain way; and spells (spec section 6)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.evidence import Effects, effects, p_values, shrunk
from learning.forward import e_value
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws import brute_force
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
SUBSETS = np.array([[1, 0], [0, 1], [2, 1], [0, 2], [9, 9]], dtype=np.int32)
CLOSE = pytest.approx

Data = tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]


@st.composite
def data(draw: st.DrawFn, max_trades: int = 14) -> Data:
    """(codes, trade, rr, clusters) of rows, those of a trade together, each row in any cluster."""
    actions = draw(st.lists(st.integers(1, 3), min_size=1, max_size=max_trades))
    n = sum(actions)
    trade = np.repeat(np.arange(len(actions), dtype=np.int64), actions)
    rr = np.array(draw(st.lists(st.floats(-10, 10), min_size=len(actions), max_size=len(actions))))[trade]
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
    codes = np.array(draw(st.lists(pairs, min_size=n, max_size=n)), dtype=np.int32)
    clusters = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.int64)
    return codes, trade, rr, clusters


def plain(found: Data, subset: npt.NDArray[np.int32]) -> tuple[float, float, int, int]:
    """The same with means and loops: effect, error, n, clusters inside."""
    codes, trade, rr, clusters = found
    pinned = subset != 0
    hit = (codes[:, pinned] == subset[pinned]).all(axis=1)
    side, cluster, value = [], [], []
    for name in np.unique(trade):
        rows = np.flatnonzero(trade == name)
        met = rows[hit[rows]]
        side.append(len(met) > 0)
        cluster.append(clusters[(met if len(met) else rows)[0]])
        value.append(rr[rows[0]])
    within, of, y = np.array(side), np.array(cluster), np.array(value)
    n, inside = int(within.sum()), len(np.unique(of[within]))
    if n in (0, len(y)):
        return np.nan, np.nan, n, inside
    residual = np.where(within, y - y[within].mean(), y - y[~within].mean())
    weighed = residual / np.where(within, n, -(len(y) - n))
    g = len(np.unique(of))
    if g == 1:
        return y[within].mean() - y[~within].mean(), np.nan, n, inside
    score = np.array([weighed[of == c].sum() for c in np.unique(of)])
    error = np.sqrt((score**2).sum() * g / (g - 1))
    return y[within].mean() - y[~within].mean(), error, n, inside


@given(data())
def test_effects_are_the_clustered_difference_of_means(found: Data) -> None:
    given_ = effects(*found, SUBSETS)
    for i, subset in enumerate(SUBSETS):
        effect, error, n, n_clusters = plain(found, subset)
        assert given_.effect_rr[i] == CLOSE(effect, abs=1e-9, nan_ok=True)
        assert given_.error_rr[i] == CLOSE(error, abs=1e-9, nan_ok=True)
        assert (given_.n[i], given_.n_clusters[i]) == (n, n_clusters)


@given(data(), st.floats(-100, 100))
def test_a_constant_leaves_effects_and_errors(found: Data, constant: float) -> None:
    codes, trade, rr, clusters = found
    before = effects(codes, trade, rr, clusters, SUBSETS)
    after = effects(codes, trade, rr + constant, clusters, SUBSETS)
    assert after.effect_rr == CLOSE(before.effect_rr, abs=1e-9, nan_ok=True)
    assert after.error_rr == CLOSE(before.error_rr, abs=1e-9, nan_ok=True)


@given(data(), st.permutations(range(5)))
def test_the_names_of_the_clusters_do_not_matter(found: Data, names: list[int]) -> None:
    codes, trade, rr, clusters = found
    before = effects(codes, trade, rr, clusters, SUBSETS)
    after = effects(codes, trade, rr, np.array(names)[clusters], SUBSETS)
    assert after.effect_rr == CLOSE(before.effect_rr, abs=1e-9, nan_ok=True)
    assert after.error_rr == CLOSE(before.error_rr, abs=1e-9, nan_ok=True)
    assert after.n_clusters.tolist() == before.n_clusters.tolist()


@given(data())
def test_the_sign_turns_with_the_sides(found: Data) -> None:
    codes, trade, rr, clusters = found
    before = effects(codes, trade, rr, clusters, SUBSETS)
    after = effects(codes, trade, -rr, clusters, SUBSETS)
    assert after.effect_rr == CLOSE(-before.effect_rr, abs=1e-9, nan_ok=True)
    assert after.error_rr == CLOSE(before.error_rr, abs=1e-9, nan_ok=True)


@given(data())
def test_one_cluster_has_no_error_and_no_p(found: Data) -> None:
    codes, trade, rr, clusters = found
    one = effects(codes, trade, rr, np.zeros_like(clusters), SUBSETS)
    assert np.isnan(one.error_rr).all()
    assert p_values(one).tolist() == [1.0] * len(SUBSETS)


def test_a_single_trade_against_the_others() -> None:
    codes = np.array([[1, 0], [2, 0], [2, 0]], dtype=np.int32)
    found = effects(codes, np.arange(3), np.array([3.0, 1.0, 0.0]), np.arange(3), SUBSETS[:1])
    assert (found.n[0], found.n_clusters[0]) == (1, 1)
    assert found.effect_rr[0] == CLOSE(2.5)
    assert found.error_rr[0] == CLOSE(np.sqrt((0.25**2 + 0.25**2) * 3 / 2))
    assert p_values(found).tolist() == [1.0], "one cluster inside leaves no degree of freedom"


def test_no_trades_and_no_subsets() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    none = effects(np.zeros((0, 2), dtype=np.int32), nothing, np.zeros(0), nothing, SUBSETS)
    assert none.n.tolist() == [0] * len(SUBSETS)
    assert np.isnan(none.effect_rr).all()
    assert len(effects(SUBSETS, np.arange(5), np.ones(5), np.arange(5), SUBSETS[:0]).n) == 0


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_shrinking_takes_off_and_never_turns_the_sign(effect: float, error: float) -> None:
    found = shrunk(effect, error)
    assert 0.0 <= found * np.sign(effect) <= abs(effect)
    if error == 0.0 or abs(effect) <= error:
        assert found == (effect if error == 0.0 else 0.0)


@given(st.floats(0.0, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10**6))
def test_p_falls_with_the_effect_and_rises_with_its_error(effect: float, error: float, n_clusters: int) -> None:
    def p(an_effect: float, an_error: float) -> float:
        one = Effects(
            effect_rr=np.array([an_effect]), error_rr=np.array([an_error]),
            n=np.array([n_clusters]), n_clusters=np.array([n_clusters]), n_fewer=np.array([n_clusters]),
        )  # fmt: skip
        return float(p_values(one)[0])

    assert 0.0 <= p(effect, error) <= 1.0
    assert p(effect, error) == p(-effect, error)
    assert p(2 * effect, error) <= p(effect, error) <= p(effect, 2 * error)


# --- clusters of a group

phases = st.sampled_from([None, "Good", "Dip"])
actions = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 20), phases, phases, st.sampled_from(["nano", "micro"])),
    min_size=2,
    max_size=25,
    unique_by=lambda row: row[1],
)
PROBES: tuple[dict[str, str], ...] = (
    {"macro_phase": "Dip"},
    {"macro_phase": "Good", "micro_phase": "Dip"},
    {"micro_phase": "Good", "bucket": "nano"},
    {"bucket": "nano"},
    {"bucket": "micro", "macro_phase": "Dip"},
)


@given(actions)
def test_spells_and_days_are_the_clusters_of_a_group(rows: list[tuple[int, int, str | None, str | None, str]]) -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    documents = []
    for i, (trade, hour, macro, micro, bucket) in enumerate(rows):
        scope = {"macro_phase": macro, "micro_phase": micro, "bucket": bucket}
        known = {name: value for name, value in scope.items() if value is not None}
        at_ms, closed_at_ms = START_MS + hour * HOUR_MS, START_MS + trade % 3 * DAY_MS + 20 * HOUR_MS
        rr = round((trade * 1.37) % 5 - 2, 3)
        outcome = an_outcome(
            f"a{i}", f"t{trade}", scope=known, action_at_ms=at_ms, closed_at_ms=closed_at_ms, rr=rr
        )  # fmt: skip
        cells.put(outcome, START_MS)
        documents.append(
            brute_force.Row(
                f"t{trade}", f"a{i}", GROUP, "pm", at_ms, known, round(rr * 100_000), closed_at_ms, closed_at_ms
            )
        )
    counted = cells.counted(START_MS)
    documents.sort(key=lambda row: row.at_ms)
    rr_of = cells.column("rr_q", counted) / 100_000
    subsets = np.array([cells.codes_of(scope) for scope in PROBES])
    found = ClusteredGroup(cells, counted).effects(subsets, rr_of, rr_of)
    for i, scope in enumerate(PROBES):
        effect, error, n_clusters = brute_force.effect(documents, GROUP, scope)
        assert found.effect_rr[i] == CLOSE(np.nan if effect is None else effect, abs=1e-9, nan_ok=True)
        assert found.error_rr[i] == CLOSE(np.nan if error is None else error, abs=1e-9, nan_ok=True)
        assert found.n_clusters[i] == n_clusters


def test_what_is_compared_has_the_day_taken_out_only_where_no_regime_is_pinned() -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i in range(8):
        scope = {"macro_phase": "Dip" if i % 2 else "Good", "bucket": "nano" if i < 4 else "micro"}
        cells.put(an_outcome(f"a{i}", f"t{i}", scope=scope, action_at_ms=START_MS + i * HOUR_MS), START_MS)
    rows = cells.counted(START_MS)
    group = ClusteredGroup(cells, rows)
    is_dip = cells.matching({"macro_phase": "Dip"}, rows).astype(float)
    is_nano = cells.matching({"bucket": "nano"}, rows).astype(float)
    subsets = np.array([cells.codes_of({"bucket": "nano"}), cells.codes_of({"macro_phase": "Dip"})])
    assert group.effects(subsets, is_dip, is_nano).effect_rr.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("days_in", "days_out"), [(20, 1), (20, 2), (40, 2), (2, 40), (40, 40)])
def test_a_side_of_few_clusters_does_not_pass_for_a_sure_one(days_in: int, days_out: int) -> None:
    """2,000 histories without an effect, days with a shock each: an e of 100 is as rare as it has to be."""
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(days_in + days_out), 4)
    codes = (day < days_in).astype(np.int64)[:, None] + 1
    subsets = np.array([[2]], dtype=np.int32)
    passed = 0
    for _ in range(2_000):
        rr = rng.normal(size=days_in + days_out)[day] + rng.normal(size=len(day))
        found = effects(codes, np.arange(len(day)), rr, day, subsets)
        assert found.n_fewer[0] == min(days_in, days_out)
        direction = 1 if found.effect_rr[0] > 0 else -1
        passed += e_value(float(found.effect_rr[0]), float(found.error_rr[0]), int(found.n_fewer[0]), direction) >= 100
    assert passed <= 2 * 2_000 / 100
