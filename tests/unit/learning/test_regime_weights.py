"""Regime weights: a factor that tells the truth is raised, chance is not, and nothing looks ahead or out of bounds."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import Baselines
from learning.cells import GroupCells, day_of
from learning.edge import NEUTRAL_WEIGHTS, EdgeWeights
from learning.parameters import Parameters
from learning.regime_weights import GroupWeightSums, merged_sums, regime_weights, weight_sums
from learning.regimes import RegimeWeight, RegimeWeights
from learning.statistics import group_view
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, EPOCH_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
OTHER = "pm.uptrend.S2.buy_flag|entry"
SEGMENT = DEFAULT_SCHEMA.modules["pm"].segment
END_MS = START_MS + 400 * DAY_MS


def cells_of(group: str, trades: list[dict[str, Any]]) -> GroupCells:
    cells = GroupCells(group, "pm", DEFAULT_SCHEMA)
    for i, fields in enumerate(trades):
        closed_at_ms = fields["closed_at_ms"]
        settled = {
            "opened_at_ms": closed_at_ms - 2 * HOUR_MS,
            "action_at_ms": closed_at_ms - 2 * HOUR_MS,
            "group": group,
        }
        cells.put(an_outcome(f"{group}a{i}", f"t{i}", **(settled | fields)), -(-closed_at_ms // EPOCH_MS) * EPOCH_MS)
    return cells


def sums_of(cells: GroupCells, known_at_ms: int = END_MS, means: dict[int, float] | None = None) -> GroupWeightSums:
    view = group_view(cells, END_MS, Baselines([]), SEGMENT)
    return weight_sums(cells, view, means or {}, known_at_ms, Parameters())


trades = st.lists(
    st.builds(
        lambda hours, rr_q, macro, rank, bucket: {
            "closed_at_ms": START_MS + hours * HOUR_MS,
            "rr": rr_q / 100_000,
            "scope": {"macro_phase": macro, "bucket_rank_position": rank, "bucket": bucket},
        },
        st.integers(0, 30 * 24),
        st.integers(-3_000_000, 3_000_000),
        st.sampled_from(["Good", "Dip"]),
        st.integers(1, 2),
        st.sampled_from(["micro", "mid"]),
    ),
    max_size=120,
)


@given(trades, st.randoms())
def test_the_order_of_arrival_changes_nothing(drawn: list[dict[str, Any]], random: st.DataObject) -> None:
    cells = cells_of(GROUP, drawn)
    rows = list(cells.rows())
    random.shuffle(rows)  # type: ignore[attr-defined]
    again = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for row in rows:
        again.put_row(row)
    assert sums_of(again) == sums_of(cells)


@given(trades)
def test_a_signature_has_the_trades_that_fall_into_it(drawn: list[dict[str, Any]]) -> None:
    found = dict(sums_of(cells_of(GROUP, drawn)).by_signature)
    whole = found[""]
    assert whole[0] <= len(drawn)
    for signature, sums in found.items():
        assert not signature or sums[0] >= 30
        inside = [
            other
            for other in found
            if other.startswith(f"{signature}|") and other.count("|") == signature.count("|") + 1
        ]
        n = sum(found[other][0] for other in inside)
        assert n <= sums[0]
        if inside and n == sums[0]:  # none was too rare to be kept
            assert sums == tuple(sum(found[other][k] for other in inside) for k in range(len(sums)))


numbers = st.lists(st.integers(-(10**6), 10**6), min_size=25, max_size=25).map(tuple)
parts = st.lists(
    st.builds(
        lambda group, some: GroupWeightSums(group=group, by_signature=tuple(sorted(some.items()))),
        st.sampled_from([GROUP, OTHER]),
        st.dictionaries(st.sampled_from(["", "macro=Dip", "macro=Dip|meso=Good"]), numbers, min_size=1),
    ),
    max_size=4,
)


@given(parts, parts, parts)
def test_parts_are_put_together_in_any_way(
    a: list[GroupWeightSums], b: list[GroupWeightSums], c: list[GroupWeightSums]
) -> None:
    assert merged_sums(merged_sums(a, b), c) == merged_sums(a, merged_sums(b, c))
    assert merged_sums(a, b) == merged_sums(b, a)
    assert merged_sums(merged_sums(a), []) == merged_sums(a)


@given(trades, trades)
def test_partitions_come_in_any_order(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    a, b = sums_of(cells_of(GROUP, one)), sums_of(cells_of(OTHER, two))
    found = regime_weights([a, b], None, END_MS)
    assert regime_weights([b, a], None, END_MS) == found == regime_weights(merged_sums([b], [a]), None, END_MS)


def every_key(found: RegimeWeights) -> list[RegimeWeight]:
    return [known for of_group in found.of.values() for known in of_group.values()]


def every_weight(found: RegimeWeights) -> list[float]:
    return [value for known in every_key(found) for value in msgspec.structs.astuple(known.weights)]


@given(trades, trades, st.integers(0, 400 * DAY_MS))
def test_weights_stay_within_bounds_and_are_neutral_with_little_data(
    drawn: list[dict[str, Any]], others: list[dict[str, Any]], later_ms: int
) -> None:
    first = regime_weights([sums_of(cells_of(GROUP, drawn))], None, START_MS)
    second = regime_weights([sums_of(cells_of(GROUP, others))], first, START_MS + later_ms)
    for found, n in ((first, len(drawn)), (second, len(others))):
        assert all(0.3 <= value <= 1.7 for value in every_weight(found))
        assert all(known.n_samples >= 30 for known in every_key(found))
        for known in every_key(found):
            assert known.confidence == pytest.approx(known.n_samples / (known.n_samples + 20), abs=1e-6)
        if n < 30:
            assert found.weights_of(GROUP, "macro=Dip|meso=|micro=|bucket_rank=1") == NEUTRAL_WEIGHTS


@given(trades, st.integers(0, 29))
def test_what_comes_later_is_not_known_yet(drawn: list[dict[str, Any]], day: int) -> None:
    known_at_ms = START_MS + day * DAY_MS
    past = [trade for trade in drawn if trade["closed_at_ms"] <= known_at_ms]
    assert sums_of(cells_of(GROUP, drawn), known_at_ms) == sums_of(cells_of(GROUP, past), known_at_ms)


def sums_with(n: int, r: float) -> tuple[int, ...]:
    """Sums of n trades whose factors all have a correlation of r with what they made."""
    x = np.tile([-1.0, 1.0, -1.0, 1.0], n // 4)
    e = np.tile([-1.0, -1.0, 1.0, 1.0], n // 4)  # as large as x, and not correlated with it
    x_q, y_q = np.rint(1e5 * (x + 1)).astype(int), np.rint(1e4 * (r * x + math.sqrt(1 - r * r) * e)).astype(int)
    of_factor = [n, x_q.sum(), (x_q * x_q).sum(), (x_q * y_q).sum(), y_q.sum(), (y_q * y_q).sum()]
    return tuple(int(value) for value in [n, *of_factor * 4])


def test_a_weight_is_one_and_the_correlation_shrunken_toward_the_next_level() -> None:
    parts = [
        GroupWeightSums(group=GROUP, by_signature=(("", sums_with(100, 0.5)), ("macro=Dip", sums_with(40, -0.2)))),
    ]
    found = regime_weights(parts, None, 0)
    category = 0.5 * 100 / 120
    pattern = (0.5 * 100 + 20 * category) / 120
    dip = (-0.2 * 40 + 20 * pattern) / 60
    for group, signature, r in (("pm|entry", "", category), (GROUP, "", pattern), (GROUP, "macro=Dip", dip)):
        assert msgspec.structs.astuple(found.of[group][signature].weights) == pytest.approx(
            (1 + r, 1 + r, 1 + r, 1 - r), abs=1e-4
        )
    assert {group: set(known) for group, known in found.of.items()} == {"pm|entry": {""}, GROUP: {"", "macro=Dip"}}


def test_another_pattern_of_the_category_falls_back_to_all_of_them() -> None:
    parts = [
        GroupWeightSums(group=GROUP, by_signature=(("", sums_with(200, 0.5)),)),
        GroupWeightSums(group=OTHER, by_signature=(("", sums_with(8, -0.9)),)),
    ]
    found = regime_weights(parts, None, 0)
    assert OTHER not in found.of
    assert found.weights_of(OTHER, "macro=Dip") == found.of["pm|entry"][""].weights
    assert 1.3 < found.weights_of(OTHER, "").time_efficiency < 1.5
    assert found.weights_of("pm.uptrend.S1.buy_flag|exit", "") == NEUTRAL_WEIGHTS


def test_perfect_correlation_is_cut_off_at_the_bounds() -> None:
    for r, high in ((1.0, 1.7), (-1.0, 0.3)):
        found = regime_weights([GroupWeightSums(group=GROUP, by_signature=(("", sums_with(4000, r)),))], None, 0)
        assert msgspec.structs.astuple(found.of[GROUP][""].weights) == pytest.approx((high, high, high, 2 - high))
        assert all(0.3 <= value <= 1.7 for value in every_weight(found))


def test_weights_move_by_a_mean_of_thirty_days_and_not_at_all_at_the_same_time() -> None:
    good = [GroupWeightSums(group=GROUP, by_signature=(("", sums_with(400, 0.5)),))]
    bad = [GroupWeightSums(group=GROUP, by_signature=(("", sums_with(400, -0.5)),))]
    first, last = regime_weights(good, None, 0), regime_weights(bad, None, 0)
    now = first
    for day in range(1, 31):
        now = regime_weights(bad, now, day * DAY_MS)
        assert regime_weights(good, now, day * DAY_MS).of == now.of, "twice at the same time"
    at = first.of[GROUP][""].weights.time_efficiency, last.of[GROUP][""].weights.time_efficiency
    expected = at[1] + (at[0] - at[1]) * math.exp(-1)
    assert now.of[GROUP][""].weights.time_efficiency == pytest.approx(expected, abs=1e-4)


def test_a_new_key_goes_on_from_what_it_fell_back_to() -> None:
    pattern = GroupWeightSums(group=GROUP, by_signature=(("", sums_with(400, 0.5)),))
    first = regime_weights([pattern], None, 0)
    with_dip = GroupWeightSums(
        group=GROUP, by_signature=(("", sums_with(400, 0.5)), ("macro=Dip", sums_with(40, -1.0)))
    )
    second = regime_weights([with_dip], first, DAY_MS)
    before, after = (known.weights_of(GROUP, "macro=Dip").time_efficiency for known in (first, second))
    assert before - 1.4 / 30 < after < before


def simulated(
    seed: int, *, persists: float, days: int = 240, market: float = 0.0
) -> tuple[GroupCells, dict[int, float]]:
    """A group, four trades a day, whose mean is good and bad in turn for two months at a time, and the market's days."""
    rng = np.random.default_rng(seed)
    weather = np.zeros(days)
    for day in range(1, days):
        weather[day] = 0.9 * weather[day - 1] + math.sqrt(1 - 0.81) * rng.normal()
    trades = []
    for day in range(days):
        for k in range(4):
            rr = rng.normal() + persists * (1.6 if day // 60 % 2 == 0 else 0.1) + market * weather[day]
            closed_at_ms = START_MS + day * DAY_MS + k * 6 * HOUR_MS
            scope = {"macro_phase": "Dip" if k % 2 else "Good", "bucket": ("nano", "micro", "mid")[rng.integers(3)]}
            hold = {"opened_at_ms": closed_at_ms - int(rng.integers(1, 40)) * HOUR_MS, "closed_at_ms": closed_at_ms}
            trades.append(
                {**hold, "action_at_ms": hold["opened_at_ms"], "rr": float(np.clip(rr, -10, 10)), "scope": scope}
            )
    cells = cells_of(GROUP, trades)
    first_day = int(day_of(np.array([START_MS]))[0])
    return cells, {first_day + day: market * float(weather[day]) for day in range(days)}


def weights_after(seed: int, *, persists: float, market: float = 0.0) -> EdgeWeights:
    cells, means = simulated(seed, persists=persists, market=market)
    return regime_weights([sums_of(cells, means=means)], None, END_MS).weights_of(GROUP, "macro=Dip")


def test_a_factor_that_says_what_comes_next_is_raised() -> None:
    found = [weights_after(seed, persists=1.0).recurrence_score for seed in range(5)]
    assert min(found) > 1.1


def test_chance_leaves_every_weight_near_one() -> None:
    found = np.array([msgspec.structs.astuple(weights_after(seed, persists=0.0)) for seed in range(12)])
    assert np.abs(found - 1.0).mean() < 0.06
    assert np.abs(found - 1.0).max() < 0.25


def test_the_weather_of_the_market_is_no_praise_for_a_factor() -> None:
    """Days that remember each other make recurrence look good, unless the day's mean is out."""
    with_day, without = [], []
    for seed in range(6):
        cells, means = simulated(seed, persists=0.0, market=1.0)
        for taken_out, found in ((means, with_day), ({}, without)):
            known = regime_weights([sums_of(cells, means=taken_out)], None, END_MS)
            found.append(known.weights_of(GROUP, "").recurrence_score)
    assert abs(np.mean(with_day) - 1.0) < 0.06
    assert np.mean(without) > 1.15
